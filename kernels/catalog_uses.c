/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "fact.h"
#include "store.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Which builds are in the cache, and when they were last used. Each has a
 * note "uses" under the key of its listing, whose lines are the source's URL,
 * the repository, the commit and the build's folder, and whose age is that of
 * its last use: so all builds are found by walking the notes, those of other
 * mounts and other sources too, and a use costs no more than setting a time.
 *
 * The store asks here before it removes blobs. A listing without a single
 * blob is nobody's after a day: until then somebody may be fetching them.
 */

#define USE_NOTE_MAX 8192
#define ABANDONED_S (24 * 3600)

/* ---- writing it down ---- */

static void print_use(struct text *note, const char *url,
		      const struct repo_id *repo, const char *commit,
		      const char *variant)
{
	fact_begin(note, "uses");
	text_printf(note, "%s\n%s/%s\n%s\n%s\n", url, repo->owner, repo->name,
		    commit, variant);
	fact_end(note);
}

static void write_use(struct catalog *c, const char *key, const char *url,
		      const struct repo_id *repo, const char *commit,
		      const char *variant)
{
	AUTO(auto_text) struct text note = TEXT_INIT(USE_NOTE_MAX);

	print_use(&note, url, repo, commit, variant);
	/* that it is lost costs a build its place in a list */
	if (text_failed(&note) == 0)
		(void)store_note_hint(c->store, "uses", key, text_str(&note),
				      note.len);
}

void catalog_uses_begin(struct catalog *c, const struct source *home,
			const struct repo_id *repo, const char *commit,
			const char *dir, const char *key)
{
	const char *variant = dir + strlen("build/");

	if (text_starts(dir, "build/") && *variant && !strchr(variant, '/'))
		write_use(c, key, home->url, repo, commit, variant);
}

void catalog_used(struct catalog *c, const struct repo_id *repo,
		  const char *commit, const char *variant)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	struct source *home;

	if (source_home(c->source, repo, false, &home, NULL) < 0)
		return;
	catalog_build_key(&key, home->url, repo, commit, variant);
	if (text_failed(&key) == 0 &&
	    store_note_touch(c->store, "uses", text_str(&key)) < 0)
		write_use(c, text_str(&key), home->url, repo, commit, variant);
}

/* ---- reading ---- */

static bool take_line(struct cursor *lines, char *out, size_t room)
{
	struct cursor line;

	if (!fact_next(lines, &line) || cursor_left(&line) >= room)
		return false;
	memcpy(out, line.p, cursor_left(&line));
	out[cursor_left(&line)] = '\0';
	return true;
}

struct walk {
	struct catalog *catalog;
	catalog_build_each *each;
	void *arg;
};

static int tell_build(void *arg, const struct text *note, int64_t written_s)
{
	const struct walk *w = arg;
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	struct catalog_build b = { .last_used_s = written_s };
	char repo[2 * REF_PART_MAX + 2];
	struct cursor lines;
	int r;

	if (fact_open(note, "uses", &lines) < 0 ||
	    !take_line(&lines, b.url, sizeof(b.url)) ||
	    !take_line(&lines, repo, sizeof(repo)) ||
	    !take_line(&lines, b.commit, sizeof(b.commit)) ||
	    !take_line(&lines, b.variant, sizeof(b.variant)) ||
	    ref_parse_repo(&b.repo, repo, NULL) < 0 ||
	    !text_is_hex(b.commit, REF_COMMIT_LEN))
		return 0;
	catalog_build_key(&key, b.url, &b.repo, b.commit, b.variant);
	if (catalog_note_tree(w->catalog, text_str(&key), &b.tree) < 0)
		return 0;
	r = w->each(w->arg, &b);
	tree_unref(b.tree);
	return r;
}

int catalog_each_build(struct catalog *c, catalog_build_each *each, void *arg)
{
	struct walk w = { .catalog = c, .each = each, .arg = arg };

	return store_note_walk(c->store, "uses", USE_NOTE_MAX, tell_build, &w);
}

uint64_t catalog_build_bytes(struct catalog *c, const struct catalog_build *b,
			     bool *whole)
{
	uint64_t bytes = 0;

	*whole = true;
	for (uint32_t i = 0; i < tree_count(b->tree); i++) {
		struct tree_entry e;

		tree_get(b->tree, i, &e);
		if (e.kind != TREE_FILE)
			continue;
		if (store_has(c->store, &b->repo, &e.digest, e.size))
			bytes += e.size;
		else
			*whole = false;
	}
	return bytes;
}

/* ---- what the store asks ---- */

struct telling {
	store_use *use;
	void *arg;
};

static int tell_uses(void *arg, const struct catalog_build *b)
{
	const struct telling *t = arg;

	for (uint32_t i = 0; i < tree_count(b->tree); i++) {
		struct tree_entry e;

		tree_get(b->tree, i, &e);
		if (e.kind == TREE_FILE)
			t->use(t->arg, &e.digest, b->last_used_s);
	}
	return 0;
}

int catalog_uses_tell(void *ctx, store_use *use, void *arg)
{
	struct telling t = { use, arg };

	return catalog_each_build(ctx, tell_uses, &t);
}

/* ---- notes that nobody needs ---- */

struct gone {
	struct catalog *catalog;
	struct catalog_build *v; /* owned; their trees are not held */
	size_t count;
	size_t room;
	bool found; /* a build of the commit that is looked for */
	const struct catalog_build *wanted;
};

static bool is_abandoned(struct catalog *c, const struct catalog_build *b)
{
	bool whole;

	return io_wall_s() - b->last_used_s > ABANDONED_S &&
	       catalog_build_bytes(c, b, &whole) == 0 && !whole;
}

static int forget_build(void *arg, const struct catalog_build *b)
{
	struct gone *g = arg;
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);

	if (!is_abandoned(g->catalog, b))
		return 0;
	if (g->count == g->room) {
		size_t room = g->room ? 2 * g->room : 16;
		struct catalog_build *v = realloc(g->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		g->v = v;
		g->room = room;
	}
	g->v[g->count] = *b;
	g->v[g->count++].tree = NULL;
	catalog_build_key(&key, b->url, &b->repo, b->commit, b->variant);
	store_note_remove(g->catalog->store, "trees", text_str(&key));
	store_note_remove(g->catalog->store, "uses", text_str(&key));
	return 0;
}

static int find_commit(void *arg, const struct catalog_build *b)
{
	struct gone *g = arg;

	g->found = !strcmp(b->commit, g->wanted->commit) &&
		   repo_equal(&b->repo, &g->wanted->repo) &&
		   !strcmp(b->url, g->wanted->url);
	return g->found;
}

int catalog_forget(struct catalog *c, size_t *forgotten)
{
	struct gone g = { .catalog = c };
	int r = catalog_each_build(c, forget_build, &g);

	for (size_t i = 0; i < g.count && r == 0; i++) {
		g.wanted = &g.v[i];
		g.found = false;
		r = catalog_each_build(c, find_commit, &g);
		r = r == 1 ? 0 : r;
		if (r == 0 && !g.found)
			catalog_forget_commit(c, g.v[i].url, &g.v[i].repo,
					      g.v[i].commit);
	}
	*forgotten = g.count;
	free(g.v);
	return r;
}
