/* SPDX-License-Identifier: Apache-2.0 */
#include "sitepath.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "pathjoin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PTH_MAX 65536u /* one .pth file: a few lines */
#define PTH_FILES_MAX 512u
#define MOUNTINFO_MAX (16u << 20)
#define MOUNTS_MAX 65536u
#define PASSWD_MAX 16384u

/* What was seen in one folder and is not followed. */
struct unseen {
	unsigned hooks;
	unsigned links;
	char hook[256];
	char link[256];
};

/* ---- life ---- */

void sitepath_init(struct sitepath *s)
{
	memset(s, 0, sizeof(*s));
}

void sitepath_done(struct sitepath *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->folders[i].path);
	free(s->mounts);
	sitepath_init(s);
}

void auto_sitepath(struct sitepath *s)
{
	sitepath_done(s);
}

/* ---- mounts of our own ---- */

/* mountinfo writes blank, tab, newline and backslash as \ooo. */
static void add_unescaped(struct text *out, struct cursor c)
{
	while (!cursor_done(&c)) {
		if (*c.p == '\\' && cursor_left(&c) >= 4) {
			text_add_char(out, (char)((c.p[1] - '0') * 64 +
						  (c.p[2] - '0') * 8 +
						  (c.p[3] - '0')));
			c.p += 4;
		} else {
			text_add_char(out, *c.p++);
		}
	}
	text_add_char(out, '\0');
}

/* "id parent dev root MOUNTPOINT options … - TYPE source …" */
static void note_mount(struct text *out, struct cursor line)
{
	struct cursor at = line, rest;
	const char *type = memmem(line.p, cursor_left(&line), " - ", 3);

	if (!type)
		return;
	rest = (struct cursor){ type + 3, line.end };
	rest = cursor_until(&rest, ' ');
	if (!cursor_equals(&rest, "fuse.kernelfs"))
		return;
	for (int i = 0; i < 4; i++) {
		(void)cursor_until(&at, ' ');
		(void)cursor_skip_char(&at, ' ');
	}
	add_unescaped(out, cursor_until(&at, ' '));
}

int sitepath_avoid(struct sitepath *s, const char *mountinfo)
{
	struct text out = TEXT_INIT(MOUNTS_MAX);
	struct cursor c = cursor_of(mountinfo);

	while (!cursor_done(&c)) {
		note_mount(&out, cursor_until(&c, '\n'));
		(void)cursor_skip_char(&c, '\n');
	}
	text_add_char(&out, '\0');
	free(s->mounts);
	s->mounts = text_take(&out);
	text_done(&out);
	return s->mounts ? 0 : -ENOMEM;
}

static int avoid_mounts(struct sitepath *s)
{
	AUTO(auto_text) struct text info = TEXT_INIT(MOUNTINFO_MAX);

	if (s->mounts)
		return 0;
	/* Without /proc nothing can be mounted by us either. */
	(void)io_read_file(AT_FDCWD, "/proc/self/mountinfo", &info);
	return sitepath_avoid(s, text_str(&info));
}

static bool is_under_mount(const struct sitepath *s, const char *path)
{
	for (const char *m = s->mounts; m && m[0]; m += strlen(m) + 1)
		if (text_starts(path, m) &&
		    (path[strlen(m)] == '\0' || path[strlen(m)] == '/'))
			return true;
	return false;
}

/* ---- the list ---- */

/* 1: added; 0: is there already, or is no folder; -ENOMEM. */
static int add_folder(struct sitepath *s, const char *path)
{
	struct sitepath_folder *f = &s->folders[s->count];
	struct stat st;

	if (s->count == SITEPATH_FOLDERS_MAX || is_under_mount(s, path) ||
	    stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->folders[i].dev == st.st_dev &&
		    s->folders[i].ino == st.st_ino)
			return 0;
	f->path = text_dup(path, strlen(path));
	if (!f->path)
		return -ENOMEM;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	s->count++;
	return 1;
}

/* ---- .pth files ---- */

