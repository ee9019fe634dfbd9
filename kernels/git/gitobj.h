/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_GITOBJ_H
#define GIT_GITOBJ_H

/*
 * What git's commits and trees say, read from bytes that nobody vouches for:
 * an object's hash says that it came whole, not that it is well made. Pure.
 *
 *	tree   = { mode SP name NUL id }	mode: octal digits, id: 20 bytes
 *	commit = "tree " 40hex LF ...
 */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct cursor;
struct err;

#define GITOBJ_ID 20

enum gitobj_kind {
	GITOBJ_FILE,
	GITOBJ_FOLDER,
	GITOBJ_LINK,
	GITOBJ_MODULE, /* another repository's commit */
};

struct gitobj_entry {
	enum gitobj_kind kind;
	char name[NAME_MAX + 1];
	uint8_t id[GITOBJ_ID];
};

/*
 * The next entry of a tree: 1, 0 at the end, -EIO with a sentence. Refused: a
 * name that is no plain step of a path or stands for git's own folder (who
 * runs git below it would run what that folder says), an unknown mode.
 */
int gitobj_next(struct cursor *tree, struct gitobj_entry *out, struct err *err);
/* The id of a commit's tree. */
int gitobj_tree_of(const char *commit, size_t n, uint8_t id[GITOBJ_ID],
		   struct err *err);
/* 40 lower-case hex digits; 0 or -EINVAL. */
int gitobj_parse_id(uint8_t id[GITOBJ_ID], const char *hex);
void gitobj_print_id(const uint8_t id[GITOBJ_ID], char hex[41]);

#endif
