/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "fact.h"
#include "store.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Notes, by kind, and their keys:
 *
 *	trees	"<url> <owner>/<repo>@<commit>:<dir>": the file of a tree; all
 *		below: with TREE_ALL behind it
 *	refs	"<url> <owner>/<repo>"
 *	kernels	"<url> <owner>"
 *	trust	"<url> <owner>": "yes" or "no"
 *	uses	the key of a build's tree (catalog_uses.c)
 *	commits	"<url> <owner>": lines "<repo> <commit>" of what has trees
 *	owners	"<url>": who has commits
 *	pins	"<url> <owner>/<repo>@<commit>": what the kernels were that
 *		it needs (catalog_pins.c)
 *	metadata	"<url> <owner>/<repo>@<commit>:<variant>": the bytes
 *	homes	"<urls> <owner>/<repo>": whose url that is, of several sources
 *		(source_many.c)
 *
 * A note that cannot be read or is damaged counts as absent, and one that
 * cannot be written (a read-only cache) costs only the next question.
 */

/* No folder's path ends so. */
#define TREE_ALL "/**/"

int catalog_new(struct catalog **out, struct source *source,
		struct store *store, struct err *err)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (!c)
		return err_errno(err, ENOMEM, "catalog");
	c->source = source;
	c->store = store;
	lock_init(&c->mu, LOCK_CATALOG);
	lock_cond_init(&c->indexed);
	store_ask_uses(store, catalog_uses_tell, c);
	*out = c;
	return 0;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	store_ask_uses(c->store, NULL, NULL);
	catalog_settle_done(c);
	(void)pthread_cond_destroy(&c->indexed);
	lock_done(&c->mu);
	free(c);
}

/* ---- notes ---- */

int catalog_keep(struct catalog *c, const char *kind, const char *key,
		 const void *p, size_t n)
{
	struct err why = ERR_INIT;
	int r = store_note_hint(c->store, kind, key, p, n);

	if (r == 0)
		catalog_settle(c, kind, key);
	else
		log_debug("catalog", "%s of %s not kept: %s", kind, key,
			  (err_errno(&why, -r, "write"), err_text(&why)));
	return r;
}

void catalog_note(struct catalog *c, const char *kind, const char *key,
		  const struct text *note)
{
	if (text_failed(note))
		log_debug("catalog", "%s of %s not kept: too long", kind, key);
	else
		(void)catalog_keep(c, kind, key, text_str(note), note->len);
}

void catalog_owner_key(struct text *key, const struct source *home,
		       const char *owner)
{
	text_printf(key, "%s %s", home->url, owner);
}

static void add_repo_key(struct text *key, const struct source *home,
			 const struct repo_id *repo)
{
	text_printf(key, "%s %s/%s", home->url, repo->owner, repo->name);
}

/* ---- trees ---- */

int catalog_note_tree(struct catalog *c, const char *key, struct tree **out)
{
	AUTO(auto_close) int fd = store_note_open(c->store, "trees", key);
	struct err why = ERR_INIT;
	int r;

	if (fd < 0)
		return fd;
	r = tree_open(out, fd, &why);
	if (r < 0)
		log_debug("catalog", "%s: listing in the cache: %s", key,
			  err_text(&why));
	return r;
}

void catalog_build_key(struct text *key, const char *url,
		       const struct repo_id *repo, const char *commit,
		       const char *variant)
{
	text_printf(key, "%s %s/%s@%s:build/%s" TREE_ALL, url, repo->owner,
		    repo->name, commit, variant);
}

void catalog_forget_commit(struct catalog *c, const char *url,
			   const struct repo_id *repo, const char *commit)
{
	static const char *const dirs[] = { "", "build" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);

		text_printf(&key, "%s %s/%s@%s:%s", url, repo->owner,
			    repo->name, commit, dirs[i]);
		store_note_remove(c->store, "trees", text_str(&key));
	}
	catalog_index_remove(c, url, repo, commit);
}