static int pth_line(struct sitepath *s, const char *folder, struct cursor line,
		    const char *file, struct unseen *u)
{
	char path[PYTHON_PATH_MAX], name[PYTHON_PATH_MAX];
	int r;

	while (line.p < line.end && strchr(" \t\r\f\v", line.end[-1]))
		line.end--;
	if (cursor_done(&line) || *line.p == '#' ||
	    cursor_left(&line) >= sizeof(name) ||
	    memchr(line.p, '\0', cursor_left(&line)))
		return 0;
	memcpy(name, line.p, cursor_left(&line));
	name[cursor_left(&line)] = '\0';
	if (text_starts(name, "import ") || text_starts(name, "import\t")) {
		if (strstr(name, "__editable__") && !u->hooks++)
			(void)text_copy(u->hook, sizeof(u->hook), file);
		return 0;
	}
	r = name[0] == '/' ? text_copy(path, sizeof(path), name)
			   : path_join(path, folder, name);
	r = r < 0 ? 0 : add_folder(s, path);
	return r < 0 ? r : 0;
}

static int pth_file(struct sitepath *s, const char *folder, const char *file,
		    struct unseen *u)
{
	AUTO(auto_text) struct text text = TEXT_INIT(PTH_MAX);
	char path[PYTHON_PATH_MAX];
	struct cursor c;

	if (path_join(path, folder, file) < 0 ||
	    io_read_file(AT_FDCWD, path, &text) < 0)
		return 0;
	c = (struct cursor){ text_str(&text), text_str(&text) + text.len };
	while (!cursor_done(&c)) {
		int r = pth_line(s, folder, cursor_until(&c, '\n'), file, u);

		if (r < 0)
			return r;
		(void)cursor_skip_char(&c, '\n');
	}
	return 0;
}

static int is_pth(const struct dirent *e)
{
	return e->d_name[0] != '.' && (text_ends(e->d_name, ".pth") ||
				       text_ends(e->d_name, ".egg-link"));
}

/* Python reads them in the order of their bytes, whatever the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void note_unseen(struct text *notes, const char *folder,
			const struct unseen *u)
{
	if (u->hooks)
		text_printf(notes,
			    "%s: %u editable installs by import hook "
			    "(first: %s) are not followed\n",
			    folder, u->hooks, u->hook);
	if (u->links)
		text_printf(notes,
			    "%s: %u egg links (first: %s) are not "
			    "followed; easy-install.pth is\n",
			    folder, u->links, u->link);
}

/* A folder of packages, and what its .pth files add. */
static int add_site(struct sitepath *s, const char *folder, struct text *notes)
{
	struct unseen u = { .hooks = 0 };
	struct dirent **names = NULL;
	int r = add_folder(s, folder);
	int n;

	if (r <= 0)
		return r;
	n = scandir(folder, &names, is_pth, by_bytes);
	r = 0;
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (text_ends(name, ".egg-link")) {
			if (!u.links++)
				(void)text_copy(u.link, sizeof(u.link), name);
		} else if (r == 0 && i < (int)PTH_FILES_MAX) {
			r = pth_file(s, folder, name, &u);
		}
		free(names[i]);
	}
	free(names);
	note_unseen(notes, folder, &u);
	return r;
}

/* ---- PYTHONPATH ---- */

