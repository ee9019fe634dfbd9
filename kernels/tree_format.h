/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_TREE_FORMAT_H
#define KERNELS_TREE_FORMAT_H

/*
 * What tree.c reads and tree_builder.c writes; nobody else's. The functions
 * are tree.c's.
 *
 *	header		64 bytes
 *	records		count * 64 bytes, in the order of their paths
 *	strings		the paths in the same order, each with its NUL; the
 *			target of a link, with its NUL, behind its path
 *
 * Numbers are the machine's own: the format number reads as another one on
 * a machine of the other byte order, which makes the listing anew. The same
 * happens whenever the layout changes and TREE_FORMAT is raised.
 *
 * A path is compared with '/' below every other byte, so that what lies
 * below a folder follows it at once: a, a/x, a/x/y, a!, b.
 */

#include "tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_MAGIC "kfstree"
#define TREE_FORMAT 2u
#define TREE_STEP_MAX 255u
/* A million paths of 268 bytes; offsets of records are 32 bits wide. */
#define TREE_STRINGS_MAX (UINT64_C(256) << 20)
#define TREE_SIZE_MAX \
	(sizeof(struct tree_header) + TREE_STRINGS_MAX + \
	 (uint64_t)TREE_ENTRIES_MAX * sizeof(struct tree_record))

struct tree_header {
	char magic[8];
	uint32_t format;
	uint32_t count;
	uint64_t strings_n;
	uint64_t bytes; /* of all files */
	uint64_t zero[3];
	uint64_t checksum; /* of all before it and all behind the header */
};

struct tree_record {
	uint64_t size;	 /* of a link: its target's length */
	uint32_t path;	 /* offset in the strings */
	uint32_t end;	 /* index behind the last entry below this one */
	uint32_t parent; /* index, TREE_NONE: the listed folder */
	uint16_t path_len;
	uint16_t name;	     /* where the last step begins in the path */
	uint8_t kind;	     /* enum tree_kind */
	uint8_t digest_kind; /* enum digest_kind */
	uint8_t zero[6];
	uint8_t digest[32];
};

_Static_assert(sizeof(struct tree_header) == 64, "no padding");
_Static_assert(sizeof(struct tree_record) == 64, "no padding");

/* <0, 0, >0 in the order above. */
int tree_path_compare(const char *a, const char *b);
/* NULL, or why these n bytes are no step of a path. */
const char *tree_step_fault(const char *s, size_t n);
/* Is the target of the link at this path such as may be shown? */
bool tree_target_inside(const char *path, const char *target, size_t n);
uint64_t tree_checksum(const struct tree_header *h, const void *rest, size_t n);

#endif