/* What the builder refuses is the source's fault. */
static int end_tree(struct tree_builder *b, const char *what, void **bytes,
		    size_t *n, struct err *err)
{
	struct err why = ERR_INIT;
	int r = tree_builder_end(b, bytes, n, &why);

	if (r == -ENOMEM)
		return err_errno(err, ENOMEM, "%s", what);
	if (r < 0)
		return err_set(err, EIO, "%s: the source's listing: %s", what,
			       err_text(&why));
	return 0;
}

static int keep_tree(struct catalog *c, const char *key, const void *bytes,
		     size_t n, struct tree **out, struct err *err)
{
	if (catalog_keep(c, "trees", key, bytes, n) == 0 &&
	    catalog_note_tree(c, key, out) == 0)
		return 1;
	return tree_from_bytes(out, bytes, n, err);
}

int catalog_tree(struct catalog *c, const struct repo_id *repo,
		 const char *commit, const char *dir, bool recursive,
		 enum catalog_reach reach, struct tree **out, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_free) void *bytes = NULL;
	struct tree_builder *b;
	struct source *home;
	size_t n = 0;
	int r = source_home(c->source, repo, reach == CATALOG_SOURCE, &home,
			    err);

	if (r < 0)
		return r;
	add_repo_key(&key, home, repo);
	text_printf(&key, "@%s:%s%s", commit, dir, recursive ? TREE_ALL : "");
	if (text_failed(&key))
		return err_errno(err, ENAMETOOLONG, "listing");
	if (catalog_note_tree(c, text_str(&key), out) == 0)
		return 0;
	if (reach == CATALOG_DISK)
		return err_set(err, EAGAIN, "%s is not in the cache",
			       text_str(&key));
	r = tree_builder_new(&b, err);
	if (r < 0)
		return r;
	if (!recursive) /* no build: its links may lead anywhere */
		tree_builder_drop_links(b);
	r = c->source->ops->tree(c->source, repo, commit, dir, recursive, b,
				 err);
	if (!r)
		r = end_tree(b, text_str(&key), &bytes, &n, err);
	tree_builder_free(b);
	if (!r)
		r = keep_tree(c, text_str(&key), bytes, n, out, err);
	if (r == 1)
		catalog_index(c, home, repo, commit);
	if (r == 1 && recursive)
		catalog_uses_begin(c, home, repo, commit, dir, text_str(&key));
	return r < 0 ? r : 0;
}

/* ---- refs, kernels, trust ---- */

int catalog_refs(struct catalog *c, const struct repo_id *repo,
		 enum catalog_reach reach, struct source_refs *out,
		 int64_t *age_s, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct source *home;
	int64_t age = 0;
	int r;

	/* Which source answers may show only by the answer. */
	if (reach == CATALOG_SOURCE) {
		r = c->source->ops->refs(c->source, repo, out, err);
		if (r < 0)
			return r;
	}
	r = source_home(c->source, repo, false, &home, err);
	if (r < 0 && reach == CATALOG_SOURCE)
		return 0;
	if (r < 0)
		return r;
	add_repo_key(&key, home, repo);
	if (reach == CATALOG_SOURCE) {
		fact_print_refs(&note, out);
		catalog_note(c, "refs", text_str(&key), &note);
	} else if (store_note_read(c->store, "refs", text_str(&key), &note,
				   &age) < 0 ||
		   fact_parse_refs(&note, out) < 0) {
		return err_set(err, EAGAIN,
			       "the refs of %s are not in the "
			       "cache",
			       text_str(&key));
	}
	if (age_s)
		*age_s = age;
	return 0;
}

