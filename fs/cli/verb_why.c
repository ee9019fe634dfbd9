/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explains a path. All that touches the mount happens in one child, which
 * may be killed when the mount hangs (guard.h): what it writes is the answer.
 *
 * A path stands in a commit (its nodes have attributes), leads into one (a
 * revision, .env/<spec>/<package>), or is an import name, whose build link
 * leads there. An import name that leads nowhere has a .why.
 */
#include "cli.h"

#include "guard.h"
#include "logged.h"
#include "where.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "fs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define OUT_MAX (16u << 20)
#define STATUS_MAX (16u << 20)
#define VALUE_MAX 65536
#define PATH_ROOM (2 * PATH_MAX)
#define SPECS ".env/"
/* The mount may have to ask its source. */
#define WAIT_MS 60000

struct why {
	const struct where *w;
	bool json;
	struct text *out;
};

static const char *const attributes[] = { "repo",    "revision", "commit",
					  "variant", "state",	 "reason",
					  "hash",    "source" };

#define ATTRIBUTES (sizeof(attributes) / sizeof(*attributes))

/* Length of ".env/<spec>/" in front of the path in the mount, or 0. */
static int spec_length(const struct why *y)
{
	const char *rest = y->w->rest;

	if (!text_starts(rest, SPECS) || !strchr(rest + strlen(SPECS), '/'))
		return 0;
	return (int)(strlen(SPECS) + 1 + strcspn(rest + strlen(SPECS), "/"));
}

/* 1: there is one, now in `value`; 0: none; -errno. */
static int attribute(const char *path, const char *name,
		     char value[VALUE_MAX + 1])
{
	char full[64];
	ssize_t n;

	(void)snprintf(full, sizeof(full), "user.kernelfs.%s", name);
	n = lgetxattr(path, full, value, VALUE_MAX);
	if (n < 0)
		return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
	value[n] = '\0';
	return 1;
}

static int add_attributes(const struct why *y, const char *path)
{
	AUTO(auto_free) char *value = malloc(VALUE_MAX + 1);

	if (!value)
		return -ENOMEM;
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		int r;

		/* It is for the environment of the root. */
		if (spec_length(y) && !strcmp(attributes[i], "reason"))
			continue;
		r = attribute(path, attributes[i], value);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		if (y->json) {
			text_printf(y->out, ", \"%s\": ", attributes[i]);
			text_add_json(y->out, value);
		} else {
			text_printf(y->out, "  %-11s  %s\n", attributes[i],
				    value);
		}
	}
	return 0;
}

/* How the builds of this commit were judged, for the spec that was asked
 * for; `commit` is "/owner/repo@rev". */
static int add_decision(const struct why *y, const char *mount,
			const char *commit)
{
	char path[2 * PATH_ROOM];

	text_add(y->out, y->json ? ", \"decision\": " : "\n");
	(void)snprintf(path, sizeof(path), "%s/%.*s%s/.kernelfs/decision%s",
		       mount, spec_length(y), y->w->rest, commit + 1,
		       y->json ? ".json" : "");
	return io_read_file(AT_FDCWD, path, y->out);
}

/* Ends `path` behind owner/repo@rev; false when it does not lie in one. */
static bool cut_to_commit(char *path, const char *mount)
{
	size_t n = strlen(mount);
	char *owner, *repo, *end;

	if (strncmp(path, mount, n) != 0 || path[n] != '/')
		return false;
	owner = path + n + 1;
	if (*owner == '.' || !(repo = strchr(owner, '/')))
		return false;
	end = repo + 1 + strcspn(repo + 1, "/");
	if (!memchr(repo, '@', (size_t)(end - repo)))
		return false;
	*end = '\0';
	return true;
}

static void begin(const struct why *y, const char *real)
{
	bool same = !strcmp(real, y->w->path);

	if (y->json) {
		text_add(y->out, "{\"path\": ");
		text_add_json(y->out, y->w->path);
		text_add(y->out, ", \"target\": ");
		text_add_json(y->out, real);
	} else {
		text_printf(y->out, "%s\n", y->w->path);
		if (!same)
			text_printf(y->out, "  %-11s  %s\n", "leads to", real);
	}
}

/* -ENOTDIR: `path` does not lead into a commit. */
static int explain_commit(const struct why *y, const char *path)
{
	AUTO(auto_free) char *real = realpath(path, NULL);
	AUTO(auto_free) char *mount = NULL;
	AUTO(auto_free) char *commit = NULL;
	int r;

	if (!real)
		return -errno;
	mount = realpath(y->w->mount, NULL);
	if (!mount)
		return -errno;
	commit = strdup(real);
	if (!commit)
		return -ENOMEM;
	if (!cut_to_commit(commit, mount))
		return -ENOTDIR;
	begin(y, real);
	r = add_attributes(y, real);
	if (r == 0)
		r = add_decision(y, mount, commit + strlen(mount));
	text_add(y->out, y->json ? "}\n" : "");
	return r;
}

static void add_why(const struct why *y, const struct text *why)
{
	if (y->json) {
		text_add(y->out, "{\"path\": ");
		text_add_json(y->out, y->w->path);
		text_add(y->out, ", \"target\": null, \"decision\": null, "
				 "\"why\": ");
		text_add_json(y->out, text_str(why));
		text_add(y->out, "}\n");
	} else {
		text_printf(y->out, "%s\n", y->w->path);
		text_add_bytes(y->out, text_str(why), why->len);
	}
}

