/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "guard.h"
#include "where.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "fs/mountpoint.h"
#include "fs/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STATUS_MAX (16u << 20)
#define OUT_MAX (64u << 20)
#define ERRORS_SHOWN 5

/* ---- for a person ---- */

static const char *get(const struct json *j, const char *name)
{
	const char *s = json_get_string(j, name);

	return s ? s : "unknown";
}

static unsigned long long number(const struct json *j, const char *name)
{
	uint64_t n = 0;

	(void)json_u64(json_get(j, name), &n);
	return n;
}

static void add_sources(const struct json *j, struct text *out)
{
	const struct json *s = json_first(json_get(j, "sources"));

	for (; s; s = json_next(s)) {
		const char *state = get(s, "state");
		const char *since = json_get_string(s, "since");
		bool down = since && !strcmp(state, "down");

		text_printf(out, "  source       %s (%s%s%s)\n", get(s, "url"),
			    state, down ? " since " : "", down ? since : "");
	}
	if (json_bool(json_get(j, "offline"), false))
		text_add(out, "  offline      no request is made\n");
}

static void add_cache(const struct json *j, struct text *out)
{
	const struct json *c = json_get(j, "cache");

	text_printf(out, "  cache        %s, ", get(c, "path"));
	cli_add_bytes(out, number(c, "bytes"));
	text_printf(out, " in %llu blobs", number(c, "blobs"));
	if (number(c, "limit")) {
		text_add(out, ", limit ");
		cli_add_bytes(out, number(c, "limit"));
	}
	text_add(out, "\n");
}

static void add_requests(const struct json *j, struct text *out)
{
	const struct json *m = json_first(json_get(j, "requests"));
	const char *comma = "";

	text_add(out, "  requests     ");
	for (; m; m = json_next(m)) {
		uint64_t n = 0;

		if (!json_u64(m, &n) || !strcmp(json_name(m), "bytes"))
			continue;
		text_printf(out, "%s%s %llu", comma, json_name(m),
			    (unsigned long long)n);
		comma = ", ";
	}
	text_add(out, *comma ? "; " : "none; ");
	cli_add_bytes(out, number(json_get(j, "requests"), "bytes"));
	text_add(out, " fetched\n");
	if (number(j, "waiting"))
		text_printf(out, "  waiting      %llu requests of programs\n",
			    number(j, "waiting"));
}

static void add_kernels(const struct json *j, struct text *out)
{
	const struct json *k = json_first(json_get(j, "kernels"));

	if (k)
		text_add(out, "\n");
	for (; k; k = json_next(k)) {
		const char *variant = json_get_string(k, "variant");
		const char *env = json_get_string(k, "environment");

		text_printf(out, "  %s@%s  %s  %s", get(k, "repo"),
			    get(k, "revision"), variant ? variant : "no build",
			    get(k, "state"));
		if (env && strcmp(env, get(j, "environment")) != 0)
			text_printf(out, "  (for %s)", env);
		text_add_char(out, '\n');
	}
}

/* The last ones: they are what somebody looks for. */
static void add_errors(const struct json *j, struct text *out)
{
	const struct json *list = json_get(j, "errors");
	const struct json *e = json_first(list);
	size_t skip = json_count(list);

	skip = skip > ERRORS_SHOWN ? skip - ERRORS_SHOWN : 0;
	if (e)
		text_add(out, "\n");
	for (size_t i = 0; e; e = json_next(e), i++)
		if (i >= skip)
			text_printf(out, "  %s  %s: %s\n", get(e, "time"),
				    get(e, "room"), get(e, "message"));
}

static int add_person(const char *mount, const struct text *status,
		      struct text *out, struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	int r = json_parse(&j, text_str(status), status->len, err);

	if (r < 0)
		return err_wrap(err, r, "status of '%s'", mount);
	text_printf(out,
		    "%s\n  daemon       kernelfs %s, process %llu, since "
		    "%s\n",
		    mount, get(j, "version"), number(j, "pid"),
		    get(j, "since"));
	add_sources(j, out);
	text_printf(out, "  environment  %s\n", get(j, "environment"));
	add_cache(j, out);
	add_requests(j, out);
	add_kernels(j, out);
	add_errors(j, out);
	return 0;
}

/* ---- one mount, all mounts ---- */

struct all {
	const struct cli *c;
	struct text *out;
	size_t count;
	int worst; /* 0 or the last -errno */
};

static int add_mount(struct all *a, const char *mount, struct err *err)
{
	AUTO(auto_text) struct text status = TEXT_INIT(STATUS_MAX);
	char path[PATH_MAX + 32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/.kernelfs/status", mount);
	r = guard_read_file(path, &status);
	if (r < 0)
		return guard_explain(r, mount, err);
	if (!a->c->o->json) {
		text_add(a->out, a->count ? "\n" : "");
		r = add_person(mount, &status, a->out, err);
	} else {
		text_add(a->out, a->count ? ", " : "");
		text_add_bytes(a->out, text_str(&status), status.len);
	}
	if (r == 0)
		a->count++;
	return r;
}

/* A mount that does not answer does not hide the others. */
static bool each(void *arg, const char *mount)
{
	struct all *a = arg;
	struct err err = ERR_INIT;
	int r = add_mount(a, mount, &err);

	if (r < 0)
		cli_say("%s", err_text(&err));
	if (r < 0 && r != -EACCES) /* somebody else's is no failure */
		a->worst = r;
	return true;
}

static int all_mounts(struct all *a)
{
	struct err err = ERR_INIT;
	int r;

	text_add(a->out, a->c->o->json ? "[" : "");
	r = mountpoint_each(each, a, &err);
	if (r < 0)
		return cli_fail(r, &err);
	text_add(a->out, a->c->o->json ? "]\n" : "");
	if (!a->count && !a->worst && !a->c->o->json)
		text_add(a->out, "no kernelfs mount to show\n");
	r = cli_put(a->out);
	return a->worst < 0 ? CLI_FAILED : r;
}

int verb_status(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	struct all a = { c, &out, 0, 0 };
	struct where w = { .mount = NULL };
	struct err err = ERR_INIT;
	int r;

	if (c->count == 0)
		return all_mounts(&a);
	r = where_find(&w, c->words[0], &err);
	if (r == 0)
		r = add_mount(&a, w.mount, &err);
	where_done(&w);
	return r < 0 ? cli_fail(r, &err) : cli_put(&out);
}
