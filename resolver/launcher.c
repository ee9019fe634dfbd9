/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "layout.h"
#include "pathjoin.h"
#include "pyenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_MAX 65536u /* a launcher is a page of shell */
#define HOPS_MAX 8u	  /* launchers that call launchers */

static int cannot_follow(struct err *err, const char *path, const char *why)
{
	return err_set(err, ENOTSUP,
		       "cannot follow '%s': %s; name the prefix of the Python "
		       "with --python=PREFIX",
		       path, why);
}

/* ---- shell scripts ---- */

/* The next word of a line, quotes taken off; false at the line's end. */
static bool next_word(struct cursor *line, struct cursor *word)
{
	char quote = ' ';

	while (cursor_skip_char(line, ' ') || cursor_skip_char(line, '\t'))
		;
	if (cursor_done(line))
		return false;
	if (cursor_skip_char(line, '"'))
		quote = '"';
	else if (cursor_skip_char(line, '\''))
		quote = '\'';
	*word = cursor_until(line, quote);
	(void)cursor_skip_char(line, quote);
	return true;
}

/*
 * The path that "[-a NAME] [OPTION] [VAR=…] PATH …" after an exec names,
 * when it is absolute and has nothing for the shell to replace.
 */
static bool exec_target(struct cursor line, char out[PYTHON_PATH_MAX])
{
	struct cursor word;

	while (next_word(&line, &word)) {
		if (cursor_equals(&word, "-a")) {
			(void)next_word(&line, &word);
			continue;
		}
		if (cursor_done(&word) || *word.p != '/')
			continue;
		if (cursor_left(&word) >= PYTHON_PATH_MAX ||
		    memchr(word.p, '\0', cursor_left(&word)))
			return false;
		memcpy(out, word.p, cursor_left(&word));
		out[cursor_left(&word)] = '\0';
		return !strpbrk(out, "$`\\*?");
	}
	return false;
}

/* The last exec of a script decides; false when it cannot be told. */
static bool script_target(const struct text *script, char out[PYTHON_PATH_MAX])
{
	struct cursor c = { text_str(script), text_str(script) + script->len };
	bool found = false;

	while (!cursor_done(&c)) {
		struct cursor line = cursor_until(&c, '\n');
		struct cursor word;

		(void)cursor_skip_char(&c, '\n');
		if (next_word(&line, &word) && cursor_equals(&word, "exec"))
			found = exec_target(line, out);
	}
	return found;
}

/* "#!/bin/sh -e", "#!/usr/bin/env bash" */
static bool is_shell(const struct text *script)
{
	static const char *const shells[] = { "sh", "bash", "dash", "zsh" };
	struct cursor c = { text_str(script), text_str(script) + script->len };
	struct cursor line = cursor_until(&c, '\n');
	struct cursor word;

	(void)cursor_skip(&line, "#!");
	while (next_word(&line, &word)) {
		const char *slash = memrchr(word.p, '/', cursor_left(&word));

		word.p = slash ? slash + 1 : word.p;
		if (cursor_equals(&word, "env"))
			continue;
		for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
			if (cursor_equals(&word, shells[i]))
				return true;
		return false;
	}
	return false;
}

/* ---- one hop ---- */

static bool is_python_name(const char *name)
{
	/* Nix puts a dot before what its wrapper starts. */
	return text_starts(name + (name[0] == '.'), "python");
}

/* The prefix of a virtual environment that this file is the python of. */
static bool venv_of(char found[PYTHON_PATH_MAX], const char *path)
{
	char at[PYTHON_PATH_MAX];

	if (text_copy(at, sizeof(at), path) < 0)
		return false;
	for (int i = 0; i < 2 && path_up(at); i++)
		if (path_has(at, "pyvenv.cfg", S_IFREG))
			return text_copy(found, PYTHON_PATH_MAX, at) == 0;
	return false;
}

/* Is the prefix's default Python another one than this? */
static bool is_another(const char *prefix, const char *interpreter)
{
	AUTO(auto_free) struct layout *l = calloc(1, sizeof(*l));
	struct layout_tag mine;

	layout_tag_of_links(&mine, interpreter);
	return l && mine.version.known && layout_read(l, prefix, NULL) == 0 &&
	       (version_compare(&l->tag.version, &mine.version) ||
		l->tag.free_threaded != mine.free_threaded);
}

/*
 * The prefix of the interpreter `real` itself. When the prefix holds another
 * default Python than this one, the interpreter says which is meant.
 */
static int prefix_of(char found[PYTHON_PATH_MAX], const char *path,
		     const char *real, struct err *err)
{
	char prefix[PYTHON_PATH_MAX], bin[PYTHON_PATH_MAX];

	if (!is_python_name(path_base(real)))
		return cannot_follow(err, path,
				     "it starts another program than a Python "
				     "interpreter");
	if (layout_above(prefix, real) < 0)
		return cannot_follow(err, path,
				     "no lib/python3.X is found above it");
	if (path_join(bin, prefix, "bin/") == 0 && text_starts(real, bin) &&
	    is_another(prefix, real))
		return text_copy(found, PYTHON_PATH_MAX, real);
	return text_copy(found, PYTHON_PATH_MAX, prefix);
}

/* 1: `next` is the file that a script leads to. */
static int follow_script(char next[PYTHON_PATH_MAX], const char *path,
			 const char *real, const struct text *script,
			 struct err *err)
{
	if (!is_shell(script))
		return cannot_follow(err, path,
				     "it is a script, not a shell's");
	if (pyenv_is_shim(real)) {
		int r = pyenv_python(next, real, path_base(path), err);

		return r < 0 ? r : 1;
	}
	if (!script_target(script, next) || !is_python_name(path_base(next)))
		return cannot_follow(err, path,
				     "its last exec names no absolute path of "
				     "an interpreter");
	return 1;
}

/* 0: found; 1: go on with `at`, which was changed; or -errno. */
static int hop(char found[PYTHON_PATH_MAX], char at[PYTHON_PATH_MAX],
	       struct err *err)
{
	AUTO(auto_text) struct text script = TEXT_INIT(SCRIPT_MAX);
	AUTO(auto_free) char *real = realpath(at, NULL);
	char path[PYTHON_PATH_MAX], magic[2] = { 0 };
	AUTO(auto_close) int fd = -1;

	/* CPython looks for pyvenv.cfg before it follows its own links, so a
	 * dangling link of a venv still names the venv. */
	if (venv_of(found, at))
		return 0;
	if (!real)
		return cannot_follow(err, at,
				     "it is not there or out of reach");
	fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || io_pread_all(fd, magic, sizeof(magic), 0) < 2)
		return cannot_follow(err, at, "it cannot be read");
	if (memcmp(magic, "#!", 2) != 0)
		return prefix_of(found, at, real, err);
	if (io_read_file(AT_FDCWD, real, &script) < 0)
		return cannot_follow(err, at,
				     "it is a script of more than "
				     "64 KiB or no regular file");
	memcpy(path, at, sizeof(path));
	return follow_script(at, path, real, &script, err);
}

int launcher_follow(char found[PYTHON_PATH_MAX], const char *path,
		    struct err *err)
{
	char at[PYTHON_PATH_MAX];

	if (text_copy(at, sizeof(at), path) < 0)
		return err_errno(err, ENAMETOOLONG, "Python interpreter");
	for (unsigned i = 0; i < HOPS_MAX; i++) {
		int r = hop(found, at, err);

		if (r <= 0)
			return r;
	}
	return cannot_follow(err, path, "its scripts call each other");
}