/* The text that the door raises, which stands beside the package. */
static int explain_failure(const struct why *y, const char *why_file)
{
	AUTO(auto_text) struct text t = TEXT_INIT(OUT_MAX);
	int r = io_read_file(AT_FDCWD, why_file, &t);

	if (r < 0)
		return r;
	add_why(y, &t);
	return 0;
}

/* A name that gives an error and no more: the mount's log has the sentence. */
static int explain_refusal(const struct why *y)
{
	AUTO(auto_text) struct text why = TEXT_INIT(PATH_MAX);
	AUTO(auto_free) char *commit = NULL;
	const char *rest = y->w->rest;
	size_t mount = strlen(y->w->mount) + 1;
	char repo[PATH_ROOM];
	int r = logged_find(y->w->mount, rest, &why);
	int n = (int)strcspn(rest, "/");

	/* What lies below a link was refused as part of the commit. */
	n += rest[n] == '/' ? 1 + (int)strcspn(rest + n + 1, "/") : 0;
	(void)snprintf(repo, sizeof(repo), "%s/%.*s", y->w->mount, n, rest);
	if (r == -ENOENT)
		commit = realpath(repo, NULL);
	if (commit && strlen(commit) > mount)
		r = logged_find(y->w->mount, commit + mount, &why);
	if (r == 0)
		add_why(y, &why);
	return r;
}

static int mount_spec(const struct why *y, struct text *out)
{
	AUTO(auto_text) struct text status = TEXT_INIT(STATUS_MAX);
	AUTO(auto_json) struct json *j = NULL;
	char path[PATH_ROOM];
	const char *spec;
	int r;

	(void)snprintf(path, sizeof(path), "%s/.kernelfs/status", y->w->mount);
	r = io_read_file(AT_FDCWD, path, &status);
	if (r == 0)
		r = json_parse(&j, text_str(&status), status.len, NULL);
	spec = json_get_string(j, "environment");
	if (r == 0 && !spec)
		r = -EPROTO;
	if (r == 0)
		text_add(out, spec);
	return r;
}

/* rest is "<package>" or something in its folder at the root. */
static int explain_import(const struct why *y)
{
	AUTO(auto_text) struct text spec = TEXT_INIT(PATH_MAX);
	int name = (int)strcspn(y->w->rest, "/");
	char path[PATH_ROOM + PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%.*s/build", y->w->mount, name,
		       y->w->rest);
	r = explain_commit(y, path);
	if (r == 0 || r == -ENOMEM)
		return r;
	text_clear(y->out);
	r = mount_spec(y, &spec);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/.env/%s/%.*s.why", y->w->mount,
		       text_str(&spec), name, y->w->rest);
	return explain_failure(y, path);
}

/* rest is ".env/<spec>/<package>…", and that leads nowhere. */
static int explain_spec(const struct why *y)
{
	const char *package = y->w->rest + spec_length(y);
	char path[PATH_ROOM + PATH_MAX];
	int n;

	if (!spec_length(y) || !*package)
		return -ENOTDIR;
	n = spec_length(y) + (int)strcspn(package, "/");
	(void)snprintf(path, sizeof(path), "%s/%.*s%s", y->w->mount, n,
		       y->w->rest, text_ends(package, ".why") ? "" : ".why");
	return explain_failure(y, path);
}

/* A name below a commit that is not there has no line: nobody made one up. */
static bool is_refusal(int r, const char *rest)
{
	const char *below = strchr(rest, '/');

	if (r == -ENOTDIR)
		return false;
	return r != -ENOENT || !below || !strchr(below + 1, '/');
}

static int explain(void *arg, struct text *out)
{
	struct why *y = arg;
	int r, other;

	y->out = out;
	if (!*y->w->rest)
		return -ENOTDIR;
	r = explain_commit(y, y->w->path);
	if (r == 0 || r == -ENOMEM)
		return r;
	text_clear(out);
	if (text_starts(y->w->rest, SPECS))
		other = explain_spec(y);
	else if (*y->w->rest == '.')
		return r;
	else if (r == -ENOTDIR || !strchr(y->w->rest, '/'))
		other = explain_import(y);
	else
		other = -ENOENT;
	if (other == -ENOENT && is_refusal(r, y->w->rest))
		other = explain_refusal(y);
	/* Nothing there either: then it is what was said first. */
	return other == -ENOENT ? r : other;
}

static int refusal(int r, const struct where *w, struct err *err)
{
	switch (-r) {
	case ENOTDIR:
		return err_set(err, ENOTDIR,
			       "'%s' is no import name and in "
			       "no commit; `kernelfs status '%s'` shows the "
			       "mount",
			       w->path, w->mount);
	case ETIMEDOUT:
		return err_set(err, ETIMEDOUT,
			       "'%s': no answer within %d s; "
			       "`kernelfs status '%s'` shows whether the "
			       "source answers",
			       w->path, WAIT_MS / 1000, w->mount);
	case ENOTCONN:
	case ECONNABORTED:
		return guard_explain(r, w->mount, err);
	default:
		return err_errno(err, -r, "'%s'", w->path);
	}
}

int verb_why(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	struct where w = { .mount = NULL };
	struct why y = { .w = &w, .json = c->o->json };
	struct err err = ERR_INIT;
	int r = where_find(&w, c->words[0], &err);

	if (r == 0) {
		r = guard_run(explain, &y, &out, WAIT_MS);
		if (r < 0)
			r = refusal(r, &w, &err);
	}
	where_done(&w);
	return r < 0 ? cli_fail(r, &err) : cli_put(&out);
}
