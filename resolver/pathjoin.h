/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PATHJOIN_H
#define RESOLVER_PATHJOIN_H

/*
 * Paths in buffers of PYTHON_PATH_MAX, for the modules that look at a Python
 * installation. What does not fit does not exist.
 */

#include "python.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* dir/name; 0 or -ENAMETOOLONG. `out` may not overlap the others. */
static inline int path_join(char out[PYTHON_PATH_MAX], const char *dir,
			    const char *name)
{
	const char *slash = dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/";
	int n = snprintf(out, PYTHON_PATH_MAX, "%s%s%s", dir, slash, name);

	if (n >= 0 && n < PYTHON_PATH_MAX)
		return 0;
	out[0] = '\0';
	return -ENAMETOOLONG;
}

/* Cut the last component off; false at the root or when there is no '/'. */
static inline bool path_up(char path[PYTHON_PATH_MAX])
{
	char *slash = strrchr(path, '/');

	if (!slash || !slash[1])
		return false;
	slash[slash == path] = '\0';
	return true;
}

static inline const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* dir/name is of this kind (S_IFREG, S_IFDIR), links followed. */
static inline bool path_has(const char *dir, const char *name, mode_t kind)
{
	char path[PYTHON_PATH_MAX];
	struct stat st;

	return path_join(path, dir, name) == 0 && stat(path, &st) == 0 &&
	       (st.st_mode & S_IFMT) == kind;
}

#endif
