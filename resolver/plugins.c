/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "pathjoin.h"
#include "sitepath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_MAX (1u << 20) /* entry_points.txt */
#define ENTRIES_MAX 65536u
#define INFO_MAX 65536u
/* ASCEND_HOME_PATH is a toolkit: the file is one or two folders down. */
#define CANN_FOLDERS_MAX 512u

/* ---- entry points ---- */

static struct cursor trim(struct cursor c)
{
	while (c.p < c.end && strchr(" \t\r", *c.p))
		c.p++;
	while (c.p < c.end && strchr(" \t\r", c.end[-1]))
		c.end--;
	return c;
}

/* "name = module.sub:attribute": which of the known modules is it? */
static void plugin_line(struct plugins *out, struct cursor line,
			struct text *notes)
{
	struct cursor module;

	(void)cursor_until(&line, '=');
	if (!cursor_skip_char(&line, '='))
		return;
	line = trim(line);
	module = cursor_until(&line, ':');
	module = cursor_until(&module, '.');
	module = trim(module);
	if (cursor_equals(&module, "torch_tpu"))
		out->tpu = true;
	else if (cursor_skip(&module, "torch_neuron"))
		out->neuron = true;
	else if (cursor_equals(&module, "torch_npu"))
		out->npu = true;
	else
		text_printf(notes,
			    "plugin of torch without a known backend: "
			    "%.*s\n",
			    (int)cursor_left(&module), module.p);
}

void plugins_parse(struct plugins *out, const char *text, struct text *notes)
{
	struct cursor c = cursor_of(text);
	bool ours = false;

	while (!cursor_done(&c)) {
		struct cursor line = trim(cursor_until(&c, '\n'));

		(void)cursor_skip_char(&c, '\n');
		if (cursor_done(&line) || *line.p == '#' || *line.p == ';')
			continue;
		if (*line.p == '[')
			ours = cursor_equals(&line, "[torch.backends]");
		else if (ours)
			plugin_line(out, line, notes);
	}
}

static void plugins_of_folder(struct plugins *out, const char *folder,
			      struct text *notes)
{
	AUTO(auto_text) struct text text = TEXT_INIT(POINTS_MAX);
	AUTO(auto_closedir) DIR *d = opendir(folder);

	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		char name[sizeof(e->d_name) + sizeof("/entry_points.txt")];

		if (!e)
			break;
		if (!text_ends(e->d_name, ".dist-info") &&
		    !text_ends(e->d_name, ".egg-info"))
			continue;
		(void)snprintf(name, sizeof(name), "%s/entry_points.txt",
			       e->d_name);
		text_clear(&text);
		if (io_read_file(dirfd(d), name, &text) == 0)
			plugins_parse(out, text_str(&text), notes);
	}
}

void plugins_find(struct plugins *out, const struct sitepath *s,
		  struct text *notes)
{
	const char *load = getenv("TORCH_DEVICE_BACKEND_AUTOLOAD");

	memset(out, 0, sizeof(*out));
	if (load && strcmp(load, "1") != 0)
		return;
	for (size_t i = 0; i < s->count; i++)
		plugins_of_folder(out, s->folders[i].path, notes);
}

/* ---- CANN ---- */

/* Folders still to be looked at, a list of names that NUL ends. */
struct walk {
	struct text folders;
	size_t next;
	unsigned count;
};

static void walk_add(struct walk *w, const char *path)
{
	if (w->count++ < CANN_FOLDERS_MAX)
		text_add_bytes(&w->folders, path, strlen(path) + 1);
}

/* The install file of one folder, if it has one; else its folders go on the
 * list. Links are not followed, as os.walk() does not. */
static bool walk_step(struct walk *w, char found[PYTHON_PATH_MAX])
{
	char folder[PYTHON_PATH_MAX], path[PYTHON_PATH_MAX];
	AUTO(auto_closedir) DIR *d = NULL;

	if (text_copy(folder, sizeof(folder), text_str(&w->folders) + w->next) <
	    0)
		folder[0] = '\0';
	w->next += strlen(text_str(&w->folders) + w->next) + 1;
	d = opendir(folder);
	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		struct stat st;

		if (!e)
			break;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    path_join(path, folder, e->d_name) < 0 ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk_add(w, path);
		else if (text_starts(e->d_name, "ascend_") &&
			 text_ends(e->d_name, "_install.info"))
			return text_copy(found, PYTHON_PATH_MAX, path) == 0;
	}
	return false;
}

static bool find_install_info(char found[PYTHON_PATH_MAX], const char *home)
{
	AUTO(auto_free) char *real = realpath(home, NULL);
	struct walk w = {
		.folders = TEXT_INIT(CANN_FOLDERS_MAX * PYTHON_PATH_MAX),
	};
	bool ok = false;

	if (real)
		walk_add(&w, real);
	while (!ok && !text_failed(&w.folders) && w.next < w.folders.len)
		ok = walk_step(&w, found);
	text_done(&w.folders);
	return ok;
}

/* "version=8.3.RC1": one character each for major and minor. */
static bool cann_line(struct version *out, struct cursor line)
{
	char text[] = "M.m";

	line = trim(line);
	if (!cursor_skip(&line, "version="))
		return false;
	line = trim(line);
	if (cursor_left(&line) < 3)
		return false;
	text[0] = line.p[0];
	text[2] = line.p[2];
	return version_parse(out, text) == 0;
}

int plugins_cann(struct version *out, struct err *err)
{
	AUTO(auto_text) struct text text = TEXT_INIT(INFO_MAX);
	const char *home = getenv("ASCEND_HOME_PATH");
	char path[PYTHON_PATH_MAX];
	struct cursor c;
	int r;

	if (!home || !home[0])
		return err_set(err, EINVAL,
			       "torch_npu is installed, but "
			       "ASCEND_HOME_PATH does not say where CANN is; "
			       "set it or name the environment with "
			       "--env=SPEC");
	if (!find_install_info(path, home))
		return err_set(err, EINVAL,
			       "torch_npu is installed, but "
			       "ASCEND_HOME_PATH '%s' has no "
			       "ascend_*_install.info",
			       home);
	r = io_read_file(AT_FDCWD, path, &text);
	if (r < 0)
		return err_errno(err, -r, "'%s'", path);
	c = cursor_of(text_str(&text));
	while (!cursor_done(&c)) {
		if (cann_line(out, cursor_until(&c, '\n')))
			return 0;
		(void)cursor_skip_char(&c, '\n');
	}
	return err_set(err, EINVAL, "'%s' has no version of CANN", path);
}
