/* SPDX-License-Identifier: Apache-2.0 */
#include "source_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "fact.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Several sources; the first that has a repository is its home. Which one
 * that is, is decided once per mount, by asking each in turn for the refs,
 * and kept as a note for the next: what is pinned and cached then asks nobody.
 *
 * A source that does not answer ends the search: going on to the next would
 * let whoever can silence the first put his own repository in its place.
 * Only a note, which says that it was so before, leads past it. Offline, the
 * sources on this machine are asked all the same, but what is found past one
 * that may not be asked is no answer against a note, and makes none.
 */

#define URL_MAX 2000 /* of all, joined; it is in the keys of notes */
#define NOTE_MAX 4096
#define KEY_MAX 4096
#define HOMES_MAX 16384 /* in memory; more are searched for again */
#define MEANWHILE \
	"what is cached goes on working, and names keep the commit they had"

/* To the floors above nonsense is as good as silence. */
static int put_member(struct source *s, struct source_ask *ask, const char *on,
		      struct err *err)
{
	int r = source_put(s, ask, on, err);

	if (r != -EPROTO)
		return r;
	if (err)
		err->code = EIO;
	return -EIO;
}

struct home {
	struct map_link link;
	struct repo_id repo;
	struct source *source; /* mu */
	bool decided; /* mu; by asking, in this mount; else from a note */
};

struct many {
	struct source source; /* first */
	struct source *members[SOURCE_MEMBERS_MAX];
	struct store *store; /* borrowed; NULL allowed */
	bool offline;
	struct lock mu;
	struct map homes; /* mu; owns struct home */
};

static struct many *many_of(struct source *s)
{
	return (struct many *)s;
}

/* ---- what is known ---- */

static uint64_t hash_of(const struct repo_id *repo)
{
	return map_hash_more(map_hash(repo->owner, strlen(repo->owner) + 1),
			     repo->name, strlen(repo->name));
}

static int is_home_of(const struct map_link *l, const void *key)
{
	return repo_equal(&map_item_const(l, struct home, link)->repo, key);
}

/* The home in memory; NULL. */
static struct source *remembered(struct many *m, const struct repo_id *repo,
				 bool *decided)
{
	struct source *found = NULL;
	struct map_link *l;

	lock_take(&m->mu);
	l = map_find(&m->homes, hash_of(repo), repo);
	if (l) {
		found = map_item(l, struct home, link)->source;
		*decided = map_item(l, struct home, link)->decided;
	}
	lock_drop(&m->mu);
	return found;
}

/* That there is no memory for it costs the next question only. */
static void remember(struct many *m, const struct repo_id *repo,
		     struct source *home, bool decided)
{
	struct home *fresh = calloc(1, sizeof(*fresh));
	struct home *h = fresh;
	struct map_link *l;

	lock_take(&m->mu);
	l = map_find(&m->homes, hash_of(repo), repo);
	if (l) {
		h = map_item(l, struct home, link);
	} else if (fresh && m->homes.count < HOMES_MAX) {
		fresh->repo = *repo;
		if (map_add(&m->homes, &fresh->link, hash_of(repo)) < 0)
			h = NULL;
		else
			fresh = NULL;
	}
	/* Two may have searched: who decided first has said it. */
	if (h && !h->decided) {
		h->source = home;
		h->decided = decided;
	}
	lock_drop(&m->mu);
	free(fresh);
}

static void add_key(struct text *key, const struct many *m,
		    const struct repo_id *repo)
{
	text_printf(key, "%s %s/%s", m->source.url, repo->owner, repo->name);
}

static struct source *member_named(const struct many *m, struct cursor url)
{
	for (size_t i = 0; i < m->source.member_count; i++)
		if (cursor_equals(&url, m->members[i]->url))
			return m->members[i];
	return NULL;
}

static struct source *noted(struct many *m, const struct repo_id *repo)
{
	AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(NOTE_MAX);
	struct cursor lines;
	struct cursor line;

	add_key(&key, m, repo);
	if (!m->store ||
	    store_note_read(m->store, "homes", text_str(&key), &note, NULL) <
		    0 ||
	    fact_open(&note, "homes", &lines) < 0 || !fact_next(&lines, &line))
		return NULL;
	return member_named(m, line);
}

