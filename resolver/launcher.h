/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_LAUNCHER_H
#define RESOLVER_LAUNCHER_H

/*
 * Where a file called python leads: an interpreter, one of a virtual
 * environment, pyenv's shim, or a shell script that ends in an exec of
 * another one. Only read, never run.
 */

#include "python.h"

struct err;

/*
 * `path` is absolute and exists. `found` gets the prefix; or, when the
 * prefix has another default Python, the interpreter in its bin/ (what
 * layout_read() takes). -ENOENT, without a sentence: pyenv says that the
 * system's Python is meant. -ENOTSUP with a sentence: a launcher that cannot
 * be followed.
 */
int launcher_follow(char found[PYTHON_PATH_MAX], const char *path,
		    struct err *err);

#endif
