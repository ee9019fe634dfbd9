/* SPDX-License-Identifier: Apache-2.0 */
#include "pyenv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "pathjoin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES 16384u /* .python-version: a few names */
#define NAME_BYTES_MAX 256u
#define ENTRIES_MAX 65536u
#define SYSTEM 1 /* the choice is the system's Python */

/* <root> of <root>/shims/<name>. */
static bool root_of(char root[PYTHON_PATH_MAX], const char *shim)
{
	return text_copy(root, PYTHON_PATH_MAX, shim) == 0 && path_up(root) &&
	       strcmp(path_base(root), "shims") == 0 && path_up(root);
}

bool pyenv_is_shim(const char *path)
{
	char root[PYTHON_PATH_MAX];

	return root_of(root, path) && path_has(root, "versions", S_IFDIR);
}

/* ---- which version was chosen ---- */

static bool read_names(const char *dir, const char *name, struct text *names)
{
	char path[PYTHON_PATH_MAX];

	text_clear(names);
	return path_join(path, dir, name) == 0 &&
	       io_read_file(AT_FDCWD, path, names) == 0;
}

/* The names that pyenv would try, one after the other; "" is the system's. */
static void chosen(const char *root, struct text *names)
{
	const char *said = getenv("PYENV_VERSION");
	char at[PYTHON_PATH_MAX];

	if (said && said[0]) {
		text_add(names, said);
		return;
	}
	if (getcwd(at, sizeof(at)))
		do {
			if (read_names(at, ".python-version", names))
				return;
		} while (path_up(at));
	(void)read_names(root, "version", names);
}

/* ---- what is installed under a name ---- */

/* A name is a path below versions/, and stays there. */
static bool is_safe(const char *name)
{
	return name[0] != '/' && strcmp(name, "..") != 0 &&
	       !text_starts(name, "../") && !strstr(name, "/../") &&
	       !text_ends(name, "/..");
}

/* "3.12" means the highest of "3.12.*". */
static bool highest(const char *versions, const char *name,
		    char out[NAME_BYTES_MAX])
{
	AUTO(auto_closedir) DIR *d = opendir(versions);
	uint64_t best = 0;
	bool found = false;

	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		size_t n = strlen(name);
		uint64_t patch;

		if (!e)
			break;
		if (!text_starts(e->d_name, name) || e->d_name[n] != '.' ||
		    text_to_u64(e->d_name + n + 1, 9999, &patch) < 0 ||
		    (found && patch <= best))
			continue;
		best = patch;
		found = text_copy(out, NAME_BYTES_MAX, e->d_name) == 0;
	}
	return found;
}

/* pyenv takes "python-3.12" for "3.12". */
static const char *without_python(const char *name)
{
	return text_starts(name, "python-") ? name + strlen("python-") : name;
}

/* 0, SYSTEM, or -ENOENT when nothing of that name is installed. */
static int installed(char found[PYTHON_PATH_MAX], const char *root,
		     const char *name, const char *program)
{
	char versions[PYTHON_PATH_MAX], rest[PYTHON_PATH_MAX];
	char latest[NAME_BYTES_MAX];
	const char *const tries[] = { name, latest };

	if (!strcmp(name, "system"))
		return SYSTEM;
	if (!is_safe(name) || path_join(versions, root, "versions") < 0)
		return -ENOENT;
	if (!highest(versions, name, latest))
		latest[0] = '\0';
	for (size_t i = 0; i < 2 && tries[i][0]; i++) {
		int n = snprintf(rest, sizeof(rest), "%s/bin/%s", tries[i],
				 program);

		if (n > 0 && (size_t)n < sizeof(rest) &&
		    path_join(found, versions, rest) == 0 &&
		    access(found, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

/* The next name of a list that ':', blanks and new lines part; comments of
 * a version file are skipped. */
static bool next_name(struct cursor *c, char out[NAME_BYTES_MAX])
{
	size_t n = 0;

	while (c->p < c->end && strchr(": \t\r\n#", *c->p)) {
		if (*c->p == '#')
			(void)cursor_until(c, '\n');
		else
			c->p++;
	}
	while (c->p < c->end && !strchr(": \t\r\n#", *c->p)) {
		if (n + 1 >= NAME_BYTES_MAX)
			return false;
		out[n++] = *c->p++;
	}
	out[n] = '\0';
	return n > 0;
}

int pyenv_python(char found[PYTHON_PATH_MAX], const char *shim,
		 const char *name, struct err *err)
{
	AUTO(auto_text) struct text names = TEXT_INIT(FILE_MAX_BYTES);
	char root[PYTHON_PATH_MAX], path[PYTHON_PATH_MAX];
	char version[NAME_BYTES_MAX], first[NAME_BYTES_MAX];
	struct cursor c;

	if (!root_of(root, shim))
		return err_set(err, EINVAL, "'%s' is no shim of pyenv", shim);
	chosen(root, &names);
	c = (struct cursor){ text_str(&names), text_str(&names) + names.len };
	first[0] = '\0';
	while (next_name(&c, version)) {
		int r = installed(path, root, without_python(version), name);

		if (r == SYSTEM)
			return -ENOENT;
		if (r == 0)
			return text_copy(found, PYTHON_PATH_MAX, path);
		if (!first[0])
			memcpy(first, version, sizeof(first));
	}
	if (!first[0])
		return -ENOENT;
	return err_set(err, ENOTSUP,
		       "pyenv's shim '%s' stands for version '%s', which has "
		       "no %s under '%s/versions'; name a prefix with "
		       "--python=PREFIX",
		       shim, first, name, root);
}
