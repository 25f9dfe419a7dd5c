/* plain.py's twin: plain.h as a module of Python's. */

#include "plain.h"

static int read_bytes(PyObject *object, Bytes *data)
{
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "takes bytes, not %s", Py_TYPE(object)->tp_name);
        return -1;
    }
    *data = bytes_of(object);
    return 0;
}

static int are(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given != wanted)
        PyErr_Format(PyExc_TypeError, "takes %zd arguments, not %zd", wanted, given);
    return given == wanted;
}

/* The arguments `data` and `plan`. */
static int read_planned(PyObject *const *given, Py_ssize_t count, Bytes *data, long long *plan)
{
    if (!are(count, 2) || read_bytes(given[0], data) < 0)
        return -1;
    *plan = PyLong_AsLongLong(given[1]);
    return *plan == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *plan_of(PyObject *Py_UNUSED(self), PyObject *object)
{
    Bytes data;
    return read_bytes(object, &data) < 0 ? NULL : PyLong_FromLongLong(plan_of_bytes(data));
}

static PyObject *plan_is_bound(PyObject *Py_UNUSED(self), PyObject *object)
{
    long long plan = PyLong_AsLongLong(object);
    if (plan == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(is_bound(plan));
}

static PyObject *name_of(PyObject *Py_UNUSED(self), PyObject *object)
{
    Bytes data;
    return read_bytes(object, &data) < 0 ? NULL : name_of_bytes(data);
}

static PyObject *renamed(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data, name;
    if (!are(count, 2) || read_bytes(given[0], &data) < 0 || read_bytes(given[1], &name) < 0)
        return NULL;
    return renamed_bytes(data, name);
}

static PyObject *shape_of(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data;
    long long plan;
    return read_planned(given, count, &data, &plan) < 0 ? NULL : shape_of_bytes(data, plan);
}

static PyObject *know(PyObject *Py_UNUSED(self), PyObject *object)
{
    Bytes shape;
    if (read_bytes(object, &shape) < 0)
        return NULL;
    know_shape(shape);
    Py_RETURN_NONE;
}

static PyObject *is_known(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data;
    long long plan;
    if (read_planned(given, count, &data, &plan) < 0)
        return NULL;
    return PyBool_FromLong(is_known_text(data, plan));
}

static PyObject *status_of(PyObject *Py_UNUSED(self), PyObject *const *given, Py_ssize_t count)
{
    Bytes data;
    long long plan;
    if (read_planned(given, count, &data, &plan) < 0)
        return NULL;
    return PyLong_FromLong(status_of_bytes(data, plan));
}

static PyMethodDef functions[] = {
    {"plan_of", plan_of, METH_O, "See plain.py."},
    {"is_bound", plan_is_bound, METH_O, "See plain.py."},
    {"is_known", (PyCFunction)(void (*)(void))is_known, METH_FASTCALL, "See plain.py."},
    {"know", know, METH_O, "See plain.py."},
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
        || PyModule_AddIntConstant(made, "BOUND", BOUND) < 0
        || PyModule_AddIntConstant(made, "KNOWN_LENGTH", KNOWN_LENGTH) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
