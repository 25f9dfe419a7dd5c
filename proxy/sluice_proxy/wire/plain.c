/* What plain.py says, to the last bit: see there for what it means and why.
 *
 * Lengths are unsigned here: a negative one is longer than any read. Nothing is looked at beyond
 * the bytes that are there.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { NONE = -1, QUERY = 0, BOUND = 2 };

static const char describe_portal[] = {'D', 0, 0, 0, 6, 'P', 0};
static const char execute_head[] = {'E', 0, 0, 0, 9, 0};
enum { EXECUTE_LENGTH = 10 };
static const char sync_message[] = {'S', 0, 0, 0, 4};
static const char parsed_and_bound[] = {'1', 0, 0, 0, 4, '2', 0, 0, 0, 4};
enum { PARSED_LENGTH = 5 };

typedef struct {
    const unsigned char *at; /* the first byte */
    int64_t size;
} Bytes;

static int64_t length_at(Bytes data, int64_t at)
{
    const unsigned char *four = data.at + at;
    return (int64_t)((uint32_t)four[0] << 24 | (uint32_t)four[1] << 16
                     | (uint32_t)four[2] << 8 | four[3]);
}

static int begins(Bytes data, int64_t at, const char *with, size_t size)
{
    return at + (int64_t)size <= data.size && memcmp(data.at + at, with, size) == 0;
}

#define BEGINS(data, at, with) begins(data, at, with, sizeof with)

/* Where the first zero byte is, from `at` on and before `end`; -1 if there is none. */
static int64_t zero_at(Bytes data, int64_t at, int64_t end)
{
    const unsigned char *found = at < end ? memchr(data.at + at, 0, (size_t)(end - at)) : NULL;
    return found == NULL ? -1 : found - data.at;
}

/* Of a Parse of the unnamed statement that ends there. */
static int replaces_unnamed(Bytes data, int64_t end)
{
    int64_t types = zero_at(data, 6, end) + 1;
    if (types <= 0 || types > end - 2)
        return 0;
    return end - 2 - types == 4 * (data.at[types] << 8 | data.at[types + 1]);
}

/* Of what follows a Bind, up to the end. */
static int described_at(Bytes data, int64_t at)
{
    int described = BEGINS(data, at, describe_portal);
    if (described)
        at += sizeof describe_portal;
    if (!BEGINS(data, at, execute_head) || !BEGINS(data, at + EXECUTE_LENGTH, sync_message)
        || at + EXECUTE_LENGTH + (int64_t)sizeof sync_message != data.size)
        return -1;
    return described;
}

static int64_t plan_of_bound(Bytes data)
{
    int64_t end = 1 + length_at(data, 1), name_end = zero_at(data, 6, data.size);
    int described;
    if (data.at[5] || name_end <= 6 || name_end >= end)
        return NONE;
    described = described_at(data, end);
    return described < 0 ? NONE : BOUND | described;
}

static int64_t plan_of_pipeline(Bytes data)
{
    int64_t end = 1 + length_at(data, 1), at = end;
    int described;
    if (data.at[5] || at < 6 || at + 7 > data.size || data.at[at] != 'B' || data.at[at + 5]
        || data.at[at + 6])
        return NONE;
    if (length_at(data, at + 1) < 6)
        return NONE;
    described = described_at(data, at + 1 + length_at(data, at + 1));
    return described >= 0 && replaces_unnamed(data, end) ? end << 1 | described : NONE;
}

static int64_t plan_of_bytes(Bytes data)
{
    if (data.size < 7)
        return NONE;
    if (data.at[0] == 'P')
        return plan_of_pipeline(data);
    if (data.at[0] == 'B')
        return plan_of_bound(data);
    if (data.at[0] != 'Q' || length_at(data, 1) != data.size - 1)
        return NONE;
    return zero_at(data, 5, data.size) == data.size - 1 ? QUERY : NONE;
}

static int is_bound(int64_t plan)
{
    return plan >> 1 == 1;
}

static int64_t length_of_head(Bytes data, int64_t plan)
{
    int64_t skipped = is_bound(plan) ? PARSED_LENGTH : 0;
    int64_t at = sizeof parsed_and_bound - skipped;
    if (data.size < at + 5 || !begins(data, 0, parsed_and_bound + skipped, at))
        return data.size;
    if (!(plan & 1))
        return at;
    if ((data.at[at] != 'T' && data.at[at] != 'n') || length_at(data, at + 1) < 4)
        return data.size;
    return at + 1 + length_at(data, at + 1);
}

static int is_completion(unsigned char kind)
{
    return kind == 'C' || kind == 'I';
}

static int is_plain(Bytes data, int64_t at, int64_t plan)
{
    static const char harmless[] = {'D', 'E', 'L', 'E', 'T', 'E'};
    unsigned char kind = data.at[at];
    if (is_completion(kind))
        return data.at[at + 5] != 'D' || BEGINS(data, at + 5, harmless);
    return kind == 'D' || (kind == 'T' && plan == QUERY);
}

