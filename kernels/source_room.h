/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SOURCE_ROOM_H
#define KERNELS_SOURCE_ROOM_H

/*
 * What stands before other sources (source_mirror.c, source_many.c) shares:
 * questions whose result is heard, each with all that a kind may be asked.
 */

#include "kernels/http/http.h"
#include "source.h"

#define SOURCE_MEMBERS_MAX 16

enum source_question {
	SOURCE_KERNELS,
	SOURCE_TRUSTED,
	SOURCE_REFS,
	SOURCE_TREE,
	SOURCE_FILE,
};

/* A question with its answer's place; only what its kind needs is set. */
struct source_ask {
	enum source_question what;
	const struct repo_id *repo;
	const char *owner; /* SOURCE_KERNELS */
	struct source_names *names;
	bool *trusted;
	struct source_refs *refs;
	const char *commit; /* SOURCE_TREE, with the next three */
	const char *dir;
	bool recursive;
	struct tree_builder *builder;
	struct source_file file; /* SOURCE_FILE; `from` moves as bytes come */
	struct http_sink *sink;
	bool refused; /* the sink did: no fault of the source */
};

/* Put it to one source, and let its health hear of the result. */
int source_put(struct source *s, struct source_ask *ask, const char *on,
	       struct err *err);

#endif
