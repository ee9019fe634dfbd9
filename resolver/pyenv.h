/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PYENV_H
#define RESOLVER_PYENV_H

/*
 * pyenv's choice of a Python: PYENV_VERSION, .python-version in the working
 * folder and upwards, <root>/version, else the system's.
 */

#include "python.h"

#include <stdbool.h>

struct err;

/* A script <root>/shims/<name> with <root>/versions beside it. */
bool pyenv_is_shim(const char *path);

/*
 * The interpreter that a shim stands for; `name` is what it was called as
 * ("python3"). -ENOENT without a sentence when it is the system's, -ENOTSUP
 * with one when the chosen version is not installed.
 */
int pyenv_python(char found[PYTHON_PATH_MAX], const char *shim,
		 const char *name, struct err *err);

#endif
