/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_pins.h"

#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "fact.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The note "pins", keyed "<url> <owner>/<repo>@<commit>": lines
 * "<owner>/<repo>@<asked> <owner>/<repo>@<commit>".
 */

static int pins_key(struct catalog *c, const struct repo_id *repo,
		    const char *commit, struct text *key)
{
	struct source *home;
	int r = source_home(c->source, repo, false, &home, NULL);

	if (r < 0)
		return r;
	text_printf(key, "%s %s/%s@%s", home->url, repo->owner, repo->name,
		    commit);
	return text_failed(key);
}

static bool take_ref(const struct cursor *c, struct ref *out)
{
	char text[REF_TEXT_MAX];
	size_t n = cursor_left(c);

	if (n >= sizeof(text))
		return false;
	memcpy(text, c->p, n);
	text[n] = '\0';
	return ref_parse(out, text, NULL) == 0;
}

static bool parse_pin(struct cursor line, struct catalog_pin *out)
{
	struct cursor asked = cursor_until(&line, ' ');
	struct ref at;

	if (!cursor_skip_char(&line, ' ') || !take_ref(&asked, &out->asked) ||
	    !take_ref(&line, &at) || at.kind != REV_COMMIT)
		return false;
	out->repo = at.repo;
	(void)text_copy(out->commit, sizeof(out->commit), at.rev);
	return true;
}

static int parse(const struct text *note, struct catalog_pins *out)
{
	struct catalog_pin *items;
	struct cursor lines, line;
	size_t n = 0;

	if (fact_open(note, "pins", &lines) < 0)
		return -ENOENT;
	items = calloc(CATALOG_PINS_MAX, sizeof(*items));
	if (!items)
		return -ENOMEM;
	while (fact_next(&lines, &line)) {
		if (n == CATALOG_PINS_MAX || !parse_pin(line, &items[n])) {
			free(items);
			return -ENOENT;
		}
		n++;
	}
	out->items = items;
	out->count = n;
	return 0;
}

int catalog_pins(struct catalog *c, const struct repo_id *repo,
		 const char *commit, struct catalog_pins *out)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);

	if (pins_key(c, repo, commit, &key) < 0 ||
	    store_note_read(c->store, "pins", text_str(&key), &note, NULL) < 0)
		return -ENOENT;
	return parse(&note, out);
}

static const struct catalog_pin *find(const struct catalog_pin *items,
				      size_t count, const struct ref *asked)
{
	for (size_t i = 0; i < count; i++) {
		const struct ref *a = &items[i].asked;

		if (repo_equal(&a->repo, &asked->repo) &&
		    !strcmp(a->rev, asked->rev))
			return &items[i];
	}
	return NULL;
}

const struct catalog_pin *catalog_pins_find(const struct catalog_pins *p,
					    const struct ref *asked)
{
	return find(p->items, p->count, asked);
}

static void print(const struct catalog_pin *p, struct text *out)
{
	char asked[REF_TEXT_MAX];

	ref_print(&p->asked, asked);
	text_printf(out, "%s %s/%s@%s\n", asked, p->repo.owner, p->repo.name,
		    p->commit);
}

/* Two that keep at once lose one's lines, which are asked for again. */
void catalog_pins_keep(struct catalog *c, const struct repo_id *repo,
		       const char *commit, const struct catalog_pin *pins,
		       size_t count)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct catalog_pins old = { 0 };
	size_t left = CATALOG_PINS_MAX;

	if (pins_key(c, repo, commit, &key) < 0)
		return;
	fact_begin(&note, "pins");
	for (size_t i = 0; i < count && left > 0; i++, left--)
		print(&pins[i], &note);
	if (catalog_pins(c, repo, commit, &old) == 0) {
		for (size_t i = 0; i < old.count && left > 0; i++) {
			if (find(pins, count, &old.items[i].asked))
				continue;
			print(&old.items[i], &note);
			left--;
		}
		catalog_pins_done(&old);
	}
	fact_end(&note);
	catalog_note(c, "pins", text_str(&key), &note);
}

void catalog_pins_done(struct catalog_pins *p)
{
	free(p->items);
	p->items = NULL;
	p->count = 0;
}
