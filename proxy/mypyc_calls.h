/* Included before everything else that mypyc has generated: what it calls as C does, with neither
 * a lookup nor an object for each number (see DIRECT in native.py).
 */

#pragma once
#include "mypyc_slices.h"
#include <CPy.h>
#include "sluice_proxy/transport/descriptors.h"
#include "sluice_proxy/wire/plain.h"

/* Tagged: twice the number. */
static inline CPyTagged tagged(int64_t number)
{
    return (CPyTagged)number << 1;
}

static inline int64_t untagged(CPyTagged number)
{
    return (int64_t)number >> 1;
}

static inline CPyTagged direct_plan_of(PyObject *data)
{
    return tagged(plan_of_bytes(bytes_of(data)));
}

static inline CPyTagged direct_status_of(PyObject *data, CPyTagged plan)
{
    return tagged(status_of_bytes(bytes_of(data), untagged(plan)));
}

static inline PyObject *direct_shape_of(PyObject *data, CPyTagged plan)
{
    return shape_of_bytes(bytes_of(data), untagged(plan));
}

static inline char direct_is_known(PyObject *data, CPyTagged plan)
{
    return is_known_text(bytes_of(data), untagged(plan));
}

static inline char direct_know(PyObject *shape)
{
    know_shape(bytes_of(shape));
    return 1; /* None */
}

static inline PyObject *direct_name_of(PyObject *data)
{
    return name_of_bytes(bytes_of(data));
}

static inline PyObject *direct_renamed(PyObject *data, PyObject *name)
{
    return renamed_bytes(bytes_of(data), bytes_of(name));
}

static inline char direct_is_bound(CPyTagged plan)
{
    return is_bound(untagged(plan));
}

static inline PyObject *direct_receive(CPyTagged fd)
{
    return received((int)untagged(fd));
}

static inline CPyTagged direct_send(CPyTagged fd, PyObject *data)
{
    Py_ssize_t sent = sent_of((int)untagged(fd), data);
    return sent < 0 ? CPY_INT_TAG : tagged(sent);
}

static inline CPyTagged direct_wait(PyObject *epoll, CPyTagged fd, PyObject *events,
                                    double seconds, double rest)
{
    int64_t *room = (int64_t *)PyByteArray_AS_STRING(events);
    int found = events_of((int)untagged(fd), room, seconds, rest);
    (void)epoll;
    return found < 0 ? CPY_INT_TAG : tagged(found);
}

static inline CPyTagged direct_event(PyObject *events, CPyTagged number)
{
    return tagged(((const int64_t *)PyByteArray_AS_STRING(events))[untagged(number)]);
}

static inline double direct_monotonic(void)
{
    return monotonic_seconds();
}

/* Whether an object is of a class. What of another was seen last is remembered in each place where
 * that is asked, so that who comes again is known by two comparisons. A class that is remembered
 * is kept: its place in memory cannot become another's.
 */
#undef PyObject_TypeCheck
#define PyObject_TypeCheck(object, class)                                                     \
    ({                                                                                        \
        static PyTypeObject *seen;                                                            \
        PyTypeObject *own = Py_TYPE(object), *wanted = (class);                               \
        own == wanted || own == seen || (PyType_IsSubtype(own, wanted) && remember(&seen, own)); \
    })

static inline int remember(PyTypeObject **seen, PyTypeObject *own)
{
    Py_INCREF(own);
    Py_XSETREF(*seen, own);
    return 1;
}
