/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table for people: --help, and what is in force as a config file.
 */
#include "options_in.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 24
#define HELP_WIDTH 79

/* Words of `s` in lines that begin at the column. */
static void add_wrapped(struct text *out, size_t column, const char *s)
{
	size_t at = column;

	while (*s) {
		size_t n = strcspn(s, " ");

		if (at > HELP_COLUMN && at + 1 + n > HELP_WIDTH) {
			text_printf(out, "\n%*s", HELP_COLUMN, "");
			at = HELP_COLUMN;
		} else if (at > HELP_COLUMN) {
			text_add_char(out, ' ');
			at++;
		}
		text_add_bytes(out, s, n);
		at += n;
		s += n;
		s += strspn(s, " ");
	}
	text_add_char(out, '\n');
}

static const struct {
	const char *row; /* the first below it */
	const char *title;
} headings[] = {
	{ "source", "Where kernels come from" },
	{ "cache", "The cache" },
	{ "lock", "Which revisions" },
	{ "trust", "Which kernels, and for which environment" },
	{ "token_file", "The network" },
	{ "config", "This program" },
};

static void add_heading(struct text *out, const char *row)
{
	for (size_t i = 0; i < sizeof(headings) / sizeof(*headings); i++)
		if (!strcmp(headings[i].row, row))
			text_printf(out, "%s%s:\n", i ? "\n" : "",
				    headings[i].title);
}

void options_help(struct text *out)
{
	const struct option *row;

	for (size_t i = 0; (row = options_row_at(i)); i++) {
		char sentence[512], name[OPTION_NAME_MAX + 1];
		size_t column;

		(void)snprintf(name, sizeof(name), "%s", row->name);
		for (char *p = name; *p; p++)
			*p = *p == '_' ? '-' : *p;
		add_heading(out, row->name);
		column = out->len;
		text_printf(out, "  --%s=%s", name, row->unit);
		column = out->len - column;
		if (column + 2 > HELP_COLUMN) {
			text_add_char(out, '\n');
			column = 0;
		}
		text_printf(out, "%*s", (int)(HELP_COLUMN - column), "");
		if (row->fallback)
			(void)snprintf(sentence, sizeof(sentence), "%s (%s)",
				       row->sentence, row->fallback);
		else
			(void)snprintf(sentence, sizeof(sentence), "%s",
				       row->sentence);
		add_wrapped(out, HELP_COLUMN, sentence);
	}
}

/* ---- report ---- */

/* TOML and JSON spell a basic string alike. */
static void report_text(struct text *out, const char *name, const char *value)
{
	text_printf(out, "%s = ", name);
	text_add_json(out, value);
	text_add_char(out, '\n');
}

static void report_list(struct text *out, const char *name,
			const struct options_list *l)
{
	text_printf(out, "%s = [", name);
	for (size_t i = 0; i < l->count; i++) {
		text_add(out, i ? ", " : "");
		text_add_json(out, l->items[i]);
	}
	text_add(out, "]\n");
}

/* Those named behind the first `sources` ones. */
static void report_mirrors(struct text *out, const struct options *o,
			   size_t sources)
{
	for (size_t i = 0; i < o->mirror.count; i++) {
		AUTO(auto_text)
		struct text item = TEXT_INIT(2 * OPTION_VALUE_MAX);

		if (o->mirror_of[i] != sources)
			continue;
		text_printf(&item, "mirror=%s", o->mirror.items[i]);
		if (!text_ends(text_str(out), "["))
			text_add(out, ", ");
		text_add_json(out, text_str(&item));
	}
}

/* In one list, so that each mirror stands behind its source. */
static void report_sources(struct text *out, const struct options *o)
{
	text_add(out, "source = [");
	if (o->source.count)
		report_mirrors(out, o, 0);
	for (size_t i = 0; i < o->source.count; i++) {
		text_add(out, text_ends(text_str(out), "[") ? "" : ", ");
		text_add_json(out, o->source.items[i]);
		report_mirrors(out, o, i + 1);
	}
	text_add(out, "]\n");
	if (o->source.count == 0)
		report_list(out, "mirror", &o->mirror);
}

static void report_number(struct text *out, const struct option *row,
			  uint64_t n)
{
	static const char units[] = "KMGT";
	size_t u = 0;

	text_printf(out, "%s = ", row->name);
	if (row->kind == OPTION_COUNT) {
		text_printf(out, "%llu\n", (unsigned long long)n);
	} else if (row->kind == OPTION_SIZE) {
		for (; n && n % 1024 == 0 && units[u]; u++)
			n /= 1024;
		text_printf(out, "\"%llu", (unsigned long long)n);
		text_add_bytes(out, units + u - 1, u ? 1 : 0);
		text_add(out, "\"\n");
	} else if (n == 0) {
		text_printf(out, "\"%s\"\n", row->low ? "0" : "never");
	} else {
		text_printf(out, "\"%llu%s\"\n",
			    (unsigned long long)(n % 1000 ? n : n / 1000),
			    n % 1000 ? "ms" : "s");
	}
}

static void report_row(struct text *out, const struct options *o,
		       const struct option *row)
{
	const char *at = (const char *)o + row->at;
	struct options_list list;
	const char *value;
	uint64_t number;

	if (row->kind == OPTION_SOURCE) {
		report_sources(out, o);
	} else if (options_is_list(row)) {
		memcpy(&list, at, sizeof(list));
		if (row->kind != OPTION_MIRROR) /* it is among the sources */
			report_list(out, row->name, &list);
	} else if (options_is_number(row)) {
		memcpy(&number, at, sizeof(number));
		report_number(out, row, number);
	} else if (row->kind == OPTION_FLAG) {
		text_printf(out, "%s = %s\n", row->name,
			    *at ? "true" : "false");
	} else {
		memcpy(&value, at, sizeof(value));
		/* As a config file it could not name itself. */
		if (value && row->at == offsetof(struct options, config))
			text_printf(out, "# config: %s\n", value);
		else if (value)
			report_text(out, row->name, value);
	}
}

void options_report(const struct options *o, struct text *out)
{
	const struct option *row;

	for (size_t i = 0; (row = options_row_at(i)); i++)
		report_row(out, o, row);
}
