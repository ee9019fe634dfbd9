/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

/*
 * Is this a place to mount at, and what is mounted where.
 */

#include <stdbool.h>

struct err;

/* An existing, empty folder that is no mount point: *path is its absolute
 * path (caller frees). Otherwise -errno with a sentence. */
int mountpoint_check(const char *name, char **path, struct err *err);

/* Every kernelfs mount of this mount namespace, in mount order. */
int mountpoint_each(bool (*each)(void *arg, const char *path), void *arg,
		    struct err *err);
/* The kernelfs mount that a path lies in: its mount point (caller frees), or
 * -ENOENT. Touches nothing below it. */
int mountpoint_of(const char *path, char **out, struct err *err);

#endif
