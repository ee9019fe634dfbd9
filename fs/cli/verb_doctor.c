/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "checks.h"
#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (1u << 20)

/* Marks are read by eyes only. */
static const char *mark(bool ok)
{
	static int fancy = -1;

	if (fancy < 0)
		fancy = cli_colour() && setlocale(LC_CTYPE, "") &&
			!strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!fancy)
		return ok ? "ok  " : "BAD ";
	return ok ? "\033[32m\xe2\x9c\x93\033[0m "
		  : "\033[31m\xe2\x9c\x97\033[0m ";
}

static void add_line(struct text *out, const struct finding *f)
{
	text_printf(out, "%s %-12s %s\n", mark(f->ok), f->check, f->message);
	if (*f->hint)
		text_printf(out, "     %-12s %s\n", "", f->hint);
}

static void add_json(struct text *out, const struct finding *f, bool first)
{
	text_printf(out, "%s\n  {\"check\": \"%s\", \"ok\": %s, \"message\": ",
		    first ? "" : ",", f->check, f->ok ? "true" : "false");
	text_add_json(out, f->message);
	text_add(out, ", \"hint\": ");
	text_add_json(out, f->hint);
	text_add_char(out, '}');
}

int verb_doctor(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	AUTO(auto_free) struct checks *k = calloc(1, sizeof(*k));
	struct err err = ERR_INIT;
	int r = k ? setup_log(c->o, &err) : err_errno(&err, ENOMEM, "doctor");
	bool well = true;

	if (r < 0)
		return cli_fail(r, &err);
	k->o = c->o;
	checks_run(k);
	text_add(&out, c->o->json ? "[" : "");
	for (size_t i = 0; i < k->count; i++) {
		if (c->o->json)
			add_json(&out, &k->found[i], i == 0);
		else
			add_line(&out, &k->found[i]);
		well = well && k->found[i].ok;
	}
	text_add(&out, c->o->json ? "\n]\n" : "");
	r = cli_put(&out);
	return r == CLI_DONE && !well ? CLI_FAILED : r;
}
