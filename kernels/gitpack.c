/* SPDX-License-Identifier: Apache-2.0 */
#include "gitodb.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "gitlib.h"

#include <errno.h>
#include <stdlib.h>

struct gitpack {
	const struct gitlib *g;
	git_indexer *indexer;	       /* owned */
	git_indexer_progress progress; /* it counts on it from call to call */
};

int gitpack_new(struct gitpack **out, const char *pack, struct err *err)
{
	const struct gitlib *g = gitlib_load(err);
	struct gitpack *p;
	int r;

	if (!g)
		return -EIO;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_errno(err, ENOMEM, "pack");
	p->g = g;
	r = g->indexer_new(&p->indexer, pack, 0444, NULL, NULL);
	if (r < 0) {
		free(p);
		return gitlib_fail(g, r, pack, err);
	}
	*out = p;
	return 0;
}

int gitpack_add(struct gitpack *p, const void *s, size_t n, struct err *err)
{
	int r;

	if (n == 0)
		return 0;
	r = p->g->indexer_append(p->indexer, s, n, &p->progress);
	if (r == 0)
		return 0;
	(void)gitlib_fail(p->g, -1, "pack", err);
	return -EIO;
}

int gitpack_end(struct gitpack *p, struct err *err)
{
	if (p->g->indexer_commit(p->indexer, &p->progress) == 0)
		return 0;
	(void)gitlib_fail(p->g, -1, "pack", err);
	return -EIO;
}

void gitpack_free(struct gitpack *p)
{
	if (!p)
		return;
	p->g->indexer_free(p->indexer);
	free(p);
}
