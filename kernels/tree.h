/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_TREE_H
#define KERNELS_TREE_H

/*
 * The listing of one folder of a commit: that folder alone, or everything
 * below it. Immutable, counted, and *mapped from a file of the cache*: a
 * million known entries cost page cache and no private memory, and opening
 * a listing parses nothing.
 *
 * The file: a header (magic, format, counts, XXH3 of the rest), the entries
 * sorted by path with '/' before every other byte, so that what is below a
 * folder follows it at once, then the strings. Checked whole when opened: a
 * damaged file is -EBADMSG and made anew by the caller.
 *
 * Paths are relative to the listed folder; a builder refuses empty and
 * absolute paths, "", "." and ".." steps, control bytes, NUL, steps over 255
 * and paths over TREE_PATH_MAX bytes, duplicates (also a file that is a
 * folder), sizes over TREE_FILE_MAX, more than TREE_ENTRIES_MAX entries, and
 * adds folders that the source left out.
 *
 * A link is kept only where it can do no harm: in a listing of all that is
 * below a folder, when its target is "../" any number of times and then plain
 * steps, and stays inside that folder. Who follows it lands inside, also by
 * way of other links, since ".." stands nowhere else. Others are left out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct err;

#define TREE_PATH_MAX 1024
#define TREE_TARGET_MAX 1023
#define TREE_FILE_MAX (UINT64_C(1) << 44)
#define TREE_ENTRIES_MAX 1000000u
#define TREE_NONE UINT32_MAX

enum tree_kind {
	TREE_FILE,
	TREE_FOLDER,
	TREE_LINK,
};

struct tree_entry {
	const char *path; /* borrowed from the tree; NUL-terminated */
	const char *name; /* its last step */
	enum tree_kind kind;
	uint64_t size;	      /* bytes; 0 for a folder, of a link's target */
	struct digest digest; /* of a file; else DIGEST_NONE */
	const char *target;   /* of a link, borrowed from the tree; or NULL */
};

struct tree;

struct tree *tree_ref(struct tree *t); /* returns t */
void tree_unref(struct tree *t);       /* NULL allowed */
uint32_t tree_count(const struct tree *t);
/* Bytes of all files. */
uint64_t tree_bytes(const struct tree *t);
/* i < tree_count */
void tree_get(const struct tree *t, uint32_t i, struct tree_entry *out);
/* The index of a path, or TREE_NONE. "" is not an entry. */
uint32_t tree_find(const struct tree *t, const char *path);
/* Children of a folder (TREE_NONE: of the listed folder itself), in byte
 * order: the first, then the next of it; TREE_NONE at the end. O(1) each. */
uint32_t tree_first(const struct tree *t, uint32_t folder);
uint32_t tree_next(const struct tree *t, uint32_t i);
/* Is i (any number) the index of a child of it? */
bool tree_is_child(const struct tree *t, uint32_t folder, uint64_t i);
/* A child by name; TREE_NONE for `folder`: of the listed folder. */
uint32_t tree_child(const struct tree *t, uint32_t folder, const char *name);

/* ---- making one ---- */

struct tree_builder;

int tree_builder_new(struct tree_builder **out, struct err *err);
void tree_builder_free(struct tree_builder *b); /* NULL allowed */
/* As new: another is asked for the same listing. */
void tree_builder_clear(struct tree_builder *b);
/* -EINVAL, -E2BIG with a sentence that names the path; b is then unusable. */
int tree_builder_add(struct tree_builder *b, const char *path,
		     enum tree_kind kind, uint64_t size,
		     const struct digest *digest, struct err *err);
/* As the above; a target that leads elsewhere leaves the link out, which is
 * counted and no failure. */
int tree_builder_add_link(struct tree_builder *b, const char *path,
			  const char *target, struct err *err);
/* From now on all links are left out: the listing is of a folder alone. */
void tree_builder_drop_links(struct tree_builder *b);
size_t tree_builder_left_out(const struct tree_builder *b);
/* The listing as the bytes of its file; caller frees *bytes. */
int tree_builder_end(struct tree_builder *b, void **bytes, size_t *n,
		     struct err *err);

/* Map a file (read-only fd, stays the caller's). -EBADMSG when damaged. */
int tree_open(struct tree **out, int fd, struct err *err);
/* The same from memory, for who has no file (takes a copy). */
int tree_from_bytes(struct tree **out, const void *bytes, size_t n,
		    struct err *err);

#endif