/* Does the cache hold a commit of it from this source? (catalog_index.c) */
static bool has_commits(struct many *m, const struct source *s,
			const struct repo_id *repo)
{
	AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct cursor lines;
	struct cursor line;

	text_printf(&key, "%s %s", s->url, repo->owner);
	if (!m->store ||
	    store_note_read(m->store, "commits", text_str(&key), &note, NULL) <
		    0 ||
	    fact_open(&note, "commits", &lines) < 0)
		return false;
	while (fact_next(&lines, &line)) {
		struct cursor name = cursor_until(&line, ' ');

		if (cursor_equals(&name, repo->name))
			return true;
	}
	return false;
}

/* A source that was alone before has left no note of homes. What the first
 * one had needs no other; offline nobody can be asked. */
static struct source *cached_from(struct many *m, const struct repo_id *repo)
{
	size_t n = m->offline ? m->source.member_count : 1;

	for (size_t i = 0; i < n; i++)
		if (has_commits(m, m->members[i], repo))
			return m->members[i];
	return NULL;
}

static void write_note(struct many *m, const struct repo_id *repo,
		       const struct source *home)
{
	AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(NOTE_MAX);
	struct err why = ERR_INIT;

	add_key(&key, m, repo);
	fact_begin(&note, "homes");
	text_printf(&note, "%s\n", home->url);
	fact_end(&note);
	if (m->store && store_note_write(m->store, "homes", text_str(&key),
					 text_str(&note), note.len, &why) < 0)
		log_debug("source", "home of %s not kept: %s", text_str(&key),
			  err_text(&why));
}

/* In memory, else in a note, else by what is cached, else NULL. */
static struct source *known(struct many *m, const struct repo_id *repo,
			    bool *decided)
{
	struct source *s;

	*decided = true;
	if (m->source.member_count == 1)
		return m->members[0];
	*decided = false;
	s = remembered(m, repo, decided);
	if (s)
		return s;
	s = noted(m, repo);
	if (!s)
		s = cached_from(m, repo);
	if (s)
		remember(m, repo, s, false);
	return s;
}

/* For this mount; for the next ones too when it is sure. */
static void decide(struct many *m, const struct repo_id *repo,
		   struct source *home, bool sure)
{
	const struct source *before;

	remember(m, repo, home, true);
	before = sure ? noted(m, repo) : home;
	if (before == home)
		return;
	if (before)
		log_warning("source",
			    "'%s/%s' comes from '%s' now, and came from '%s' "
			    "before",
			    repo->owner, repo->name, home->url, before->url);
	write_note(m, repo, home);
}

/* ---- the search ---- */

static int refs_of(struct source *s, const struct repo_id *repo,
		   struct source_refs *refs, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_REFS,
				  .repo = repo,
				  .refs = refs };

	return put_member(s, &ask, MEANWHILE, err);
}

/* Who has it? Refs of who does. -ENOENT: nobody; else *out is who failed.
 * *sure: everybody before that one has said no. */
static int search(struct many *m, const struct repo_id *repo,
		  struct source_refs *refs, struct source **out, bool *sure,
		  struct err *err)
{
	struct err skipped = ERR_INIT;
	int r = -ENOENT;

	*sure = true;
	for (size_t i = 0; i < m->source.member_count; i++) {
		struct source *s = m->members[i];
		struct err why = ERR_INIT;

		*out = s;
		r = refs_of(s, repo, refs, &why);
		if (r == 0)
			return 0;
		if (r == -ENETUNREACH && m->offline) {
			skipped = why;
			*sure = false;
			continue;
		}
		if (err)
			*err = why;
		if (r != -ENOENT)
			return r;
	}
	if (skipped.code) {
		if (err)
			*err = skipped;
		return -ENETUNREACH;
	}
	return err_set(err, ENOENT, "'%s/%s': none of the %zu sources has it",
		       repo->owner, repo->name, m->source.member_count);
}

static int many_refs(struct source *s, const struct repo_id *repo,
		     struct source_refs *out, struct err *err)
{
	struct many *m = many_of(s);
	bool decided = false;
	struct source *home = known(m, repo, &decided);
	struct source_refs refs = { .branches = NULL };
	struct source *found = NULL;
	bool sure;
	int r;

