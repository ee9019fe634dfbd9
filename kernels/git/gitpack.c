/* SPDX-License-Identifier: Apache-2.0 */
#include "gitodb.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "gitlib.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct gitpack {
	const struct gitlib *g;
	git_indexer *indexer;	       /* owned */
	char *folder;		       /* owned; where the pack comes to lie */
	git_indexer_progress progress; /* it counts on it from call to call */
	gitodb_stopped *stopped;
	void *arg;
	bool ended; /* by that */
};

/* Between two objects. */
static int on_object(const git_indexer_progress *progress, void *arg)
{
	struct gitpack *p = arg;

	(void)progress;
	p->ended = p->stopped(p->arg);
	return p->ended ? -1 : 0;
}

int gitpack_new(struct gitpack **out, const char *pack, gitodb_stopped *stopped,
		void *arg, struct err *err)
{
	const struct gitlib *g = gitlib_load(err);
	git_indexer_options o = { .version = GIT_INDEXER_OPTIONS_VERSION };
	struct gitpack *p;
	int r;

	if (!g)
		return -EIO;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_errno(err, ENOMEM, "pack");
	p->folder = strdup(pack);
	if (!p->folder) {
		free(p);
		return err_errno(err, ENOMEM, "pack");
	}
	p->g = g;
	p->stopped = stopped;
	p->arg = arg;
	o.progress_cb = on_object;
	o.progress_cb_payload = p;
	r = g->indexer_new(&p->indexer, pack, 0444, NULL, &o);
	if (r < 0) {
		free(p->folder);
		free(p);
		return gitlib_fail(g, r, pack, err);
	}
	*out = p;
	return 0;
}

static int fail(struct gitpack *p, struct err *err)
{
	(void)gitlib_fail(p->g, -1, "pack", err);
	return p->ended ? err_set(err, ECANCELED, "stopped") : -EIO;
}

int gitpack_add(struct gitpack *p, const void *s, size_t n, struct err *err)
{
	int r;

	if (n == 0)
		return 0;
	r = p->g->indexer_append(p->indexer, s, n, &p->progress);
	return r == 0 ? 0 : fail(p, err);
}

/* Past the umask: a shared cache is for its group to read, and any other
 * stands in a folder of its user's own. */
static void open_to_group(const struct gitpack *p)
{
	static const char *const ends[] = { "pack", "idx" };
	const char *name = p->g->indexer_name(p->indexer);

	for (size_t i = 0; name && i < sizeof(ends) / sizeof(*ends); i++) {
		AUTO(auto_text) struct text path = TEXT_INIT(PATH_MAX);

		text_printf(&path, "%s/pack-%s.%s", p->folder, name, ends[i]);
		if (text_failed(&path) == 0 &&
		    fchmodat(AT_FDCWD, text_str(&path), 0444, 0) < 0)
			log_debug("git", "'%s' stays its user's own",
				  text_str(&path));
	}
}

int gitpack_end(struct gitpack *p, struct err *err)
{
	if (p->g->indexer_commit(p->indexer, &p->progress) < 0)
		return fail(p, err);
	open_to_group(p);
	return 0;
}

void gitpack_free(struct gitpack *p)
{
	if (!p)
		return;
	p->g->indexer_free(p->indexer);
	free(p->folder);
	free(p);
}
