/* Included before everything else that mypyc has generated.
 *
 * Where the end of a slice of bytes lies before its begin, Python gives no bytes; mypyc 2.4 asks for
 * a negative number of them, which is a SystemError (CPyBytes_GetSlice in its bytes_ops.c).
 */

#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static inline PyObject *sliced_bytes(const char *begin, Py_ssize_t size)
{
    return PyBytes_FromStringAndSize(begin, size < 0 ? 0 : size);
}

static inline PyObject *sliced_bytearray(const char *begin, Py_ssize_t size)
{
    return PyByteArray_FromStringAndSize(begin, size < 0 ? 0 : size);
}

#define PyBytes_FromStringAndSize sliced_bytes
#define PyByteArray_FromStringAndSize sliced_bytearray
