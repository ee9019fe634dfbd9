/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PREFIX_H
#define RESOLVER_PREFIX_H

/*
 * Which Python is meant: the one asked for, VIRTUAL_ENV, CONDA_PREFIX, or
 * python3 (then python) on PATH. A VIRTUAL_ENV without a Python is a
 * mistake and said; a conda environment need not hold one.
 */

#include "python.h"

struct err;

/*
 * As python_find(). -ENOENT: what was asked for is not there, or there is no
 * Python at all. -ENOTSUP: something is there that cannot be followed.
 */
int prefix_find(char found[PYTHON_PATH_MAX], const char *asked,
		struct err *err);

#endif
