/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "guard.h"
#include "where.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "fs/control.h"
#include "fs/mountpoint.h"
#include "fs/options.h"
#include "kernels/ref.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STATUS_MAX (16u << 20)
#define OUT_MAX (1u << 20)
#define WAIT_MS 10000

struct refresh {
	const struct cli *c;
	const char *const *repos;
	size_t count;
	struct text *out;
	size_t mounts;
	int worst; /* 0 or the last -errno */
};

/* The socket of a mount, from its report; appended. */
static int find_socket(const char *mount, struct text *out, struct err *err)
{
	AUTO(auto_text) struct text status = TEXT_INIT(STATUS_MAX);
	AUTO(auto_json) struct json *j = NULL;
	char path[PATH_MAX + 32];
	const char *socket;
	int r;

	(void)snprintf(path, sizeof(path), "%s/.kernelfs/status", mount);
	r = guard_read_file(path, &status);
	if (r < 0)
		return guard_explain(r, mount, err);
	r = json_parse(&j, text_str(&status), status.len, err);
	if (r < 0)
		return err_wrap(err, r, "status of '%s'", mount);
	socket = json_get_string(j, "control");
	if (!socket)
		return err_set(err, ENOTSUP,
			       "'%s': its daemon has no control socket; its "
			       "log says why",
			       mount);
	text_add(out, socket);
	return text_failed(out);
}

static void add_request(const struct refresh *f, struct text *out)
{
	text_add(out, "{\"command\": \"refresh\"");
	for (size_t i = 0; i < f->count; i++) {
		text_add(out, i ? ", " : ", \"repos\": [");
		text_add_json(out, f->repos[i]);
	}
	text_add(out, f->count ? "]}\n" : "}\n");
}

static int check_answer(const char *mount, const struct text *answer,
			struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	const char *why;
	int r = json_parse(&j, text_str(answer), answer->len, err);

	if (r < 0)
		return err_wrap(err, r, "answer of '%s'", mount);
	if (json_bool(json_get(j, "ok"), false))
		return 0;
	why = json_get_string(j, "error");
	return err_set(err, EIO, "'%s': %s", mount, why ? why : "refused");
}

static int refresh_mount(struct refresh *f, const char *mount, struct err *err)
{
	AUTO(auto_text) struct text socket = TEXT_INIT(PATH_MAX);
	AUTO(auto_text) struct text request = TEXT_INIT(CONTROL_REQUEST_MAX);
	AUTO(auto_text) struct text answer = TEXT_INIT(CONTROL_ANSWER_MAX);
	int r = find_socket(mount, &socket, err);

	if (r < 0)
		return r;
	add_request(f, &request);
	r = control_ask(text_str(&socket), &request, WAIT_MS, &answer, err);
	if (r < 0)
		return err_wrap(err, r, "'%s'", mount);
	r = check_answer(mount, &answer, err);
	if (r < 0)
		return r;
	if (f->c->o->json) {
		text_add(f->out, f->mounts ? ", {\"mountpoint\": "
					   : "{\"mountpoint\": ");
		text_add_json(f->out, mount);
		text_add(f->out, ", \"refreshed\": true}");
	} else {
		text_printf(f->out, "%s\n", mount);
	}
	f->mounts++;
	return 0;
}

/* One that does not answer does not hide the others; somebody else's is
 * nothing that was meant. */
static bool each(void *arg, const char *mount)
{
	struct refresh *f = arg;
	struct err err = ERR_INIT;
	int r = refresh_mount(f, mount, &err);

	if (r < 0 && r != -EACCES) {
		cli_say("%s", err_text(&err));
		f->worst = r;
	}
	return true;
}

/* No repository begins so, and every path can. */
static bool is_path(const char *word)
{
	return *word == '/' || *word == '.' || *word == '~';
}

static int check_repos(const struct refresh *f, struct err *err)
{
	struct repo_id repo;

	for (size_t i = 0; i < f->count; i++) {
		int r = ref_parse_repo(&repo, f->repos[i], err);

		if (r < 0 && !strchr(f->repos[i], '/'))
			return err_set(err, -r,
				       "'%.200s' is neither owner/repo nor a "
				       "path, which begins with '/', '.' or "
				       "'~'",
				       f->repos[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct refresh *f, const char *path, struct err *err)
{
	struct where w = { .mount = NULL };
	int r = check_repos(f, err);

	if (r < 0)
		return r;
	if (!path) {
		r = mountpoint_each(each, f, err);
		if (r == 0 && !f->mounts && !f->worst)
			r = err_set(err, ENOENT,
				    "there is no kernelfs mount of yours");
		return r;
	}
	r = where_find(&w, path, err);
	if (r == 0)
		r = refresh_mount(f, w.mount, err);
	where_done(&w);
	return r;
}

int verb_refresh(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	bool named = c->count && is_path(c->words[0]);
	struct refresh f = { .c = c,
			     .repos = c->words + named,
			     .count = c->count - named,
			     .out = &out };
	struct err err = ERR_INIT;
	int r;

	text_add(&out, c->o->json ? "[" : "");
	r = run(&f, named ? c->words[0] : NULL, &err);
	text_add(&out, c->o->json ? "]\n" : "");
	if (r < 0)
		return cli_fail(r, &err);
	r = cli_put(&out);
	return f.worst < 0 ? CLI_FAILED : r;
}
