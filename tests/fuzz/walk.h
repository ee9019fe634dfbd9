/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_WALK_H
#define TESTS_FUZZ_WALK_H

/*
 * Everything that can be asked of a listing, and what must hold of it.
 */

#include "fuzz.h"

#include "kernels/tree.h"

/* Followed step by step, a target never leaves the listed folder. */
static inline void walk_target(const struct tree_entry *e)
{
	const char *p = e->target;
	int depth = 0;

	FUZZ_CHECK(strlen(p) == e->size && e->size <= TREE_TARGET_MAX);
	for (const char *q = e->path; (q = strchr(q, '/')); q++)
		depth++;
	for (; p; p = strchr(p, '/')) {
		p += *p == '/';
		FUZZ_CHECK(*p && *p != '/');
		if (strncmp(p, "..", 2) == 0 && (!p[2] || p[2] == '/'))
			depth--;
		FUZZ_CHECK(depth >= 0);
	}
}

static inline void walk_entry(const struct tree *t, uint32_t i, uint32_t folder)
{
	struct tree_entry e;
	const char *slash;

	tree_get(t, i, &e);
	FUZZ_CHECK(e.path[0] && strlen(e.path) <= TREE_PATH_MAX);
	for (const char *p = e.path; *p; p++)
		FUZZ_CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
	slash = strrchr(e.path, '/');
	FUZZ_CHECK(e.name == (slash ? slash + 1 : e.path));
	FUZZ_CHECK(e.name[0] && strlen(e.name) <= 255);
	FUZZ_CHECK(strcmp(e.name, ".") != 0 && strcmp(e.name, "..") != 0);
	FUZZ_CHECK(e.size <= TREE_FILE_MAX);
	FUZZ_CHECK((e.kind != TREE_FILE) == (e.digest.kind == DIGEST_NONE));
	FUZZ_CHECK((e.kind == TREE_LINK) == (e.target != NULL));
	if (e.target)
		walk_target(&e);
	FUZZ_CHECK(tree_find(t, e.path) == i);
	FUZZ_CHECK(tree_child(t, folder, e.name) == i);
}

/* The walk goes down and up by itself: depth is the input's to say. */
static inline void walk_all(const struct tree *t)
{
	uint32_t stack[TREE_PATH_MAX];
	uint32_t depth = 0, seen = 0;
	uint32_t at = tree_first(t, TREE_NONE);
	uint64_t bytes = 0;
	struct tree_entry e;

	while (at != TREE_NONE || depth > 0) {
		if (at == TREE_NONE) {
			at = tree_next(t, stack[--depth]);
			continue;
		}
		FUZZ_CHECK(at < tree_count(t) && seen < tree_count(t));
		seen++;
		walk_entry(t, at, depth ? stack[depth - 1] : TREE_NONE);
		tree_get(t, at, &e);
		bytes += e.kind == TREE_FILE ? e.size : 0;
		if (e.kind == TREE_FOLDER) {
			FUZZ_CHECK(depth < TREE_PATH_MAX);
			stack[depth++] = at;
			at = tree_first(t, at);
		} else {
			FUZZ_CHECK(tree_first(t, at) == TREE_NONE);
			at = tree_next(t, at);
		}
	}
	FUZZ_CHECK(seen == tree_count(t) && bytes == tree_bytes(t));
	FUZZ_CHECK(tree_find(t, "") == TREE_NONE);
}

#endif
