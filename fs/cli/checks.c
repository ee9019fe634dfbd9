/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include "bytecode.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "cli.h"
#include "fs/options.h"
#include "fs/world.h"
#include "resolver/python.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define UPDATEDB "/etc/updatedb.conf"
#define SMALL_FILE_MAX 65536
#define LITTLE_SPACE (2ull << 30)

struct finding *checks_add(struct checks *c, const char *check, bool ok,
			   const char *fmt, ...)
{
	/* Beyond the end the last one is written over. */
	struct finding *f =
		&c->found[c->count < CHECKS_MAX ? c->count++ : CHECKS_MAX - 1];
	va_list ap;

	*f = (struct finding){ .check = check, .ok = ok };
	va_start(ap, fmt);
	(void)vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	return f;
}

void checks_hint(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->hint, sizeof(f->hint), fmt, ap);
	va_end(ap);
}

/* ---- cache ---- */

/* It is made when it is first needed: can it be, below what is there? */
static void check_missing_cache(struct checks *c)
{
	AUTO(auto_free) char *path = strdup(c->o->cache);
	char *slash;

	while (path && (slash = strrchr(path, '/')) && slash != path) {
		*slash = '\0';
		if (access(path, F_OK) == 0 || errno != ENOENT)
			break;
	}
	if (path && access(path, W_OK | X_OK) == 0) {
		(void)checks_add(c, "cache", true,
				 "'%.400s' is not there "
				 "yet; it can be made",
				 c->o->cache);
		return;
	}
	checks_hint(checks_add(c, "cache", false,
			       "'%.400s' is not there and "
			       "cannot be made",
			       c->o->cache),
		    "name a folder that you may write: --cache=FOLDER");
}

static void check_space(struct checks *c)
{
	AUTO(auto_text) struct text size = TEXT_INIT(64);
	struct statvfs v;
	unsigned long long left;

	if (statvfs(c->o->cache, &v) < 0)
		return;
	left = (unsigned long long)v.f_bavail * v.f_frsize;
	cli_add_bytes(&size, left);
	if (left >= LITTLE_SPACE)
		(void)checks_add(c, "space", true, "%s are left for the cache",
				 text_str(&size));
	else
		checks_hint(checks_add(c, "space", false,
				       "only %s are left "
				       "for the cache",
				       text_str(&size)),
			    "free some, or keep it elsewhere: "
			    "--cache=FOLDER");
}

static void check_cache(struct checks *c)
{
	const char *path = c->o->cache;
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT) {
		check_missing_cache(c);
		return;
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		checks_hint(checks_add(c, "cache", false,
				       "'%.400s' is no "
				       "folder that can be read",
				       path),
			    "name another one: --cache=FOLDER");
	else if (access(path, R_OK | W_OK | X_OK) < 0)
		checks_hint(checks_add(c, "cache", false,
				       "'%.400s' cannot "
				       "be written",
				       path),
			    "name another one: --cache=FOLDER");
	else if ((st.st_mode & 022) || st.st_uid != geteuid())
		checks_hint(checks_add(c, "cache", false,
				       "others may write "
				       "into '%.400s'",
				       path),
			    "make it yours alone: chown %u '%.300s' && chmod "
			    "700 '%.100s'",
			    (unsigned)geteuid(), path, path);
	else
		(void)checks_add(c, "cache", true,
				 "'%.400s' can be written, "
				 "by you alone",
				 path);
	check_space(c);
}

/* ---- Python ---- */

