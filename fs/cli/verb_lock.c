/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "resolver/lockfile.h"
#include "resolver/locking.h"
#include "resolver/project.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define OUT_MAX (64u << 20)

/* What is named on the line: a folder, or the project's file in it. */
struct place {
	char folder[4096];
	char project[4096];
	char lock[4096];
};

struct task {
	struct place place;
	struct project project;
};

static int join(char out[4096], const char *folder, const char *name,
		struct err *err)
{
	size_t n = strlen(folder);
	const char *slash = n && folder[n - 1] == '/' ? "" : "/";

	/* the current folder is not named */
	if (!strcmp(folder, "."))
		folder = slash = "";
	if (snprintf(out, 4096, "%s%s%s", folder, slash, name) >= 4096)
		return err_errno(err, ENAMETOOLONG, "'%.100s'", folder);
	return 0;
}

static int find_place(struct place *p, const char *word, struct err *err)
{
	struct stat st;
	const char *slash;
	int r;

	if (stat(word, &st) < 0)
		return err_errno(err, errno, "'%s'", word);
	if (S_ISDIR(st.st_mode)) {
		r = text_copy(p->folder, sizeof(p->folder), word);
		if (r == 0)
			r = join(p->project, word, PROJECT_NAME, err);
	} else {
		slash = strrchr(word, '/');
		r = text_copy(p->project, sizeof(p->project), word);
		(void)snprintf(p->folder, sizeof(p->folder), "%.*s",
			       slash ? (int)(slash - word + 1) : 1,
			       slash ? word : ".");
	}
	if (r < 0)
		return err_errno(err, -r, "'%.100s'", word);
	return join(p->lock, p->folder, LOCKFILE_NAME, err);
}

static int write_lock(const struct place *p, const struct lockfile *l,
		      struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	AUTO(auto_close)
	int dir = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : 0;

	lockfile_print(l, &out);
	if (r == 0)
		r = text_failed(&out);
	if (r == 0)
		r = io_replace(dir, LOCKFILE_NAME, text_str(&out), out.len,
			       true);
	return r < 0 ? err_errno(err, -r, "'%s'", p->lock) : 0;
}

static int lock(const struct place *p, const struct project *project,
		struct world *w, struct err *err)
{
	AUTO(auto_text) struct text said = TEXT_INIT(8192);
	struct lockfile l = { .path = NULL };
	int r = locking_run(&l, w->resolve, project, p->lock, err);

	/* a signal that came meanwhile must not leave a file */
	if (r == 0 && setup_interrupted())
		r = -ECANCELED;
	if (r == 0)
		r = write_lock(p, &l, err);
	if (r == 0) {
		text_printf(&said, "%s: %zu kernel%s locked\n", p->lock,
			    l.count, l.count == 1 ? "" : "s");
		r = cli_put(&said);
	}
	lockfile_done(&l);
	return r;
}

static int work(const struct cli *c, struct world *w, const void *arg,
		struct err *err)
{
	const struct task *t = arg;

	(void)c;
	return lock(&t->place, &t->project, w, err);
}

int verb_lock(const struct cli *c)
{
	struct task t = { .project = { .count = 0 } };
	struct err err = ERR_INIT;
	int r = setup_log(c->o, &err);

	/* what is locked already decides nothing, and may not be there yet */
	free(TAKE(c->o->lock));
	c->o->locked = false;
	if (r == 0)
		r = find_place(&t.place, c->count ? c->words[0] : ".", &err);
	if (r == 0)
		r = project_read(&t.project, t.place.project, &err);
	r = r < 0 ? cli_fail(r, &err) : setup_run(c, world_new, work, &t);
	project_done(&t.project);
	return r;
}
