/* SPDX-License-Identifier: Apache-2.0 */
#include "prefix.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "launcher.h"
#include "layout.h"
#include "pathjoin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_FOLDERS_MAX 1024u

/* An absolute name for a path that may lie below the working folder. */
static int absolute(char out[PYTHON_PATH_MAX], const char *path,
		    struct err *err)
{
	char here[PYTHON_PATH_MAX];
	int r;

	if (path[0] == '/')
		r = text_copy(out, PYTHON_PATH_MAX, path);
	else if (!getcwd(here, sizeof(here)))
		r = -errno;
	else
		r = path_join(out, here, path);
	if (r < 0)
		return err_errno(err, -r, "Python '%.200s'", path);
	return 0;
}

/* A prefix with links and dots taken out of its name. */
static int settle(char found[PYTHON_PATH_MAX], const char *prefix,
		  struct err *err)
{
	AUTO(auto_free) char *real = realpath(prefix, NULL);
	int r = real ? text_copy(found, PYTHON_PATH_MAX, real) : -errno;

	return r < 0 ? err_errno(err, -r, "Python prefix '%s'", prefix) : 0;
}

static int find_asked(char found[PYTHON_PATH_MAX], const char *asked,
		      struct err *err)
{
	char path[PYTHON_PATH_MAX], prefix[PYTHON_PATH_MAX];
	struct stat st;
	int r;

	r = absolute(path, asked, err);
	if (r < 0)
		return r;
	/* A venv's link may dangle here and still name the venv. */
	if (lstat(path, &st) < 0)
		return err_errno(err, errno, "Python '%s'", asked);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (!layout_is_prefix(path))
			return err_set(err, ENOENT,
				       "'%s' is no Python prefix: no "
				       "pyvenv.cfg and no lib/python3.X in it",
				       asked);
		return settle(found, path, err);
	}
	r = launcher_follow(prefix, path, err);
	if (r == -ENOENT)
		return err_set(err, ENOTSUP,
			       "'%s' stands for the system's Python by "
			       "pyenv's choice; name its prefix with "
			       "--python=PREFIX",
			       asked);
	return r < 0 ? r : settle(found, prefix, err);
}

/* 0, -ENOENT when no folder of PATH has it, or -ENOTSUP with a sentence. */
static int find_on_path(char found[PYTHON_PATH_MAX], const char *name,
			struct err *err)
{
	const char *all = getenv("PATH");
	struct cursor c = cursor_of(all ? all : "/usr/local/bin:/usr/bin:/bin");

	for (unsigned i = 0; i < PATH_FOLDERS_MAX && !cursor_done(&c); i++) {
		struct cursor dir = cursor_until(&c, ':');
		char folder[PYTHON_PATH_MAX], path[PYTHON_PATH_MAX];
		char prefix[PYTHON_PATH_MAX];
		int r;

		(void)cursor_skip_char(&c, ':');
		/* A relative folder means another one wherever it is asked. */
		if (cursor_done(&dir) || *dir.p != '/' ||
		    cursor_left(&dir) >= sizeof(folder))
			continue;
		memcpy(folder, dir.p, cursor_left(&dir));
		folder[cursor_left(&dir)] = '\0';
		if (!path_has(folder, name, S_IFREG) ||
		    path_join(path, folder, name) < 0 || access(path, X_OK) < 0)
			continue;
		r = launcher_follow(prefix, path, err);
		if (r == -ENOENT)
			continue;
		return r < 0 ? r : settle(found, prefix, err);
	}
	return -ENOENT;
}

int prefix_find(char found[PYTHON_PATH_MAX], const char *asked, struct err *err)
{
	static const char *const names[] = { "python3", "python" };
	const char *venv = getenv("VIRTUAL_ENV");
	const char *conda = getenv("CONDA_PREFIX");

	if (asked)
		return find_asked(found, asked, err);
	if (venv && venv[0] && !layout_is_prefix(venv))
		return err_set(err, ENOTSUP,
			       "VIRTUAL_ENV is '%s', which is no Python "
			       "prefix; unset it or name one with "
			       "--python=PREFIX",
			       venv);
	if (venv && venv[0])
		return settle(found, venv, err);
	if (conda && conda[0] && layout_is_prefix(conda))
		return settle(found, conda, err);
	for (size_t i = 0; i < 2; i++) {
		int r = find_on_path(found, names[i], err);

		if (r != -ENOENT)
			return r;
	}
	return err_set(err, ENOENT,
		       "no Python: no VIRTUAL_ENV, no "
		       "CONDA_PREFIX, no python3 on PATH; name a prefix with "
		       "--python=PREFIX");
}
