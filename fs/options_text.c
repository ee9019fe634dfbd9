/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table for people: --help, and what is in force as a config file.
 */
#include "options_in.h"

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

void options_help(struct text *out)
{
	const struct option *row;

	for (size_t i = 0; (row = options_row_at(i)); i++) {
		char sentence[512], name[OPTION_NAME_MAX + 1];
		size_t column;

		(void)snprintf(name, sizeof(name), "%s", row->name);
		for (char *p = name; *p; p++)
			*p = *p == '_' ? '-' : *p;
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

static void report_duration(struct text *out, const char *name, uint64_t ms)
{
	bool whole = ms % 1000 == 0;

	text_printf(out, "%s = \"%llu%s\"\n", name,
		    (unsigned long long)(whole ? ms / 1000 : ms),
		    whole ? "s" : "ms");
}

void options_report(const struct options *o, struct text *out)
{
	const struct option *row;

	for (size_t i = 0; (row = options_row_at(i)); i++) {
		const char *at = (const char *)o + row->at;
		const char *value;
		uint64_t number;

		if (options_is_list(row)) {
			struct options_list l;

			memcpy(&l, at, sizeof(l));
			report_list(out, row->name, &l);
		} else if (row->kind == OPTION_DURATION ||
			   row->kind == OPTION_COUNT) {
			memcpy(&number, at, sizeof(number));
			if (row->kind == OPTION_DURATION)
				report_duration(out, row->name, number);
			else
				text_printf(out, "%s = %llu\n", row->name,
					    (unsigned long long)number);
		} else {
			memcpy(&value, at, sizeof(value));
			/* As a config file it could not name itself. */
			if (value &&
			    row->at == offsetof(struct options, config))
				text_printf(out, "# config: %s\n", value);
			else if (value)
				report_text(out, row->name, value);
		}
	}
}
