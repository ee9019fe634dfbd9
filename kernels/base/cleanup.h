/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

/*
 * Scope-bound ownership. A variable declared with AUTO(f) is released by f
 * when its scope ends; TAKE() and take_fd() are the one visible way to move
 * what it owns out of the scope.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(f) __attribute__((cleanup(f)))

/* The pointer, after setting the variable to NULL: ownership leaves here. */
#define TAKE(p) \
	__extension__({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void auto_free(void *pp)
{
	free(*(void **)pp);
}

static inline void auto_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void auto_fclose(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void auto_closedir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

#endif