	if (home && decided)
		return refs_of(home, repo, out, err);
	r = search(m, repo, &refs, &found, &sure, err);
	/* It was so before: that holds while a source before it is silent, or
	 * may not be asked. */
	if (home && home != found && (r < 0 ? r != -ENOENT : !sure)) {
		source_refs_done(&refs);
		return refs_of(home, repo, out, err);
	}
	if (r < 0)
		return r;
	decide(m, repo, found, sure);
	/* The first may say whose name is his. Of another one it would be
	 * believed against those before it: they are asked. */
	if (refs.moved_to.owner[0] && found == m->members[0])
		decide(m, &refs.moved_to, found, sure);
	*out = refs;
	return 0;
}

static int many_home(struct source *s, const struct repo_id *repo, bool ask,
		     struct source **out, struct err *err)
{
	struct many *m = many_of(s);
	struct source_refs refs = { .branches = NULL };
	struct source *home;
	bool decided;
	bool sure;
	int r;

	home = known(m, repo, &decided);
	if (home) {
		*out = home;
		return 0;
	}
	if (!ask)
		return err_set(err, EAGAIN,
			       "'%s/%s': which source has it is not known",
			       repo->owner, repo->name);
	r = search(m, repo, &refs, &home, &sure, err);
	if (r < 0)
		return r;
	decide(m, repo, home, sure);
	source_refs_done(&refs);
	*out = home;
	return 0;
}

/* ---- what goes to the home ---- */

static int ask_home(struct source *s, const struct repo_id *repo,
		    struct source_ask *ask, struct err *err)
{
	struct source *home;
	int r = many_home(s, repo, true, &home, err);

	return r < 0 ? r : put_member(home, ask, MEANWHILE, err);
}

static int many_trusted(struct source *s, const struct repo_id *repo, bool *out,
			struct err *err)
{
	struct source_ask ask = { .what = SOURCE_TRUSTED,
				  .repo = repo,
				  .trusted = out };

	return ask_home(s, repo, &ask, err);
}

static int many_tree(struct source *s, const struct repo_id *repo,
		     const char *commit, const char *dir, bool recursive,
		     struct tree_builder *b, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_TREE,
				  .repo = repo,
				  .commit = commit,
				  .dir = dir,
				  .recursive = recursive,
				  .builder = b };

	return ask_home(s, repo, &ask, err);
}

static int many_file(struct source *s, const struct source_file *f,
		     struct http_sink *sink, struct err *err)
{
	struct source_ask ask = { .what = SOURCE_FILE,
				  .file = *f,
				  .sink = sink };

	return ask_home(s, f->repo, &ask, err);
}

/* ---- an owner's kernels: of all ---- */

static void keep_names(struct many *m, const char *key,
		       const struct source_names *names)
{
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);

	fact_print_names(&note, names);
	if (m->store && !text_failed(&note))
		(void)store_note_write(m->store, "kernels", key,
				       text_str(&note), note.len, NULL);
}

static bool kept_names(struct many *m, const char *key,
		       struct source_names *out)
{
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);

	return m->store &&
	       store_note_read(m->store, "kernels", key, &note, NULL) == 0 &&
	       fact_parse_names(&note, out) == 0;
}

/* What one has, added; while it is silent, what it had. */
static int add_names(struct many *m, struct source *s, const char *owner,
		     struct text *all, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
	struct source_names names = { .names = NULL };
	struct source_ask ask = { .what = SOURCE_KERNELS,
				  .owner = owner,
				  .names = &names };
	int r = put_member(s, &ask, MEANWHILE, err);

	text_printf(&key, "%s %s", s->url, owner);
	if (r == 0)
		keep_names(m, text_str(&key), &names);
	else if (r != -ENOENT && r != -ENOSYS &&
		 kept_names(m, text_str(&key), &names))
		r = 0;
	for (size_t i = 0; i < names.count; i++)
		text_add_bytes(all, names.names[i], strlen(names.names[i]) + 1);
	source_names_done(&names);
	return r;
}

