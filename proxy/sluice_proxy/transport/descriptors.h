/* What descriptors.py does. Reads and writes do not wait, so that none lets go of the interpreter's
 * lock, and one buffer is enough for all reads: what was read is copied, at its own size.
 */

#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { READ_SIZE = 16384, BATCH = 256, SHIFT = 16 };

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
static inline Py_ssize_t sent_bytes(int fd, const char *bytes, size_t size)
{
    ssize_t sent;
    do
        sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && would_block())
        return 0;
    if (sent < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    return sent;
}

static inline Py_ssize_t sent_of(int fd, PyObject *object)
{
    Py_ssize_t sent;
    Py_buffer view;
    if (PyBytes_Check(object))
        return sent_bytes(fd, PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    sent = sent_bytes(fd, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return sent;
}

/* Rounded up: who waits for a timer is not to come back before it. */
static inline int milliseconds(double seconds)
{
    double rounded = ceil(seconds * 1000.0);
    if (seconds < 0)
        return -1;
    return rounded < INT_MAX ? (int)rounded : INT_MAX;
}

/* Or until a signal comes. */
static inline void sleep_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&time, NULL);
}

/* How many are in `room` now; less than 0: an error is set. */
static inline int events_of(int fd, int64_t *room, double seconds, double rest)
{
    struct epoll_event events[BATCH];
    int timeout = milliseconds(seconds), found;
    Py_BEGIN_ALLOW_THREADS
    if (rest > 0)
        sleep_for(rest);
    found = epoll_wait(fd, events, BATCH, timeout);
    Py_END_ALLOW_THREADS
    if (found < 0 && errno == EINTR)
        /* Whoever waits looks at the clock, and waits on. */
        return PyErr_CheckSignals() < 0 ? -1 : 0;
    if (found < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    for (int at = 0; at < found; at++)
        room[at] = (int64_t)events[at].data.fd << SHIFT | (events[at].events & ((1 << SHIFT) - 1));
    return found;
}

static inline double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