static int add_pythonpath(struct sitepath *s, struct text *notes)
{
	const char *all = getenv("PYTHONPATH");
	struct cursor c = cursor_of(all ? all : "");

	while (!cursor_done(&c)) {
		struct cursor one = cursor_until(&c, ':');
		char path[PYTHON_PATH_MAX];
		int r;

		(void)cursor_skip_char(&c, ':');
		if (cursor_done(&one) || cursor_left(&one) >= sizeof(path))
			continue;
		memcpy(path, one.p, cursor_left(&one));
		path[cursor_left(&one)] = '\0';
		if (path[0] != '/') {
			text_printf(notes,
				    "PYTHONPATH: '%s' is "
				    "relative and not looked at\n",
				    path);
			continue;
		}
		r = add_folder(s, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the user's packages ---- */

static bool user_base(char out[PYTHON_PATH_MAX])
{
	const char *said = getenv("PYTHONUSERBASE");
	const char *home = getenv("HOME");
	char buf[PASSWD_MAX];
	struct passwd pw, *got = NULL;

	if (said && said[0])
		return text_copy(out, PYTHON_PATH_MAX, said) == 0;
	if (!home && getpwuid_r(getuid(), &pw, buf, sizeof(buf), &got) == 0 &&
	    got)
		home = pw.pw_dir;
	return home && home[0] && path_join(out, home, ".local") == 0;
}

static int add_user_site(struct sitepath *s, const char *tag,
			 struct text *notes)
{
	const char *off = getenv("PYTHONNOUSERSITE");
	char base[PYTHON_PATH_MAX], rel[LAYOUT_TAG_MAX + 32];
	char path[PYTHON_PATH_MAX];

	/* Python itself distrusts the user's folder in a set-id program. */
	if ((off && off[0]) || getuid() != geteuid() || getgid() != getegid())
		return 0;
	(void)snprintf(rel, sizeof(rel), "lib/%s/site-packages", tag);
	if (!user_base(base) || path_join(path, base, rel) < 0)
		return 0;
	return add_site(s, path, notes);
}

/* ---- the prefix's packages ---- */

/* One line of a table: prefix/<before>/<tag>/<after>. */
struct place {
	const char *before;
	bool tagged;
	const char *after;
};

static int add_places(struct sitepath *s, const char *prefix, const char *tag,
		      const struct place *p, struct text *notes)
{
	for (; p->before; p++) {
		char path[PYTHON_PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s/%s/%s/%s",
				 strcmp(prefix, "/") ? prefix : "", p->before,
				 p->tagged ? tag : "python3", p->after);
		int r = 0;

		if (n > 0 && (size_t)n < sizeof(path))
			r = add_site(s, path, notes);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Debian's own Python has dist-packages and no site-packages; a Python that
 * was built beside it has site-packages only. Fedora's looks in lib64 and
 * local/ first. */
static int add_prefix(struct sitepath *s, const char *prefix, const char *tag,
		      bool venv, struct text *notes)
{
	static const struct place usual[] = {
		{ "lib", true, "site-packages" },
		{ "lib64", true, "site-packages" },
		{ NULL, false, NULL },
	};
	static const struct place debian[] = {
		{ "local/lib", true, "dist-packages" },
		{ "lib", false, "dist-packages" },
		{ "lib", true, "dist-packages" },
		{ NULL, false, NULL },
	};
	static const struct place fedora[] = {
		{ "local/lib64", true, "site-packages" },
		{ "local/lib", true, "site-packages" },
		{ "lib64", true, "site-packages" },
		{ "lib", true, "site-packages" },
		{ NULL, false, NULL },
	};
	char lib[LAYOUT_TAG_MAX + 16], lib64[LAYOUT_TAG_MAX + 16];

	(void)snprintf(lib, sizeof(lib), "lib/%s/os.py", tag);
	(void)snprintf(lib64, sizeof(lib64), "lib64/%s/os.py", tag);
	if (!venv && path_has(prefix, "lib/python3/dist-packages", S_IFDIR))
		return add_places(s, prefix, tag, debian, notes);
	if (!venv && path_has(prefix, lib64, S_IFREG) &&
	    !path_has(prefix, lib, S_IFREG))
		return add_places(s, prefix, tag, fedora, notes);
	return add_places(s, prefix, tag, usual, notes);
}

int sitepath_read(struct sitepath *s, const struct layout *l,
		  struct text *notes)
{
	char tag[LAYOUT_TAG_MAX];
	int r;

	layout_tag_print(&l->tag, tag);
	r = avoid_mounts(s);
	if (r == 0)
		r = add_pythonpath(s, notes);
	if (r == 0 && l->venv)
		r = add_prefix(s, l->prefix, tag, true, notes);
	if (r == 0 && (!l->venv || l->system_site))
		r = add_user_site(s, tag, notes);
	if (r == 0 && (!l->venv || l->system_site))
		r = add_prefix(s, l->base, tag, false, notes);
	if (r == 0 && s->count == SITEPATH_FOLDERS_MAX)
		text_printf(notes,
			    "only the first %d folders of the search "
			    "path are looked at\n",
			    SITEPATH_FOLDERS_MAX);
	return r;
}

const char *sitepath_package(const struct sitepath *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++) {
		char path[PYTHON_PATH_MAX];

		if (path_join(path, s->folders[i].path, name) == 0 &&
		    path_has(path, "__init__.py", S_IFREG))
			return s->folders[i].path;
	}
	return NULL;
}