static int status_of_bytes(Bytes data, int64_t plan)
{
    int64_t at = plan ? length_of_head(data, plan) : 0, length;
    int completed = 0;
    for (; at + 6 <= data.size; at += 1 + length) {
        length = length_at(data, at + 1);
        if (data.at[at] == 'Z')
            return completed && length == 5 && at + 6 == data.size ? data.at[at + 5] : 0;
        if (length < 4 || (completed && plan) || !is_plain(data, at, plan))
            return 0;
        completed = completed || is_completion(data.at[at]);
    }
    return 0;
}

static int read_bytes(PyObject *object, Bytes *data)
{
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "takes bytes, not %s", Py_TYPE(object)->tp_name);
        return -1;
    }
    *data = (Bytes){(const unsigned char *)PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object)};
    return 0;
}

static PyObject *plan_of(PyObject *Py_UNUSED(self), PyObject *object)
{
    Bytes data;
    return read_bytes(object, &data) < 0 ? NULL : PyLong_FromLongLong(plan_of_bytes(data));
}

static int are(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given != wanted)
        PyErr_Format(PyExc_TypeError, "takes %zd arguments, not %zd", wanted, given);
    return given == wanted;
}

/* Without its digits; `to` has room for all of it. */
static Py_ssize_t copy_shape(char *to, Bytes data, int64_t at, int64_t end)
{
    char *next = to;
    for (; at < end; at++) {
        *next = (char)data.at[at];
        next += data.at[at] < '0' || data.at[at] > '9';
    }
    return next - to;
}

static PyObject *shape_of(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    /* A read is no longer: a plain request is all that came in one. */
    static char room[16384];
    Bytes data;
    int64_t begin = 5, end;
    if (!are(count, 2) || read_bytes(given[0], &data) < 0)
        return NULL;
    end = data.size - 1;
    if (PyObject_IsTrue(given[1])) {
        begin = 6;
        end = zero_at(data, 6, data.size);
    }
    if (end < begin || end - begin > (int64_t)sizeof room) {
        PyErr_SetString(PyExc_ValueError, "no plain request");
        return NULL;
    }
    return PyBytes_FromStringAndSize(room, copy_shape(room, data, begin, end));
}

/* That is a request which begins with the Bind of a named statement? Where its name ends. */
static int64_t name_end_of(Bytes data)
{
    int64_t end = data.size > 6 ? zero_at(data, 6, data.size) : -1;
    if (end < 0)
        PyErr_SetString(PyExc_ValueError, "no plain request");
    return end;
}

static PyObject *name_of(PyObject *Py_UNUSED(self), PyObject *object)
{
    Bytes data;
    int64_t end = read_bytes(object, &data) < 0 ? -1 : name_end_of(data);
    return end < 0 ? NULL : PyBytes_FromStringAndSize((const char *)data.at + 6, end - 6);
}

static PyObject *renamed(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data, name;
    int64_t end, length;
    PyObject *made;
    unsigned char *to;
    if (!are(count, 2) || read_bytes(given[0], &data) < 0 || read_bytes(given[1], &name) < 0)
        return NULL;
    end = name_end_of(data);
    if (end < 0)
        return NULL;
    made = PyBytes_FromStringAndSize(NULL, 6 + name.size + data.size - end);
    if (made == NULL)
        return NULL;
    to = (unsigned char *)PyBytes_AS_STRING(made);
    length = length_at(data, 1) + name.size - (end - 6);
    to[0] = 'B';
    for (int at = 0; at < 4; at++)
        to[1 + at] = (unsigned char)(length >> (24 - 8 * at));
    to[5] = 0;
    memcpy(to + 6, name.at, (size_t)name.size);
    memcpy(to + 6 + name.size, data.at + end, (size_t)(data.size - end));
    return made;
}

static PyObject *plan_is_bound(PyObject *Py_UNUSED(self), PyObject *object)
{
    long long plan = PyLong_AsLongLong(object);
    if (plan == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(is_bound(plan));
}

static PyObject *status_of(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data;
    long long plan;
    if (!are(count, 2) || read_bytes(given[0], &data) < 0)
        return NULL;
    plan = PyLong_AsLongLong(given[1]);
    if (plan == -1 && PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(status_of_bytes(data, plan));
}

static PyMethodDef functions[] = {
    {"plan_of", plan_of, METH_O, "See plain.py."},
    {"is_bound", plan_is_bound, METH_O, "See plain.py."},
    {"name_of", name_of, METH_O, "See plain.py."},
    {"renamed", (PyCFunction)(void (*)(void))renamed, METH_FASTCALL, "See plain.py."},
    {"shape_of", (PyCFunction)(void (*)(void))shape_of, METH_FASTCALL, "See plain.py."},
    {"status_of", (PyCFunction)(void (*)(void))status_of, METH_FASTCALL, "See plain.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "plain", "What kind of plain traffic some bytes are.", 0, functions,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_plain(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    if (PyModule_AddIntConstant(made, "NONE", NONE) < 0
        || PyModule_AddIntConstant(made, "QUERY", QUERY) < 0
        || PyModule_AddIntConstant(made, "BOUND", BOUND) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
