/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/lock.h"
#include "base/text.h"
#include "fact.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_TRIES 3

/* Only one at a time in this process; no lock is held over the reading and
 * writing itself. */
static void index_enter(struct catalog *c)
{
	lock_take(&c->mu);
	while (c->indexing)
		(void)lock_wait(&c->mu, &c->indexed, -1);
	c->indexing = true;
	lock_drop(&c->mu);
}

static void index_leave(struct catalog *c)
{
	lock_take(&c->mu);
	c->indexing = false;
	(void)pthread_cond_signal(&c->indexed);
	lock_drop(&c->mu);
}

/* The lines of an index, checked; none when there is no good one. */
static struct cursor index_lines(struct catalog *c, const char *kind,
				 const char *key, struct text *note)
{
	struct cursor lines = { .p = "", .end = "" };

	lines.end = lines.p;
	if (store_note_read(c->store, kind, key, note, NULL) == 0)
		(void)fact_open(note, kind, &lines);
	return lines;
}

static bool index_has(struct cursor lines, const char *wanted)
{
	struct cursor line;

	while (fact_next(&lines, &line))
		if (cursor_equals(&line, wanted))
			return true;
	return false;
}

/* One more line, if it is not there. true: nothing was to be done. */
static bool index_add_once(struct catalog *c, const char *kind, const char *key,
			   const char *line)
{
	AUTO(auto_text) struct text old = TEXT_INIT(FACT_BYTES_MAX);
	AUTO(auto_text) struct text new = TEXT_INIT(FACT_BYTES_MAX);
	struct cursor lines = index_lines(c, kind, key, &old);

	if (index_has(lines, line))
		return true;
	fact_begin(&new, kind);
	text_add_bytes(&new, lines.p, cursor_left(&lines));
	text_printf(&new, "%s\n", line);
	fact_end(&new);
	catalog_note(c, kind, key, &new);
	return false;
}

/* Another process may rewrite the index at the same moment and lose our
 * line: look again. Lost after all, it costs a name in a listing. */
static void index_add(struct catalog *c, const char *kind, const char *key,
		      const char *line)
{
	index_enter(c);
	for (int i = 0; i < INDEX_TRIES; i++)
		if (index_add_once(c, kind, key, line))
			break;
	index_leave(c);
}

void catalog_index_remove(struct catalog *c, const char *url,
			  const struct repo_id *repo, const char *commit)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text gone = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text old = TEXT_INIT(FACT_BYTES_MAX);
	AUTO(auto_text) struct text new = TEXT_INIT(FACT_BYTES_MAX);
	struct cursor lines;
	struct cursor line;

	text_printf(&key, "%s %s", url, repo->owner);
	text_printf(&gone, "%s %s", repo->name, commit);
	index_enter(c);
	lines = index_lines(c, "commits", text_str(&key), &old);
	fact_begin(&new, "commits");
	while (fact_next(&lines, &line)) {
		if (cursor_equals(&line, text_str(&gone)))
			continue;
		text_add_bytes(&new, line.p, cursor_left(&line));
		text_add_char(&new, '\n');
	}
	fact_end(&new);
	catalog_note(c, "commits", text_str(&key), &new);
	index_leave(c);
}

void catalog_index(struct catalog *c, const struct source *home,
		   const struct repo_id *repo, const char *commit)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text line = TEXT_INIT(CATALOG_KEY_MAX);

	catalog_owner_key(&key, home, repo->owner);
	text_printf(&line, "%s %s", repo->name, commit);
	index_add(c, "commits", text_str(&key), text_str(&line));
	index_add(c, "owners", home->url, repo->owner);
}

static bool read_index_line(struct cursor line, struct repo_id *repo,
			    char commit[REF_COMMIT_LEN + 1])
{
	struct cursor name = cursor_until(&line, ' ');
	size_t n = cursor_left(&name);

	if (n > REF_PART_MAX || !cursor_skip_char(&line, ' ') ||
	    cursor_left(&line) != REF_COMMIT_LEN)
		return false;
	memcpy(repo->name, name.p, n);
	repo->name[n] = '\0';
	memcpy(commit, line.p, REF_COMMIT_LEN);
	commit[REF_COMMIT_LEN] = '\0';
	return ref_name_valid(repo->name) &&
	       text_is_hex(commit, REF_COMMIT_LEN);
}

/* What is called for each, and the source whose notes are being read. */
struct cached {
	struct catalog *c;
	const char *owner;
	int (*each)(void *arg, const struct repo_id *repo, const char *commit);
	void *arg;
};

static int cached_of_owner(const struct cached *w, const struct source *home,
			   const char *owner)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct cursor lines;
	struct cursor line;
	struct repo_id repo;
	int r = 0;

	if (text_copy(repo.owner, sizeof(repo.owner), owner) < 0 ||
	    !ref_owner_valid(owner))
		return 0;
	catalog_owner_key(&key, home, owner);
	lines = index_lines(w->c, "commits", text_str(&key), &note);
	while (!r && fact_next(&lines, &line)) {
		char commit[REF_COMMIT_LEN + 1];

		if (read_index_line(line, &repo, commit))
			r = w->each(w->arg, &repo, commit);
	}
	return r;
}

static int cached_of_home(void *arg, struct source *home)
{
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	const struct cached *w = arg;
	struct cursor lines;
	struct cursor line;
	int r = 0;

	if (w->owner)
		return cached_of_owner(w, home, w->owner);
	lines = index_lines(w->c, "owners", home->url, &note);
	while (!r && fact_next(&lines, &line)) {
		char *name = text_dup(line.p, cursor_left(&line));

		if (!name)
			return -ENOMEM;
		r = cached_of_owner(w, home, name);
		free(name);
	}
	return r;
}

int catalog_cached(struct catalog *c, const char *owner,
		   int (*each)(void *arg, const struct repo_id *repo,
			       const char *commit),
		   void *arg)
{
	struct cached w = { c, owner, each, arg };

	return source_each_home(c->source, cached_of_home, &w);
}
