/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_SITEPATH_H
#define RESOLVER_SITEPATH_H

/*
 * The folders that a Python searches for packages, in its order, without
 * asking it: PYTHONPATH, the user's packages, the prefix's, and what .pth
 * files add. Not seen: folders that code adds (import lines of .pth files,
 * sitecustomize), archives, and PYTHONPATH entries that are not absolute.
 *
 * PYTHONPATH, PYTHONUSERBASE, PYTHONNOUSERSITE and HOME are those of this
 * process. Folders under a mount of type fuse.kernelfs are left out, as far
 * as their path says so (a link into one does not): a daemon that looked
 * there would wait for itself.
 */

#include "layout.h"

#include <stddef.h>
#include <sys/types.h>

struct text;

#define SITEPATH_FOLDERS_MAX 256

struct sitepath {
	struct sitepath_folder {
		char *path; /* owned */
		dev_t dev;
		ino_t ino;
	} folders[SITEPATH_FOLDERS_MAX];
	size_t count;
	char *mounts; /* owned; mount points to stay away from, NUL-ended */
};

/* Init first, done always. -ENOMEM, else 0. */
int sitepath_read(struct sitepath *s, const struct layout *l,
		  struct text *notes);
void sitepath_init(struct sitepath *s);
void sitepath_done(struct sitepath *s);
void auto_sitepath(struct sitepath *s); /* for AUTO() */

/*
 * Which mounts to stay away from: those of type fuse.kernelfs in the text of
 * a mountinfo. sitepath_read() takes /proc/self/mountinfo when nobody has
 * said so before. -ENOMEM, else 0.
 */
int sitepath_avoid(struct sitepath *s, const char *mountinfo);

/*
 * The first folder that holds the package `name` (a folder with
 * __init__.py), as Python finds it; NULL when none does. Borrowed.
 */
const char *sitepath_package(const struct sitepath *s, const char *name);

#endif
