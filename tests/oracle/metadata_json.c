/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is read of metadata.json, for test_metadata.py. Input: documents, each
 * behind a line with its length. Output: a line each, "no <sentence>" or JSON.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/metadata.h"

#include <stdio.h>
#include <stdlib.h>

static void add_depends(const struct metadata *m, struct text *out)
{
	for (size_t i = 0; i < m->depend_count; i++) {
		const struct metadata_depend *d = &m->depends[i];

		text_add(out, i ? ", [" : "[");
		text_add_json(out, d->repo_id);
		if (d->has_version) {
			text_printf(out, ", %llu]",
				    (unsigned long long)d->version);
			continue;
		}
		text_add(out, ", ");
		text_add_json(out, d->revision);
		text_add_char(out, ']');
	}
}

static void add(const struct metadata *m, struct text *out)
{
	text_add(out, "{\"id\": ");
	text_add_json(out, m->id);
	text_add(out, ", \"name\": ");
	text_add_json(out, m->name);
	text_printf(out,
		    ", \"minver\": \"%s\", \"backend\": \"%s\", "
		    "\"dirty\": [%d, %d], \"python\": [",
		    m->minver, m->backend, m->dirty, m->builder_dirty);
	for (size_t i = 0; i < m->python_count; i++) {
		text_add(out, i ? ", " : "");
		text_add_json(out, m->python_depends[i]);
	}
	text_add(out, "], \"depends\": [");
	add_depends(m, out);
	text_add(out, "]}\n");
}

static void answer(const char *s, size_t n)
{
	AUTO(auto_text) struct text out = TEXT_INIT(1u << 24);
	struct err err = ERR_INIT;
	struct metadata m;

	if (metadata_parse(&m, s, n, &err) < 0) {
		(void)printf("no %s\n", err_text(&err));
		return;
	}
	add(&m, &out);
	metadata_done(&m);
	if (text_failed(&out))
		abort();
	(void)fputs(text_str(&out), stdout);
}

int main(void)
{
	size_t n;

	while (scanf("%zu", &n) == 1) {
		char *s = malloc(n + 1);

		if (!s || getchar() != '\n' || fread(s, 1, n, stdin) != n)
			abort();
		answer(s, n);
		free(s);
	}
	return 0;
}
