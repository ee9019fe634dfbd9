/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Python module of one build, empty but for its name: importing it loads
 * the library, whose constructors register the operators. KERNEL_ID is the
 * name, unique to the build, since torch takes a namespace only once.
 */
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

extern const char kernel_namespace[];
const char kernel_namespace[] = TEXT(KERNEL_ID);

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = kernel_namespace,
	.m_size = 0,
};

PyMODINIT_FUNC JOIN(PyInit_, KERNEL_ID)(void)
{
	return PyModule_Create(&definition);
}
