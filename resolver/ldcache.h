/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_LDCACHE_H
#define RESOLVER_LDCACHE_H

/*
 * The dynamic linker's cache (/etc/ld.so.cache, the format that glibc 2.2
 * introduced), for the libraries that a program would find by name.
 */

#include "python.h"

struct err;

#define LDCACHE_FILE "/etc/ld.so.cache"

/*
 * The path of the first library for this machine whose name starts with
 * `start` ("libcudart."), in the cache's order. -ENOENT, without a sentence,
 * when there is none or no cache; -EINVAL when the file is damaged.
 */
int ldcache_find(char found[PYTHON_PATH_MAX], const char *file,
		 const char *start, struct err *err);

#endif
