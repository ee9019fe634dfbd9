/* SPDX-License-Identifier: Apache-2.0 */
#include "source_dir.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/fact.h"
#include "kernels/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The versions of a repository that is a local folder: "main", which is all
 * that lies in it but what follows; "vN" for each folder vN/ with its own
 * build/; and "vN" for each file refs/vN, which says what it means: nothing
 * or "main", "vM", or the 40 hex digits of one of these. Each version is one
 * commit, named by what it holds (dir_scan.h).
 *
 * Looking is done whole, by refs() and for a commit that is not known: the
 * folder is walked, but only files that have changed are hashed, which the
 * note "files" of the cache remembers. What was seen is kept, the last few of
 * it, so that what did not change of an older commit can still be read.
 * tree() and file() lean on that and see nothing newer, so one mount never
 * mixes two states of a folder under one commit.
 */

#define SEEN_MAX 8
#define REF_FILE_MAX 128

/* ---- what was seen ---- */

static void seen_free(struct source_dir_seen *s)
{
	dir_scan_done(&s->scan);
	free(s);
}

void source_dir_put(struct source_dir *d, struct source_dir_seen *s)
{
	bool last;

	if (!s)
		return;
	lock_take(&d->mu);
	last = --s->refs == 0;
	lock_drop(&d->mu);
	if (last)
		seen_free(s);
}

static struct source_dir_seen *seen_find_locked(const struct source_dir_repo *r,
						const char *commit)
{
	struct source_dir_seen *s = r->seen;

	while (s && strcmp(s->scan.commit, commit) != 0)
		s = s->next;
	return s;
}

/* Put it in front; what is too old goes, unless somebody uses it, who then
 * frees it. */
static void seen_add(struct source_dir *d, struct source_dir_repo *r,
		     struct source_dir_seen *s, size_t keep)
{
	struct source_dir_seen *gone = NULL;
	struct source_dir_seen **pp;
	size_t n = 0;

	lock_take(&d->mu);
	for (pp = &r->seen; *pp;) {
		struct source_dir_seen *at = *pp;
		bool same = !strcmp(at->base, s->base) &&
			    !strcmp(at->scan.commit, s->scan.commit);

		if (!same && ++n < keep) {
			pp = &at->next;
			continue;
		}
		*pp = at->next;
		if (--at->refs == 0) {
			at->next = gone;
			gone = at;
		}
	}
	s->refs = 1;
	s->next = r->seen;
	r->seen = s;
	lock_drop(&d->mu);
	while (gone) {
		struct source_dir_seen *next = gone->next;

		seen_free(gone);
		gone = next;
	}
}

/* The place to remember what is seen of a repository; nobody else looks at
 * it until leave(). NULL: no memory. */
static struct source_dir_repo *enter(struct source_dir *d,
				     const struct repo_id *repo)
{
	struct source_dir_repo *r;

	lock_take(&d->mu);
	for (;;) {
		for (r = d->repos; r && !repo_equal(&r->id, repo);)
			r = r->next;
		if (!r || !r->busy)
			break;
		(void)lock_wait(&d->mu, &d->looked, -1);
	}
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (r) {
			r->id = *repo;
			r->next = d->repos;
			d->repos = r;
		}
	}
	if (r)
		r->busy = true;
	lock_drop(&d->mu);
	return r;
}

static void leave(struct source_dir *d, struct source_dir_repo *r)
{
	lock_take(&d->mu);
	r->busy = false;
	(void)pthread_cond_broadcast(&d->looked);
	lock_drop(&d->mu);
}

/* ---- looking ---- */

struct look {
	struct source_dir *d;
	const struct repo_id *repo;
	struct source_dir_repo *to;
	int folder; /* of the repository */
	size_t keep;
	struct err *err;
};

static void add_key(struct text *key, const struct look *l, const char *base)
{
	text_printf(key, "%s %s/%s/%s", l->d->source.url, l->repo->owner,
		    l->repo->name, base);
}

static void recall(const struct look *l, const char *base,
		   struct dir_known *out)
{
	AUTO(auto_text) struct text key = TEXT_INIT(8192);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);

	add_key(&key, l, base);
	if (!l->d->store || text_failed(&key) ||
	    store_note_read(l->d->store, DIR_KNOWN_KIND, text_str(&key), &note,
			    NULL) < 0)
		return;
	if (dir_known_parse(out, &note) < 0)
		log_debug("dir", "what is known of %s is damaged: hashed anew",
			  text_str(&key));
}

