/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "pathjoin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PYVENV_MAX 65536u	 /* pyvenv.cfg: six lines */
#define SYSCONFIG_MAX (4u << 20) /* _sysconfigdata_*.py: about 100 KiB */
#define LINKS_MAX 40u		 /* as the kernel */
#define ENTRIES_MAX 65536u	 /* of a folder that is searched */

/* What a pyvenv.cfg says. */
struct pyvenv {
	bool exists;
	bool system_site;
	char home[PYTHON_PATH_MAX];
	struct version version;
};

/* ---- names ---- */

bool layout_tag_parse(struct layout_tag *out, const char *name)
{
	struct cursor c = cursor_of(name);
	struct layout_tag t = { .version = { .known = true, .major = 3 } };

	if (!cursor_skip(&c, "python3.") ||
	    !cursor_number(&c, 4, &t.version.minor))
		return false;
	t.free_threaded = cursor_skip_char(&c, 't');
	if (!cursor_done(&c))
		return false;
	*out = t;
	return true;
}

void layout_tag_print(const struct layout_tag *t, char out[LAYOUT_TAG_MAX])
{
	(void)snprintf(out, LAYOUT_TAG_MAX, "python%u.%u%s", t->version.major,
		       t->version.minor, t->free_threaded ? "t" : "");
}

/* One step along a link; false when `path` is none. */
static bool step(char path[PYTHON_PATH_MAX])
{
	char target[PYTHON_PATH_MAX], next[PYTHON_PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (target[0] == '/')
		return text_copy(path, PYTHON_PATH_MAX, target) == 0;
	return path_up(path) && path_join(next, path, target) == 0 &&
	       text_copy(path, PYTHON_PATH_MAX, next) == 0;
}

void layout_tag_of_links(struct layout_tag *out, const char *interpreter)
{
	struct layout_tag t = { .version = { .known = false } };
	char path[PYTHON_PATH_MAX];

	if (text_copy(path, sizeof(path), interpreter) < 0)
		path[0] = '\0';
	for (unsigned i = 0; i < LINKS_MAX && path[0]; i++)
		if (layout_tag_parse(&t, path_base(path)) || !step(path))
			break;
	*out = t;
}

/* ---- landmarks ---- */

/* <dir>/<lib>/python3.X with a standard library in it. */
static bool has_library(const char *dir, const char *lib, const char *within)
{
	char path[PYTHON_PATH_MAX];
	AUTO(auto_closedir) DIR *d = NULL;

	if (path_join(path, dir, lib) == 0)
		d = opendir(path);
	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		char sub[PYTHON_PATH_MAX];
		struct layout_tag t;
		struct stat st;

		if (!e)
			break;
		(void)snprintf(sub, sizeof(sub), "%s/%s", e->d_name, within);
		if (layout_tag_parse(&t, e->d_name) &&
		    fstatat(dirfd(d), sub, &st, 0) == 0)
			return true;
	}
	return false;
}

bool layout_is_prefix(const char *path)
{
	return path_has(path, "pyvenv.cfg", S_IFREG) ||
	       has_library(path, "lib", "os.py") ||
	       has_library(path, "lib64", "os.py") ||
	       has_library(path, "lib", "site-packages");
}

int layout_above(char found[PYTHON_PATH_MAX], const char *path)
{
	char at[PYTHON_PATH_MAX];

	if (text_copy(at, sizeof(at), path) < 0)
		return -ENAMETOOLONG;
	do {
		if (has_library(at, "lib", "os.py") ||
		    has_library(at, "lib64", "os.py"))
			return text_copy(found, PYTHON_PATH_MAX, at);
	} while (path_up(at));
	return -ENOENT;
}

/* ---- pyvenv.cfg ---- */

/* `c` without blanks around it, as a string; false when it does not fit. */
static bool trimmed(struct cursor c, char *out, size_t room)
{
	while (c.p < c.end && strchr(" \t\r", *c.p))
		c.p++;
	while (c.p < c.end && strchr(" \t\r", c.end[-1]))
		c.end--;
	if (cursor_left(&c) >= room || memchr(c.p, '\0', cursor_left(&c)))
		return false;
	memcpy(out, c.p, cursor_left(&c));
	out[cursor_left(&c)] = '\0';
	return true;
}

