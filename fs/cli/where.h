/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WHERE_H
#define CLI_WHERE_H

/*
 * Which mount a path of the command line lies in, and where in it. A mount
 * that does not answer is found too: by the path's text alone.
 */

struct err;

struct where {
	char *mount;	  /* owned; the mount point */
	char *path;	  /* owned; absolute, without "." and ".." */
	const char *rest; /* of path, below the mount; "" for the mount */
};

/* -ENOENT with a sentence: in no kernelfs mount. */
int where_find(struct where *out, const char *path, struct err *err);
void where_done(struct where *w);

#endif