static void remember(const struct look *l, const char *base,
		     const struct dir_scan *scan)
{
	AUTO(auto_text) struct text key = TEXT_INIT(8192);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct err why = ERR_INIT;

	add_key(&key, l, base);
	if (!l->d->store || text_failed(&key))
		return;
	dir_scan_note(scan, &note);
	if (text_failed(&note) ||
	    store_note_write(l->d->store, DIR_KNOWN_KIND, text_str(&key),
			     text_str(&note), note.len, &why) < 0)
		log_debug("dir", "hashes of %s not kept: %s", text_str(&key),
			  text_failed(&note) ? "too many" : err_text(&why));
}

/* One version; its commit goes to `commit`. */
static int look_at(const struct look *l, const char *base,
		   char commit[REF_COMMIT_LEN + 1])
{
	AUTO(auto_text) struct text name = TEXT_INIT(8192);
	AUTO(auto_close) int folder = -1;
	struct dir_known known = { .count = 0 };
	struct dir_scan_options o = {
		.versions_apart = !*base,
		.now_s = io_wall_s(),
		.known = &known,
		.stopped = source_dir_stopped,
		.arg = l->d,
	};
	struct source_dir_seen *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(l->err, ENOMEM, "look at a folder");
	(void)text_copy(s->base, sizeof(s->base), base);
	text_printf(&name, "%s/%s%s%s", l->repo->owner, l->repo->name,
		    *base ? "/" : "", base);
	o.name = text_str(&name);
	folder = dir_open(l->folder, *base ? base : ".", O_PATH | O_DIRECTORY);
	if (folder < 0) {
		free(s);
		return err_errno(l->err, -folder, "'%s'", o.name);
	}
	recall(l, base, &known);
	r = dir_scan(&s->scan, folder, &o, l->err);
	dir_known_done(&known);
	if (r < 0) {
		free(s);
		return r;
	}
	if (s->scan.hashed)
		remember(l, base, &s->scan);
	(void)text_copy(commit, REF_COMMIT_LEN + 1, s->scan.commit);
	seen_add(l->d, l->to, s, l->keep);
	return 0;
}

/* What a file refs/vN says; false when that is not here. */
static bool read_ref(const struct look *l, const char *name,
		     const struct source_refs *known,
		     char commit[REF_COMMIT_LEN + 1])
{
	AUTO(auto_close) int fd = -1;
	char path[REF_PART_MAX];
	char buf[REF_FILE_MAX];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "refs/%.16s", name);
	fd = dir_open(l->folder, path, O_RDONLY);
	n = fd < 0 ? -1 : io_pread_all(fd, buf, sizeof(buf) - 1, 0);
	if (n < 0)
		return false;
	while (n && strchr(" \t\r\n", buf[n - 1]))
		n--;
	buf[n] = '\0';
	for (size_t i = 0; i < known->branch_count; i++) {
		const struct source_ref *at = &known->branches[i];

		if (strcmp(*buf ? buf : "main", at->name) != 0 &&
		    strcmp(buf, at->commit) != 0)
			continue;
		(void)text_copy(commit, REF_COMMIT_LEN + 1, at->commit);
		return true;
	}
	text_printable(buf);
	log_warning("dir",
		    "'%s/%s/refs/%s' is left out: it says '%s', which is no "
		    "version that is here",
		    l->repo->owner, l->repo->name, name, buf);
	return false;
}

/* Behind the versions that are folders, which count first. */
static int read_refs(const struct look *l, struct source_refs *refs)
{
	AUTO(auto_close)
	int fd = dir_open(l->folder, "refs", O_PATH | O_DIRECTORY);
	AUTO(auto_closedir) DIR *stream = fd < 0 ? NULL : source_dir_stream(fd);
	struct source_refs more = { .branch_count = refs->branch_count };
	const struct dirent *item;

	if (!stream)
		return 0;
	more.branches =
		calloc(2 * SOURCE_DIR_VERSIONS_MAX + 1, sizeof(*more.branches));
	if (!more.branches)
		return err_errno(l->err, ENOMEM, "refs");
	memcpy(more.branches, refs->branches,
	       refs->branch_count * sizeof(*more.branches));
	while ((item = readdir(stream)) != NULL &&
	       more.branch_count < 2 * SOURCE_DIR_VERSIONS_MAX) {
		struct source_ref *at = &more.branches[more.branch_count];

		if (!dir_is_version(item->d_name) ||
		    source_refs_branch(&more, item->d_name) ||
		    !read_ref(l, item->d_name, refs, at->commit))
			continue;
		(void)text_copy(at->name, sizeof(at->name), item->d_name);
		more.branch_count++;
	}
	source_refs_done(refs);
	*refs = more;
	return 0;
}