static void pyvenv_line(struct pyvenv *v, struct cursor line)
{
	char key[64], value[PYTHON_PATH_MAX];
	struct cursor name = cursor_until(&line, '=');

	if (!cursor_skip_char(&line, '=') || !trimmed(name, key, sizeof(key)) ||
	    !trimmed(line, value, sizeof(value)))
		return;
	if (!strcasecmp(key, "home"))
		(void)text_copy(v->home, sizeof(v->home), value);
	else if (!strcasecmp(key, "include-system-site-packages"))
		v->system_site = !strcasecmp(value, "true");
	else if (!strcasecmp(key, "version") ||
		 !strcasecmp(key, "version_info"))
		(void)version_parse(&v->version, value);
}

/* The interpreter's own default is to see the system's packages. */
static int pyvenv_read(struct pyvenv *out, const char *prefix, struct err *err)
{
	struct pyvenv v = { .system_site = true };
	AUTO(auto_text) struct text text = TEXT_INIT(PYVENV_MAX);
	char path[PYTHON_PATH_MAX];
	struct cursor c;
	int r;

	r = path_join(path, prefix, "pyvenv.cfg");
	if (r == 0)
		r = io_read_file(AT_FDCWD, path, &text);
	if (r < 0 && r != -ENOENT)
		return err_errno(err, -r, "'%s'", path);
	v.exists = r == 0;
	c = (struct cursor){ text_str(&text), text_str(&text) + text.len };
	while (v.exists && !cursor_done(&c)) {
		pyvenv_line(&v, cursor_until(&c, '\n'));
		(void)cursor_skip_char(&c, '\n');
	}
	*out = v;
	return 0;
}

/*
 * The installation that a venv's `home` (a bin/) belongs to. The
 * interpreter there may be a link into the real one.
 */
static void base_of_home(struct layout *l, const char *home)
{
	char tag[LAYOUT_TAG_MAX], path[PYTHON_PATH_MAX];
	const char *const names[] = { tag, "python3", "python" };

	layout_tag_print(&l->tag, tag);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		AUTO(auto_free) char *real = NULL;

		if (path_join(path, home, names[i]) == 0)
			real = realpath(path, NULL);
		if (real && layout_above(l->base, real) == 0)
			return;
	}
	if (layout_above(l->base, home) == 0)
		return;
	if (text_copy(l->base, sizeof(l->base), home) == 0)
		(void)path_up(l->base);
}

/* ---- which python3.X ---- */

static int tag_compare(const struct layout_tag *a, const struct layout_tag *b)
{
	int c = version_compare(&a->version, &b->version);

	/* Of both builds of one version the usual one is the default. */
	return c ? c : (int)b->free_threaded - (int)a->free_threaded;
}

/*
 * The folder python3.X that fits `wanted` best, else the highest, one with a
 * standard library before one without. `out` is kept when none is there.
 */
static void tag_choose(const char *prefix, const char *lib,
		       const struct layout_tag *wanted, struct layout_tag *out)
{
	char path[PYTHON_PATH_MAX];
	AUTO(auto_closedir) DIR *d = NULL;
	bool whole = false;

	if (path_join(path, prefix, lib) == 0)
		d = opendir(path);
	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		char sub[PYTHON_PATH_MAX];
		struct layout_tag t;
		struct stat st;
		bool os;

		if (!e)
			break;
		if (!layout_tag_parse(&t, e->d_name))
			continue;
		if (wanted->version.known &&
		    version_compare(&t.version, &wanted->version))
			continue;
		if (wanted->version.known &&
		    t.free_threaded == wanted->free_threaded) {
			*out = t;
			return;
		}
		(void)snprintf(sub, sizeof(sub), "%s/os.py", e->d_name);
		os = fstatat(dirfd(d), sub, &st, 0) == 0;
		if (out->version.known &&
		    (whole != os ? whole : tag_compare(&t, out) <= 0))
			continue;
		whole = os;
		*out = t;
	}
}

