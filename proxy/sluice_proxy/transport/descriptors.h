/* What descriptors.py does. Reads and writes do not wait, so that none lets go of the interpreter's
 * lock, and one buffer is enough for all reads: what was read is copied, at its own size.
 */

#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { READ_SIZE = 16384 };

/* Nothing, or no room, for now? */
static inline int would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static inline PyObject *received(int fd)
{
    static char room[READ_SIZE];
    ssize_t count;
    do
        count = recv(fd, room, sizeof room, MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count >= 0)
        return PyBytes_FromStringAndSize(room, count);
    if (would_block())
        Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* Less than 0: an error is set. */
static inline int are_more(int fd)
{
    int count = 0;
    if (ioctl(fd, FIONREAD, &count) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return count > 0;
}

/* Less than 0: an error is set. */
static inline Py_ssize_t sent_of(int fd, PyObject *object)
{
    ssize_t sent;
    Py_buffer data;
    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return -1;
    do
        sent = send(fd, data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    PyBuffer_Release(&data);
    if (sent < 0 && would_block())
        return 0;
    if (sent < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    return sent;
}
