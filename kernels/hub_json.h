/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_HUB_JSON_H
#define KERNELS_HUB_JSON_H

/*
 * The Hub's answers, read from bytes that nobody vouches for. Pure. What
 * breaks their form is -EIO with a sentence: then the Hub, or who stands
 * before it, misbehaves. -ENOMEM. Forms: kernels-facts.md 6.2, 6.3.
 */

#include <stdbool.h>
#include <stddef.h>

#include "ref.h"

struct err;
struct source_refs;
struct text;
struct tree_builder;

/* The overview of an organisation: is the publisher trusted? */
int hub_json_trusted(const char *s, size_t n, bool *out, struct err *err);
/* Branches and tags; a name or commit that is none is left out. */
int hub_json_refs(const char *s, size_t n, struct source_refs *out,
		  struct err *err);

struct hub_page {
	const char *dir; /* what was asked for; "": the root */
	bool recursive;
	struct tree_builder *builder;
	size_t entries; /* counted up */
};

/* One page of a listing, into page->builder. -ENOENT: `dir` is a file. */
int hub_json_tree(const char *s, size_t n, struct hub_page *page,
		  struct err *err);
/* One page of an owner's kernels: their names, each with a NUL behind it,
 * are added to `out`; *count is counted up by the items seen. */
int hub_json_kernels(const char *s, size_t n, const char *owner,
		     struct text *out, size_t *count, struct err *err);

#endif
