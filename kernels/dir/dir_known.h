/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DIR_DIR_KNOWN_H
#define DIR_DIR_KNOWN_H

/*
 * The hashes of a local folder's files as they were when last looked at,
 * each with what the file was then (inode, size, times), so that a folder
 * that has not changed is not hashed again. Kept as a note of the cache;
 * whoever can write that can write the blobs beside it too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/digest.h"

struct stat;
struct text;

/* What a file was: if all of it is as before, so is its content. */
struct dir_stamp {
	uint64_t ino;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t ctime_ns;
};

void dir_stamp_of(struct dir_stamp *out, const struct stat *st);
bool dir_stamp_equal(const struct dir_stamp *a, const struct dir_stamp *b);

struct dir_known_file {
	const char *path; /* borrowed from `text`; relative to the folder */
	struct dir_stamp stamp;
	struct digest digest;
};

struct dir_known {
	struct dir_known_file *files; /* owned; ascending, tree's order */
	size_t count;
	char *text; /* owned */
};

/* A note made by dir_known_add(), between fact_begin and fact_end; -EBADMSG
 * with nothing in *out when it is damaged. */
int dir_known_parse(struct dir_known *out, const struct text *note);
void dir_known_done(struct dir_known *k);
/* The digest, or NULL: not known, or the file is another one by now. */
const struct digest *dir_known_find(const struct dir_known *k, const char *path,
				    const struct dir_stamp *stamp);

#define DIR_KNOWN_KIND "files"
/* One more line; in the order of tree_path_compare(). */
void dir_known_add(struct text *note, const char *path,
		   const struct dir_stamp *stamp, const struct digest *digest);

#endif
