/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "fs/options.h"
#include "source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_verb verbs[] = {
	{ "mount", "mount [SOURCE] MOUNTPOINT [-o LIST] [-f]",
	  "mount a Hub; returns when the mount serves",
	  "The verb may be left out. SOURCE is a URL; without it, or with\n"
	  "`none`, --source decides. -f stays in the foreground, -d also\n"
	  "shows what the kernel asks. As a line of /etc/fstab:\n\n"
	  "  https://huggingface.co /kernels fuse.kernelfs "
	  "allow_other,_netdev 0 0\n",
	  1, 2, true, false, verb_mount },
	{ "umount", "umount MOUNTPOINT [-z]", "end a mount",
	  "-z (lazy) takes the mount out of sight now and lets those who\n"
	  "use it finish.\n",
	  1, 1, false, false, verb_umount },
	{ "env", "env [--json]", "the environment that kernels are chosen for",
	  "Found without running Python: --python, VIRTUAL_ENV,\n"
	  "CONDA_PREFIX, or python3 on PATH; --env replaces it.\n",
	  0, 0, true, true, verb_env },
	{ "resolve", "resolve REPO[@REV] [--range RANGE] [--json]",
	  "which build of a kernel fits, and why not the others",
	  "REPO is owner/name; REV a version, branch, tag, commit or range. "
	  "No\n"
	  "mount is needed. A range can stand by itself, for shells read < "
	  "and\n"
	  "> and !: --range '>=1.2,<2'. Exit code 3: no build fits.\n",
	  1, 1, true, true, verb_resolve },
	{ "lock", "lock [FOLDER | pyproject.toml]",
	  "write kernels.lock for a project: kernels and all they need",
	  "Reads [tool.kernels.dependencies] of pyproject.toml, lines\n"
	  "\"owner/name\" = VERSION, and writes kernels.lock beside it, for\n"
	  "all machines: every build's dependencies are in it. Without a\n"
	  "word: of the current folder.\n",
	  0, 1, true, false, verb_lock },
	{ "fetch",
	  "fetch [REPO[@REV]...] [--lock FILE] [--all-variants] [--compile]",
	  "bring kernels into the cache before they are used",
	  "Each with what it needs: the build that fits, or all of them with\n"
	  "--all-variants. Without REPO, all that the lock file lists. --env\n"
	  "is for another machine. --compile also makes the bytecode that\n"
	  "imports of this user would, with the Python of --python.\n",
	  0, 64, true, true, verb_fetch },
	{ "verify", "verify [REPO[@REV]...] [--lock FILE] [--all-variants]",
	  "prove that the cache holds kernels, whole and unchanged",
	  "Every file is hashed; no request is made. Hashes of an old lock "
	  "file\n"
	  "are compared, too. Exit code 4: something is missing or damaged.\n",
	  0, 64, true, true, verb_verify },
	{ "why", "why PATH [--json]", "explain a path in a mount",
	  "An import name, a commit, or anything in one; of a name that is\n"
	  "refused, the sentence of the mount's log.\n",
	  1, 1, false, true, verb_why },
	{ "status", "status [MOUNTPOINT] [--json]",
	  "what a mount does; without one, all mounts", "", 0, 1, false, true,
	  verb_status },
	{ "refresh", "refresh [PATH] [REPO...] [--json]",
	  "let a mount ask again what can have moved",
	  "Versions, branches, tags and lists of kernels are looked up again\n"
	  "when they are next used: of the mount that PATH lies in, without "
	  "it\n"
	  "of all your mounts. PATH begins with '/', '.' or '~'. A process "
	  "that\n"
	  "has imported a kernel keeps it.\n",
	  0, 64, false, true, verb_refresh },
	{ "cache", "cache ls|gc|verify [--json]",
	  "what is in the cache; make room; hash everything again",
	  "ls: every build that is there, its size and last use. gc: remove\n"
	  "what died half written, what the limits (--cache-size,\n"
	  "--min-free) do not allow, notes of which nothing is left, and\n"
	  "your bytecode of commits that were unused for 90 days.\n"
	  "verify: hash every blob; what is wrong is removed and fetched\n"
	  "again. Exit code 4: something could not be fetched again.\n",
	  1, 1, true, true, verb_cache },
	{ "doctor", "doctor [--json]",
	  "check this machine: FUSE, cache, source, token, Python",
	  "Exit code 1 when a check is not passed. Each source is asked "
	  "once.\n",
	  0, 0, true, true, verb_doctor },
	{ "help", "help [VERB]", "this, or more about a verb", "", 0, 1, false,
	  false, verb_help },
	{ "version", "version", "the version of this program", "", 0, 0, false,
	  false, verb_version },
};

#define VERBS (sizeof(verbs) / sizeof(*verbs))

const struct cli_verb *cli_verb_at(size_t i)
{
	return i < VERBS ? &verbs[i] : NULL;
}

const struct cli_verb *cli_verb_find(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

const char *cli_verb_nearest(const char *name)
{
	const char *names[VERBS];

	for (size_t i = 0; i < VERBS; i++)
		names[i] = verbs[i].name;
	return options_nearest(name, names, VERBS);
}

/* ---- saying ---- */

static void say(const char *fmt, va_list ap)
	__attribute__((format(printf, 1, 0)));

/* In one write, so that lines of several processes do not mix. */
static void say(const char *fmt, va_list ap)
{
	struct text t = TEXT_INIT(4 * ERR_TEXT_MAX);

	text_add(&t, "kernelfs: ");
	text_vprintf(&t, fmt, ap);
	/* What somebody typed does not steer the terminal. */
	if (t.s)
		text_printable(t.s);
	text_add_char(&t, '\n');
	/* There is no other place to say that stderr cannot be written. */
	(void)io_write_all(STDERR_FILENO, text_str(&t), t.len);
	text_done(&t);
}

void cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

int cli_code(int r)
{
	switch (-r) {
	case EINVAL:
		return CLI_MISUSE;
	case ERR_MISMATCH:
		return CLI_MISMATCH;
	case ERR_NO_BUILD:
		return CLI_NO_BUILD;
	default:
		return CLI_FAILED;
	}
}

static bool said_silence;

void cli_say_failure(int r, const struct err *err)
{
	said_silence = said_silence || source_is_silence(r);
	cli_say("%s", err_text(err));
}

bool cli_said_silence(void)
{
	return said_silence;
}

int cli_fail(int r, const struct err *err)
{
	cli_say_failure(r, err);
	return cli_code(r);
}

int cli_misuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return CLI_MISUSE;
}

int cli_put(struct text *out)
{
	int r = text_failed(out);

	if (r == 0)
		r = io_write_all(STDOUT_FILENO, text_str(out), out->len);
	if (r == 0)
		return CLI_DONE;
	cli_say("the result could not be written: %s", strerrordesc_np(-r));
	return CLI_FAILED;
}

bool cli_colour(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term &&
	       strcmp(term, "dumb") != 0;
}

void cli_add_bytes(struct text *out, unsigned long long bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	unsigned long long tenths = bytes * 10 / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		text_printf(out, "%llu bytes", bytes);
		return;
	}
	for (; tenths >= 10240 && u < 3; u++)
		tenths /= 1024;
	text_printf(out, "%llu.%llu %s", tenths / 10, tenths % 10, units[u]);
}