static void check_python(struct checks *c)
{
	char prefix[PYTHON_PATH_MAX], spec[ENV_SPEC_MAX];
	struct err err = ERR_INIT;
	struct env env;
	int r;

	if (!c->o->env) {
		r = python_find(prefix, c->o->python, &err);
		if (r == 0)
			(void)checks_add(c, "python", true, "'%.400s'", prefix);
		else
			checks_hint(checks_add(c, "python", false, "%s",
					       err_text(&err)),
				    "activate a virtual environment, or name "
				    "one: --python=PREFIX");
	}
	err = (struct err)ERR_INIT;
	r = world_env(&env, c->o, &err);
	if (r < 0) {
		checks_hint(checks_add(c, "environment", false, "%s",
				       err_text(&err)),
			    "`kernelfs help env` says where it is looked for");
		return;
	}
	env_print(&env, spec);
	if (env.torch.known)
		(void)checks_add(c, "environment", true, "%.500s", spec);
	else
		checks_hint(checks_add(c, "environment", true,
				       "%.400s: no "
				       "torch, so only builds that need none",
				       spec),
			    "install torch there, or name the environment "
			    "that has it: --python=PREFIX");
}

/* ---- bytecode ---- */

static bool is_set(const char *name)
{
	const char *s = getenv(name);

	return s && *s;
}

/* What the door keeps beside the mount, and what keeps it from that. */
static void check_bytecode(struct checks *c)
{
	AUTO(auto_text) struct text base = TEXT_INIT(SMALL_FILE_MAX);
	struct err err = ERR_INIT;
	int r = bytecode_base(&base, &err);

	if (r == 0)
		r = bytecode_usable(text_str(&base), &err);
	if (r < 0)
		checks_hint(checks_add(c, "bytecode", false,
				       "imports keep no bytecode: %.400s",
				       err_text(&err)),
			    "name a folder that is yours and that nobody else "
			    "may write: XDG_CACHE_HOME=FOLDER");
	else if (is_set("PYTHONPYCACHEPREFIX"))
		checks_hint(
			checks_add(c, "bytecode", true,
				   "PYTHONPYCACHEPREFIX is set: of kernels, "
				   "no bytecode is kept or used"),
			"unset it where kernels are imported");
	else if (is_set("PYTHONDONTWRITEBYTECODE"))
		checks_hint(
			checks_add(c, "bytecode", true,
				   "PYTHONDONTWRITEBYTECODE is set: imports "
				   "keep no bytecode, so that what is not "
				   "kept yet is compiled by every process"),
			"unset it, or have it made once: kernelfs fetch "
			"--compile");
	else
		(void)checks_add(c, "bytecode", true,
				 "is kept in '%.400s/kernelfs/bytecode'",
				 text_str(&base));
}

/* ---- updatedb ---- */

static bool prunes(const char *conf)
{
	for (const char *p = conf; *p;) {
		size_t n = strcspn(p, "\n");
		AUTO(auto_free) char *line = text_dup(p, n);
		const char *at = line ? line + strspn(line, " \t") : "";

		if (text_starts(at, "PRUNEFS") && strstr(at, "fuse.kernelfs"))
			return true;
		p += n + (p[n] == '\n');
	}
	return false;
}

static void check_updatedb(struct checks *c)
{
	AUTO(auto_text) struct text conf = TEXT_INIT(SMALL_FILE_MAX);
	int r = io_read_file(AT_FDCWD, UPDATEDB, &conf);

	if (r == -ENOENT)
		(void)checks_add(c, "updatedb", true, "not here");
	else if (r < 0)
		(void)checks_add(c, "updatedb", false, UPDATEDB ": %s",
				 strerrordesc_np(-r));
	else if (prunes(text_str(&conf)))
		(void)checks_add(c, "updatedb", true,
				 "leaves kernelfs mounts "
				 "out");
	else
		checks_hint(checks_add(c, "updatedb", false,
				       "walks through "
				       "every kernelfs mount"),
			    "add fuse.kernelfs to PRUNEFS in " UPDATEDB);
}

void checks_run(struct checks *c)
{
	checks_fuse(c);
	check_cache(c);
	check_python(c);
	check_bytecode(c);
	check_updatedb(c);
	/* Last: it may start threads, and others fork. */
	checks_source(c);
}
