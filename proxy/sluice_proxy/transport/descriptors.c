/* descriptors.py's twin: descriptors.h as a module of Python's, and the wait for events. */

#include "descriptors.h"
#include <limits.h>
#include <math.h>
#include <sys/epoll.h>

enum { BATCH = 256, SHIFT = 16 };

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

/* Rounded up: who waits for a timer is not to come back before it. */
static int milliseconds(double seconds)
{
    double rounded = ceil(seconds * 1000.0);
    if (seconds < 0)
        return -1;
    return rounded < INT_MAX ? (int)rounded : INT_MAX;
}

static PyObject *listed(const struct epoll_event *events, int count)
{
    PyObject *list = PyList_New(count), *number;
    for (int at = 0; list != NULL && at < count; at++) {
        number = PyLong_FromLongLong((long long)events[at].data.fd << SHIFT
                                     | (events[at].events & ((1 << SHIFT) - 1)));
        if (number == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, at, number);
    }
    return list;
}

static PyObject *wait_for_events(PyObject *Py_UNUSED(self), PyObject *const *given,
                                 Py_ssize_t count)
{
    static struct epoll_event events[BATCH];
    int fd, timeout, found;
    double seconds;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "takes an epoll and seconds");
        return NULL;
    }
    fd = PyObject_AsFileDescriptor(given[0]);
    seconds = PyFloat_AsDouble(given[1]);
    if (fd < 0 || (seconds == -1.0 && PyErr_Occurred()))
        return NULL;
    timeout = milliseconds(seconds);
    Py_BEGIN_ALLOW_THREADS
    found = epoll_wait(fd, events, BATCH, timeout);
    Py_END_ALLOW_THREADS
    if (found < 0 && errno == EINTR)
        /* Whoever waits looks at the clock, and waits on. */
        return PyErr_CheckSignals() < 0 ? NULL : PyList_New(0);
    return found < 0 ? PyErr_SetFromErrno(PyExc_OSError) : listed(events, found);
}

static PyMethodDef functions[] = {
    {"wait", (PyCFunction)(void (*)(void))wait_for_events, METH_FASTCALL, "See descriptors.py."},
    {"has_more", has_more, METH_O, "See descriptors.py."},
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
    if (made == NULL)
        return NULL;
    if (PyModule_AddIntConstant(made, "READ_SIZE", READ_SIZE) < 0
        || PyModule_AddIntConstant(made, "SHIFT", SHIFT) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