int catalog_kernels(struct catalog *c, const char *owner,
		    enum catalog_reach reach, struct source_names *out,
		    int64_t *age_s, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	int64_t age = 0;
	int r;

	catalog_owner_key(&key, c->source, owner);
	if (reach == CATALOG_SOURCE) {
		r = c->source->ops->kernels(c->source, owner, out, err);
		if (r < 0)
			return r;
		fact_print_names(&note, out);
		catalog_note(c, "kernels", text_str(&key), &note);
	} else if (store_note_read(c->store, "kernels", text_str(&key), &note,
				   &age) < 0 ||
		   fact_parse_names(&note, out) < 0) {
		return err_set(err, EAGAIN,
			       "the kernels of %s are not in the "
			       "cache",
			       text_str(&key));
	}
	if (age_s)
		*age_s = age;
	return 0;
}

/* A "no" from before the last refresh is old; one of that second too. */
static bool no_is_fresh(struct catalog *c, int64_t age)
{
	int64_t at = __atomic_load_n(&c->refreshed_s, __ATOMIC_RELAXED);

	return age <= CATALOG_UNTRUSTED_S && (!at || age < io_wall_s() - at);
}

/* Does a word lie there, not older than asked? */
static bool trust_kept(struct catalog *c, const char *key, bool any_age,
		       bool *yes)
{
	AUTO(auto_text) struct text note = TEXT_INIT(64);
	struct cursor lines;
	struct cursor line;
	int64_t age = 0;

	if (store_note_read(c->store, "trust", key, &note, &age) < 0 ||
	    fact_open(&note, "trust", &lines) < 0 || !fact_next(&lines, &line))
		return false;
	*yes = cursor_equals(&line, "yes");
	return *yes ? any_age || age <= CATALOG_TRUST_S : no_is_fresh(c, age);
}

void catalog_refresh(struct catalog *c, const struct repo_id *repo)
{
	__atomic_store_n(&c->refreshed_s, io_wall_s(), __ATOMIC_RELAXED);
	if (c->source->ops->refresh)
		c->source->ops->refresh(c->source, repo);
}

bool catalog_is_down(struct catalog *c, const struct repo_id *repo)
{
	struct source *home;

	return source_home(c->source, repo, false, &home, NULL) == 0 &&
	       source_is_down(home);
}

int catalog_alive(struct catalog *c, const struct repo_id *repo,
		  struct err *err)
{
	struct source *home;
	int r = source_home(c->source, repo, false, &home, err);

	return r == 0 && home->ops->alive ? home->ops->alive(home, err) : r;
}

bool catalog_has_all(struct catalog *c, const struct repo_id *repo,
		     const struct tree *t)
{
	for (uint32_t i = 0; i < tree_count(t); i++) {
		struct tree_entry e;

		tree_get(t, i, &e);
		if (e.kind == TREE_FILE &&
		    !store_has(c->store, repo, &e.digest, e.size))
			return false;
	}
	return true;
}

bool catalog_one_source(const struct catalog *c)
{
	return !c->source->ops->home || c->source->member_count == 1;
}

int catalog_trusted(struct catalog *c, const struct repo_id *repo, bool any_age,
		    enum catalog_reach reach, bool *out, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(64);
	struct source *home;
	bool yes = false;
	int r = source_home(c->source, repo, reach == CATALOG_SOURCE, &home,
			    err);

	if (r < 0)
		return r;
	catalog_owner_key(&key, home, repo->owner);
	if (trust_kept(c, text_str(&key), any_age, &yes)) {
		*out = yes;
		return 0;
	}
	if (reach == CATALOG_DISK)
		return err_set(err, EAGAIN,
			       "no fresh word about publisher "
			       "'%s' in the cache",
			       repo->owner);
	r = c->source->ops->trusted(c->source, repo, &yes, err);
	if (r < 0)
		return r;
	fact_begin(&note, "trust");
	text_add(&note, yes ? "yes\n" : "no\n");
	fact_end(&note);
	catalog_note(c, "trust", text_str(&key), &note);
	*out = yes;
	return 0;
}
