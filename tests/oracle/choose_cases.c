/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Choices for test_oracle.py. Cases on standard input, two lines each: an
 * environment as JSON and a JSON list of names. For each case one line:
 *
 *	{"spec": …, "decisions": [[name, printed again, accepted, reason]…],
 *	 "skipped": [name…], "same_by_spec": true}
 *
 * The last member tells whether the environment's spec, read back, gives the
 * same decisions.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "resolver/choose.h"
#include "resolver/env.h"
#include "resolver/variant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1048576u
#define NAMES_MAX 1024

static bool is_same(const struct decisions *a, const struct decisions *b)
{
	if (a->count != b->count || a->accepted != b->accepted)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
		    strcmp(a->items[i].reason, b->items[i].reason) != 0 ||
		    a->items[i].accepted != b->items[i].accepted)
			return false;
	return true;
}

static int print_decision(const struct decision *d, struct text *out,
			  struct err *err)
{
	char printed[VARIANT_NAME_MAX + 64];
	struct variant v;
	int r = variant_parse(&v, d->name, err);

	if (r < 0)
		return r;
	variant_print(&v, printed);
	text_add_char(out, '[');
	text_add_json(out, d->name);
	text_add(out, ", ");
	text_add_json(out, printed);
	text_printf(out, ", %s, ", d->accepted ? "true" : "false");
	text_add_json(out, d->reason);
	text_add_char(out, ']');
	return 0;
}

static int print_all(const struct decisions *d, const char *spec, bool same,
		     struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(TEXT_MAX);
	int r = 0;

	text_add(&out, "{\"spec\": ");
	text_add_json(&out, spec);
	text_add(&out, ", \"decisions\": [");
	for (size_t i = 0; i < d->count && r == 0; i++) {
		text_add(&out, i ? ", " : "");
		r = print_decision(&d->items[i], &out, err);
	}
	text_add(&out, "], \"skipped\": [");
	for (size_t i = 0; i < d->skipped_count; i++) {
		text_add(&out, i ? ", " : "");
		text_add_json(&out, d->skipped[i]);
	}
	text_printf(&out, "], \"same_by_spec\": %s}", same ? "true" : "false");
	if (r == 0)
		r = text_failed(&out);
	if (r == 0)
		(void)puts(text_str(&out));
	return r;
}

static int one_case(const char *env_text, const char *names_text,
		    struct err *err)
{
	AUTO(auto_json) struct json *list = NULL;
	struct decisions d = { 0 }, again = { 0 };
	const char *names[NAMES_MAX];
	char spec[ENV_SPEC_MAX];
	struct env env, back;
	size_t n = 0;
	int r;

	r = env_from_json(&env, env_text, strlen(env_text), err);
	if (r == 0)
		r = json_parse(&list, names_text, strlen(names_text), err);
	if (r < 0)
		return r;
	for (const struct json *j = json_first(list); j; j = json_next(j)) {
		if (n == NAMES_MAX || !json_string(j))
			return err_set(err, EINVAL, "no list of names");
		names[n++] = json_string(j);
	}
	env_print(&env, spec);
	r = env_parse(&back, spec, err);
	if (r == 0)
		r = choose(&d, names, n, &env, err);
	if (r == 0)
		r = choose(&again, names, n, &back, err);
	if (r == 0)
		r = print_all(&d, spec, is_same(&d, &again), err);
	decisions_done(&d);
	decisions_done(&again);
	return r;
}

static ssize_t next_line(char **line, size_t *room)
{
	ssize_t n = getline(line, room, stdin);

	if (n > 0 && (*line)[n - 1] == '\n')
		(*line)[n - 1] = '\0';
	return n;
}

int main(void)
{
	AUTO(auto_free) char *env = NULL;
	AUTO(auto_free) char *names = NULL;
	size_t env_room = 0, names_room = 0;
	struct err err = ERR_INIT;

	while (next_line(&env, &env_room) > 0) {
		if (next_line(&names, &names_room) <= 0 ||
		    one_case(env, names, &err) < 0) {
			(void)fprintf(stderr, "choose_cases: %s: %s %s\n",
				      err_text(&err), env, names ? names : "");
			return 1;
		}
	}
	return 0;
}
