/* What descriptors.py does. No call waits, so that none lets go of the interpreter's lock, and one
 * buffer is enough for all reads: what was read is copied, at its own size.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/socket.h>

enum { READ_SIZE = 16384 };

static char room[READ_SIZE];

/* Nothing, or no room, for now? */
static int would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static int read_descriptor(PyObject *object, int *fd)
{
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred())
        return -1;
    *fd = (int)value;
    return 0;
}

static PyObject *receive(PyObject *Py_UNUSED(self), PyObject *descriptor)
{
    int fd;
    ssize_t count;
    if (read_descriptor(descriptor, &fd) < 0)
        return NULL;
    do
        count = recv(fd, room, sizeof room, MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count >= 0)
        return PyBytes_FromStringAndSize(room, count);
    if (would_block())
        Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *send_bytes(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    int fd;
    ssize_t sent;
    Py_buffer data;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "takes a descriptor and bytes");
        return NULL;
    }
    if (read_descriptor(given[0], &fd) < 0 || PyObject_GetBuffer(given[1], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    do
        sent = send(fd, data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    PyBuffer_Release(&data);
    if (sent < 0 && !would_block())
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromSsize_t(sent < 0 ? 0 : sent);
}

static PyMethodDef functions[] = {
    {"receive", receive, METH_O, "See descriptors.py."},
    {"send", (PyCFunction)(void (*)(void))send_bytes, METH_FASTCALL, "See descriptors.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "descriptors", "Reads and writes of connected sockets.", 0, functions,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_descriptors(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddIntConstant(made, "READ_SIZE", READ_SIZE) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
