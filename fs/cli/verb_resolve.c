/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/ref.h"
#include "resolver/pick.h"
#include "resolver/resolve.h"

#include <errno.h>
#include <string.h>

#define OUT_MAX (16u << 20)

/* The report with its first line bold and the chosen build green. */
static void add_coloured(struct text *out, const char *report)
{
	bool first = true;

	while (*report) {
		size_t n = strcspn(report, "\n");
		const char *on = first ? "\033[1m"
				 : text_starts(report, "  \xe2\x86\x92 ")
					 ? "\033[32m"
					 : "";

		text_add(out, on);
		text_add_bytes(out, report, n);
		text_add(out, *on ? "\033[0m\n" : "\n");
		report += n;
		report += *report == '\n';
		first = false;
	}
}

static void show(const struct cli *c, const struct pick *p,
		 const char *revision, struct text *out)
{
	AUTO(auto_text) struct text plain = TEXT_INIT(OUT_MAX);

	if (c->o->json) {
		pick_json(p, revision, NULL, out);
		return;
	}
	pick_report(p, revision, &plain);
	if (cli_colour())
		add_coloured(out, text_str(&plain));
	else
		text_add_bytes(out, text_str(&plain), plain.len);
}

static int answer(const struct cli *c, struct world *w, const struct ref *ref,
		  struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer ca = { .memo = NULL };
	AUTO(resolve_drop) struct resolve_answer pa = { .memo = NULL };
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	const struct resolve_commit *rc;
	const struct pick *p;
	int r;

	r = resolve_commit_blocking(w->resolve, ref, &ca, err);
	if (r < 0)
		return r;
	rc = resolve_value(&ca);
	r = resolve_pick_blocking(w->resolve, &ref->repo, rc->commit, &w->env,
				  &pa, err);
	if (r < 0)
		return r;
	p = resolve_value(&pa);
	show(c, p, rc->revision, &out);
	r = cli_put(&out);
	if (p->refused)
		cli_say("%s/%s@%s: %s", p->repo.owner, p->repo.name,
			rc->revision, p->why);
	if (r != CLI_DONE || !p->refused)
		return r;
	return p->refused == ERR_NO_BUILD ? CLI_NO_BUILD : CLI_FAILED;
}

/* What happens between threads being born and their end. */
static int with_world(const struct cli *c, const struct ref *ref)
{
	struct err err = ERR_INIT;
	struct world *w = NULL;
	int code, r;

	r = setup_signals(&err);
	if (r == 0)
		r = world_new(&w, c->o, &err);
	if (r == 0) {
		setup_watch(w);
		r = answer(c, w, ref, &err);
	}
	code = setup_interrupted();
	if (code == 0)
		code = r < 0 ? cli_fail(r, &err) : r;
	if (w) {
		setup_watch(NULL);
		world_free(w);
	}
	return code;
}

int verb_resolve(const struct cli *c)
{
	struct err err = ERR_INIT;
	struct ref ref;
	int r;

	r = ref_parse(&ref, c->words[0], &err);
	if (r == 0)
		r = setup_log(c->o, &err);
	if (r < 0)
		return cli_fail(r, &err);
	return with_world(c, &ref);
}