/* Versions that have a folder; at most SOURCE_DIR_VERSIONS_MAX, by name. */
static int find_versions(int repo, struct source_refs *out)
{
	AUTO(auto_closedir) DIR *stream = source_dir_stream(repo);
	const struct dirent *item;

	if (!stream)
		return -errno;
	out->branches =
		calloc(SOURCE_DIR_VERSIONS_MAX + 1, sizeof(*out->branches));
	if (!out->branches)
		return -ENOMEM;
	while ((item = readdir(stream)) != NULL) {
		char path[64];

		if (!dir_is_version(item->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "%.16s/build", item->d_name);
		if (!source_dir_has_folder(repo, path))
			continue;
		if (out->branch_count == SOURCE_DIR_VERSIONS_MAX)
			return -E2BIG;
		(void)text_copy(out->branches[out->branch_count++].name,
				sizeof(out->branches->name), item->d_name);
	}
	return 0;
}

/* All versions as they are now. */
static int look_whole(struct look *l, struct source_refs *out)
{
	struct source_refs refs = { .branch_count = 0 };
	struct source_ref *all;
	int r = find_versions(l->folder, &refs);

	if (r < 0) {
		source_refs_done(&refs);
		return err_errno(l->err, -r, "versions of '%s/%s'",
				 l->repo->owner, l->repo->name);
	}
	all = refs.branches; /* has room for one more */
	(void)text_copy(all[refs.branch_count++].name, sizeof(all->name),
			"main");
	l->keep = SEEN_MAX + refs.branch_count;
	for (size_t i = 0; i < refs.branch_count && r == 0; i++)
		r = look_at(l, i + 1 < refs.branch_count ? all[i].name : "",
			    all[i].commit);
	if (r == 0)
		r = read_refs(l, &refs);
	if (r < 0)
		source_refs_done(&refs);
	else
		*out = refs;
	return r;
}

int source_dir_look(struct source_dir *d, const struct repo_id *repo,
		    struct source_refs *out, struct err *err)
{
	AUTO(auto_close) int root = source_dir_open_root(d);
	AUTO(auto_close) int folder = -1;
	struct look l = { .d = d, .repo = repo, .err = err };
	int r;

	if (root < 0)
		return err_errno(err, -root, "%s", d->source.url);
	folder = source_dir_open_repo(d, repo, "");
	if (folder == -ENOENT || folder == -ENOTDIR || folder == -ELOOP ||
	    (folder >= 0 && !source_dir_is_repo(folder)))
		return err_set(err, ENOENT,
			       "'%s/%s': not found at %s: no such folder with "
			       "a build/ in it",
			       repo->owner, repo->name, d->source.url);
	if (folder < 0)
		return err_errno(err, -folder, "'%s/%s' at %s", repo->owner,
				 repo->name, d->source.url);
	l.folder = folder;
	l.to = enter(d, repo);
	if (!l.to)
		return err_errno(err, ENOMEM, "look at a folder");
	r = look_whole(&l, out);
	leave(d, l.to);
	return r;
}

/* A commit as it was seen, held (source_dir_put). */
int source_dir_find(struct source_dir *d, const struct repo_id *repo,
		    const char *commit, struct source_dir_seen **out,
		    struct err *err)
{
	for (int again = 0;; again++) {
		struct source_refs refs = { .branch_count = 0 };
		struct source_dir_repo *r;
		struct source_dir_seen *s = NULL;
		int looked;

		lock_take(&d->mu);
		for (r = d->repos; r && !repo_equal(&r->id, repo);)
			r = r->next;
		if (r)
			s = seen_find_locked(r, commit);
		if (s)
			s->refs++;
		lock_drop(&d->mu);
		if (s) {
			*out = s;
			return 0;
		}
		if (again)
			return err_set(err, ENOENT,
				       "'%s/%s@%s' is not what %s holds now",
				       repo->owner, repo->name, commit,
				       d->source.url);
		looked = source_dir_look(d, repo, &refs, err);
		source_refs_done(&refs);
		if (looked < 0)
			return looked;
	}
}

void source_dir_forget_all(struct source_dir *d)
{
	struct source_dir_repo *next;

	for (struct source_dir_repo *r = d->repos; r; r = next) {
		next = r->next;
		while (r->seen) {
			struct source_dir_seen *s = r->seen;

			r->seen = s->next;
			seen_free(s);
		}
		free(r);
	}
	d->repos = NULL;
}
