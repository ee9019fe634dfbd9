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
#include <unistd.h>

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
	r = resolve_pick_blocking(w->resolve, &rc->repo, rc->commit, &w->env,
				  &pa, err);
	if (r < 0)
		return r;
	p = resolve_value(&pa);
	show(c, p, rc->revision, &out);
	r = cli_put(&out);
	/* One who reads both would read it twice. */
	if (p->refused &&
	    (c->o->json || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO)))
		cli_say("%s/%s@%s: %s", p->repo.owner, p->repo.name,
			rc->revision, p->why);
	if (r != CLI_DONE || !p->refused)
		return r;
	return p->refused == ERR_NO_BUILD ? CLI_NO_BUILD : CLI_FAILED;
}

/* owner/repo[@rev], or owner/repo with what stands behind --range. */
static int parse_ref(struct ref *out, const struct cli *c, struct err *err)
{
	AUTO(auto_text) struct text t = TEXT_INIT(REF_TEXT_MAX);
	const char *word = c->words[0];
	int r;

	if (!c->o->range)
		return ref_parse(out, word, err);
	if (strchr(word, '@'))
		return err_set(err, EINVAL,
			       "'%.200s' has a revision already; --range is "
			       "in its place",
			       word);
	text_printf(&t, "%s@%s", word, c->o->range);
	r = text_failed(&t) ? err_set(err, EINVAL, "--range: is too long")
			    : ref_parse(out, text_str(&t), err);
	if (r == 0 && out->kind != REV_RANGE)
		return err_set(err, EINVAL,
			       "--range: '%.200s' is no range; write "
			       "'>=1.2,<2', '~=1.2' or '==1.*'",
			       c->o->range);
	return r;
}

static int work(const struct cli *c, struct world *w, const void *ref,
		struct err *err)
{
	return answer(c, w, ref, err);
}

int verb_resolve(const struct cli *c)
{
	struct err err = ERR_INIT;
	struct ref ref;
	int r;

	r = parse_ref(&ref, c, &err);
	if (r == 0)
		r = setup_log(c->o, &err);
	return r < 0 ? cli_fail(r, &err) : setup_run(c, world_new, work, &ref);
}