/* By the interpreter's own names, then pyvenv.cfg, then what is there. */
static void tag_find(struct layout *l, const char *interpreter,
		     const struct pyvenv *venv)
{
	static const char *const names[] = { "bin/python3", "bin/python" };
	struct layout_tag wanted = { .version = { .known = false } };
	struct layout_tag found = wanted;
	char path[PYTHON_PATH_MAX];

	if (interpreter)
		layout_tag_of_links(&wanted, interpreter);
	for (size_t i = 0; i < 2 && !wanted.version.known; i++)
		if (path_join(path, l->prefix, names[i]) == 0)
			layout_tag_of_links(&wanted, path);
	if (!wanted.version.known)
		wanted.version = venv->version;
	tag_choose(l->prefix, "lib", &wanted, &found);
	if (!found.version.known)
		tag_choose(l->prefix, "lib64", &wanted, &found);
	l->tag = found.version.known ? found : wanted;
}

/* ---- free-threaded ---- */

static bool says_no_gil(int dir, const char *name)
{
	AUTO(auto_text) struct text text = TEXT_INIT(SYSCONFIG_MAX);

	return io_read_file(dir, name, &text) == 0 &&
	       strstr(text_str(&text), "'Py_GIL_DISABLED': 1") != NULL;
}

/* The build's own record of its configuration, beside the library. */
static bool library_without_gil(const char *base, const char *lib,
				const char *tag)
{
	char path[PYTHON_PATH_MAX];
	AUTO(auto_closedir) DIR *d = NULL;
	int n = snprintf(path, sizeof(path), "%s/%s/%s", base, lib, tag);

	if (n > 0 && (size_t)n < sizeof(path))
		d = opendir(path);
	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);

		if (!e)
			break;
		if (text_starts(e->d_name, "_sysconfigdata_") &&
		    text_ends(e->d_name, ".py") &&
		    says_no_gil(dirfd(d), e->d_name))
			return true;
	}
	return false;
}

/* ---- all of it ---- */

static int not_a_prefix(struct err *err, const char *prefix)
{
	return err_set(err, ENOENT,
		       "'%s' is no Python prefix: no pyvenv.cfg and no "
		       "lib/python3.X in it",
		       prefix);
}

/* `l` has the prefix; fill in the rest. */
static int fill(struct layout *l, const char *interpreter, struct err *err)
{
	struct pyvenv venv;
	char tag[LAYOUT_TAG_MAX];
	int r = pyvenv_read(&venv, l->prefix, err);

	if (r < 0)
		return r;
	tag_find(l, interpreter, &venv);
	if (!l->tag.version.known)
		return err_set(err, ENOENT,
			       "'%s' does not tell which Python it is: no "
			       "lib/python3.X in it",
			       l->prefix);
	memcpy(l->base, l->prefix, sizeof(l->base));
	l->venv = venv.exists;
	l->system_site = venv.exists && venv.system_site;
	if (venv.exists && venv.home[0] == '/')
		base_of_home(l, venv.home);
	layout_tag_print(&l->tag, tag);
	l->free_threaded = l->tag.free_threaded ||
			   library_without_gil(l->base, "lib", tag) ||
			   library_without_gil(l->base, "lib64", tag);
	return 0;
}

int layout_read(struct layout *out, const char *path, struct err *err)
{
	AUTO(auto_free) struct layout *l = calloc(1, sizeof(*l));
	const char *interpreter = NULL;
	struct stat st;
	int r;

	if (!l)
		return err_errno(err, ENOMEM, "Python prefix");
	r = text_copy(l->prefix, sizeof(l->prefix), path);
	if (r < 0)
		return err_errno(err, -r, "Python prefix");
	if (stat(path, &st) < 0)
		return err_errno(err, errno, "Python prefix '%s'", path);
	if (S_ISREG(st.st_mode)) {
		interpreter = path;
		(void)(path_up(l->prefix) && path_up(l->prefix));
	}
	if (!layout_is_prefix(l->prefix))
		return not_a_prefix(err, l->prefix);
	r = fill(l, interpreter, err);
	if (r < 0)
		return r;
	*out = *l;
	return 0;
}
