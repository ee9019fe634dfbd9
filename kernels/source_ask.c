/* SPDX-License-Identifier: Apache-2.0 */
#include "source_room.h"

#include "base/err.h"
#include "tree.h"

#include <errno.h>

/* Between a source and who wants its bytes: where do they stand? */
struct pass {
	struct http_sink sink; /* first */
	struct source_ask *ask;
};

static int pass_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct source_ask *ask = ((struct pass *)s)->ask;
	int r = ask->sink->begin(ask->sink, from, err);

	ask->refused = r < 0;
	if (r < 0)
		return r;
	/* The whole, then, and not a part. */
	if (from < ask->file.from)
		ask->file.until = 0;
	ask->file.from = from;
	return r;
}

static int pass_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	struct source_ask *ask = ((struct pass *)s)->ask;
	int r = ask->sink->write(ask->sink, p, n, err);

	ask->refused = r < 0;
	if (r < 0)
		return r;
	ask->file.from += n;
	if (ask->file.from > ask->file.until)
		ask->file.until = 0;
	return r;
}

static void pass_asked(struct http_sink *s)
{
	struct http_sink *to = ((struct pass *)s)->ask->sink;

	if (to->asked)
		to->asked(to);
}

static int put_file(struct source *s, struct source_ask *ask, struct err *err)
{
	const struct source_file file = ask->file;
	struct pass pass = {
		.sink = { .begin = pass_begin,
			  .write = pass_write,
			  .asked = pass_asked },
		.ask = ask,
	};

	ask->refused = false;
	return s->ops->file(s, &file, &pass.sink, err);
}

static int put(struct source *s, struct source_ask *ask, struct err *err)
{
	switch (ask->what) {
	case SOURCE_KERNELS:
		return s->ops->kernels(s, ask->owner, ask->names, err);
	case SOURCE_TRUSTED:
		return s->ops->trusted(s, ask->repo, ask->trusted, err);
	case SOURCE_REFS:
		return s->ops->refs(s, ask->repo, ask->refs, err);
	case SOURCE_TREE:
		return s->ops->tree(s, ask->repo, ask->commit, ask->dir,
				    ask->recursive, ask->builder, err);
	case SOURCE_FILE:
		return put_file(s, ask, err);
	}
	return -EINVAL;
}

int source_put(struct source *s, struct source_ask *ask, const char *on,
	       struct err *err)
{
	struct err why = ERR_INIT;
	int r = put(s, ask, &why);

	/* One that stands before others has heard of each by itself. */
	if (!s->member_count && !s->local && !ask->refused)
		source_heard(s, r, on, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}
