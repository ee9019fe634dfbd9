/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PYTHON_H
#define RESOLVER_PYTHON_H

/*
 * The environment of a Python installation, by reading its files; Python is
 * never run (kernels-facts.md 3.2).
 */

#include <stddef.h>

struct env;
struct err;
struct text;

#define PYTHON_PATH_MAX 4096

/*
 * Which prefix: `asked` (a prefix or an interpreter's path) when not NULL,
 * else VIRTUAL_ENV, else CONDA_PREFIX, else python3 on PATH, through links,
 * pyvenv.cfg and the shims it can follow (pyenv, shell wrappers). What it
 * cannot follow is a sentence. `found` gets the prefix; or an interpreter in
 * its bin/, when another Python of the prefix than its default is meant.
 * -ENOENT: nothing was asked and there is no Python at all, or what was
 * asked is not there. -ENOTSUP: something is there that cannot be followed,
 * or a VIRTUAL_ENV that holds no Python.
 */
int python_find(char found[PYTHON_PATH_MAX], const char *asked,
		struct err *err);

/*
 * Fill an env from what python_find() found: interpreter tag, torch, C++
 * ABI, backend, tvm-ffi, cpu, os, glibc (this program's). -ENOENT with a
 * sentence when it is no Python prefix, -EINVAL when its torch does not say
 * what it is. `notes` (NULL allowed) gets one line for what was seen and could
 * not be used, and where each fact came from.
 */
int python_env(struct env *out, const char *prefix, struct text *notes,
	       struct err *err);

/* This machine without any Python: cpu, os, glibc; backend as the reference
 * does without torch (libcudart by the linker's cache, else CPU). */
int python_no_torch(struct env *out, struct err *err);

#endif
