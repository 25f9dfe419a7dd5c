/* descriptors.py's twin: descriptors.h as a module of Python's. */

#include "descriptors.h"

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
    return read_descriptor(descriptor, &fd) < 0 ? NULL : received(fd);
}

static PyObject *has_more(PyObject *Py_UNUSED(self), PyObject *descriptor)
{
    int fd, more = read_descriptor(descriptor, &fd) < 0 ? -1 : are_more(fd);
    return more < 0 ? NULL : PyBool_FromLong(more);
}

static PyObject *send_bytes(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    int fd;
    Py_ssize_t sent;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "takes a descriptor and bytes");
        return NULL;
    }
    sent = read_descriptor(given[0], &fd) < 0 ? -1 : sent_of(fd, given[1]);
    return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

static int read_room(PyObject *object, int64_t **events)
{
    if (!PyByteArray_Check(object) || PyByteArray_GET_SIZE(object) != BATCH * sizeof **events) {
        PyErr_SetString(PyExc_TypeError, "takes the room for events");
        return -1;
    }
    *events = (int64_t *)PyByteArray_AS_STRING(object);
    return 0;
}

static PyObject *make_room(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    static const int64_t nothing[BATCH];
    return PyByteArray_FromStringAndSize((const char *)nothing, sizeof nothing);
}

static PyObject *wait_for_events(PyObject *Py_UNUSED(self), PyObject *const *given,
                                 Py_ssize_t count)
{
    int fd, found;
    int64_t *events;
    double seconds, rest;
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "takes an epoll, its descriptor, room, seconds and rest");
        return NULL;
    }
    if (read_descriptor(given[1], &fd) < 0 || read_room(given[2], &events) < 0)
        return NULL;
    seconds = PyFloat_AsDouble(given[3]);
    rest = PyFloat_AsDouble(given[4]);
    if (PyErr_Occurred())
        return NULL;
    found = events_of(fd, events, seconds, rest);
    return found < 0 ? NULL : PyLong_FromLong(found);
}

static PyObject *event(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    int64_t *events;
    size_t at;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "takes room and a number");
        return NULL;
    }
    at = PyLong_AsSize_t(given[1]);
    if (PyErr_Occurred() || read_room(given[0], &events) < 0)
        return NULL;
    if (at >= BATCH) {
        PyErr_SetString(PyExc_IndexError, "no such event");
        return NULL;
    }
    return PyLong_FromLongLong(events[at]);
}

static PyObject *monotonic(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    return PyFloat_FromDouble(monotonic_seconds());
}

static PyMethodDef functions[] = {
    {"wait", (PyCFunction)(void (*)(void))wait_for_events, METH_FASTCALL, "See descriptors.py."},
    {"event", (PyCFunction)(void (*)(void))event, METH_FASTCALL, "See descriptors.py."},
    {"has_more", has_more, METH_O, "See descriptors.py."},
    {"monotonic", monotonic, METH_NOARGS, "See descriptors.py."},
    {"receive", receive, METH_O, "See descriptors.py."},
    {"room", make_room, METH_NOARGS, "See descriptors.py."},
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
    if (made == NULL)
        return NULL;
    if (PyModule_AddIntConstant(made, "READ_SIZE", READ_SIZE) < 0
        || PyModule_AddIntConstant(made, "SHIFT", SHIFT) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