static int many_kernels(struct source *s, const char *owner,
			struct source_names *out, struct err *err)
{
	AUTO(auto_text)
	struct text all = TEXT_INIT(SOURCE_KERNELS_MAX * (REF_PART_MAX + 1));
	struct many *m = many_of(s);
	struct source_ask one = { .what = SOURCE_KERNELS,
				  .owner = owner,
				  .names = out };
	struct err first = ERR_INIT;
	bool any = false;
	int worst = -ENOSYS; /* a failure, else "no such owner", else that */

	if (s->member_count == 1)
		return put_member(m->members[0], &one, MEANWHILE, err);
	for (size_t i = 0; i < s->member_count; i++) {
		struct err why = ERR_INIT;
		int r = add_names(m, m->members[i], owner, &all, &why);

		any = any || r == 0;
		if (r == 0 || r == -ENOSYS ||
		    (r == -ENOENT && worst != -ENOSYS))
			continue;
		worst = r;
		first = why;
	}
	if (text_failed(&all))
		return err_errno(err, -text_failed(&all), "kernels of '%s'",
				 owner);
	if (any)
		return source_names_from(out, text_str(&all), all.len, err);
	if (worst == -ENOSYS)
		return err_set(err, ENOSYS,
			       "none of the sources lists the kernels of '%s'",
			       owner);
	if (err)
		*err = first;
	return worst;
}

/* ---- life ---- */

static void forget(struct many *m, const struct repo_id *repo)
{
	lock_take(&m->mu);
	for (struct map_link *l = map_next(&m->homes, NULL); l;
	     l = map_next(&m->homes, l)) {
		struct home *h = map_item(l, struct home, link);

		if (!repo || repo_equal(&h->repo, repo))
			h->decided = false;
	}
	lock_drop(&m->mu);
}

static void many_refresh(struct source *s, const struct repo_id *repo)
{
	forget(many_of(s), repo);
	for (size_t i = 0; i < s->member_count; i++)
		if (s->members[i]->ops->refresh)
			s->members[i]->ops->refresh(s->members[i], repo);
}

static void many_free(struct source *s)
{
	struct many *m = many_of(s);
	struct map_link *l;

	while ((l = map_next(&m->homes, NULL))) {
		map_remove(&m->homes, l);
		free(map_item(l, struct home, link));
	}
	map_done(&m->homes);
	for (size_t i = 0; i < s->member_count; i++)
		source_free(m->members[i]);
	lock_done(&m->mu);
	free(s->url);
	free(m);
}

static const struct source_ops many_ops = {
	.kernels = many_kernels,
	.trusted = many_trusted,
	.refs = many_refs,
	.tree = many_tree,
	.file = many_file,
	.home = many_home,
	.refresh = many_refresh,
	.free = many_free,
};

static int join_urls(struct many *m, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);

	for (size_t i = 0; i < m->source.member_count; i++)
		text_printf(&url, "%s%s", i ? " " : "", m->members[i]->url);
	if (text_failed(&url))
		return err_set(err, EINVAL,
			       "the sources' URLs have more than %d bytes",
			       URL_MAX);
	m->source.url = text_dup(text_str(&url), url.len);
	return m->source.url ? 0 : err_errno(err, ENOMEM, "source");
}

int source_many_new(struct source **out, struct source **sources, size_t n,
		    const struct source_options *o, struct err *err)
{
	struct many *m = n <= SOURCE_MEMBERS_MAX ? calloc(1, sizeof(*m)) : NULL;
	int r;

	if (!m) {
		for (size_t i = 0; i < n; i++)
			source_free(sources[i]);
		return n > SOURCE_MEMBERS_MAX
			       ? err_set(err, EINVAL, "more than %d sources",
					 SOURCE_MEMBERS_MAX)
			       : err_errno(err, ENOMEM, "source");
	}
	lock_init(&m->mu, LOCK_SOURCE);
	map_init(&m->homes, is_home_of);
	m->store = o->store;
	m->offline = o->offline;
	m->source.ops = &many_ops;
	m->source.local = true;
	m->source.members = m->members;
	m->source.member_count = n;
	memcpy(m->members, sources, n * sizeof(*sources));
	for (size_t i = 0; i < n; i++)
		m->source.local = m->source.local && sources[i]->local;
	r = join_urls(m, err);
	if (r < 0) {
		many_free(&m->source);
		return r;
	}
	*out = &m->source;
	return 0;
}
