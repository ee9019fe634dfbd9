/* SPDX-License-Identifier: Apache-2.0 */
#include "where.h"

#include "guard.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM (2 * PATH_MAX)

static void add_step(struct text *out, const char *step, size_t n)
{
	if (n == 0 || (n == 1 && step[0] == '.'))
		return;
	if (n == 2 && step[0] == '.' && step[1] == '.') {
		while (out->len && out->s[out->len - 1] != '/')
			out->len--;
		if (out->len)
			out->len--;
		if (out->s)
			out->s[out->len] = '\0';
		return;
	}
	text_add_char(out, '/');
	text_add_bytes(out, step, n);
}

/* Absolute, by its text alone. NULL: too long, or no memory. */
static char *plain(const char *path)
{
	struct text t = TEXT_INIT(PATH_ROOM), out = TEXT_INIT(PATH_ROOM);
	AUTO(auto_free) char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	char *made = NULL;

	text_printf(&t, "%s/%s", cwd ? cwd : "", path);
	for (const char *p = text_str(&t); *p;) {
		size_t n = strcspn(p, "/");

		add_step(&out, p, n);
		p += n + (p[n] == '/');
	}
	if (out.len == 0)
		text_add_char(&out, '/');
	if (!text_failed(&t) && !text_failed(&out))
		made = text_take(&out);
	text_done(&t);
	text_done(&out);
	return made;
}

/* The links on the way to it resolved, its last step left as it is. */
static char *real_parent(const char *path)
{
	AUTO(auto_text) struct text real = TEXT_INIT(PATH_ROOM);
	AUTO(auto_free) char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!slash || slash == parent)
		return NULL;
	*slash = '\0';
	if (guard_realpath(parent, &real) < 0)
		return NULL;
	text_printf(&real, "/%s", slash + 1);
	return text_take(&real);
}

static int find(struct where *out, const char *path, struct err *err)
{
	char *mount = NULL, *copy;
	size_t n;
	int r = mountpoint_of(path, &mount, err);

	if (r < 0)
		return r;
	copy = strdup(path);
	if (!copy) {
		free(mount);
		return err_errno(err, ENOMEM, "'%s'", path);
	}
	n = strlen(mount);
	out->mount = mount;
	out->path = copy;
	out->rest = copy + n + (copy[n] == '/');
	return 0;
}

int where_find(struct where *out, const char *path, struct err *err)
{
	AUTO(auto_free) char *full = plain(path);
	AUTO(auto_free) char *parent = NULL;
	AUTO(auto_text) struct text real = TEXT_INIT(PATH_ROOM);
	int r;

	if (!full)
		return err_errno(err, ENAMETOOLONG, "'%.200s'", path);
	r = find(out, full, err);
	if (r != -ENOENT)
		return r;
	parent = real_parent(full);
	if (parent)
		r = find(out, parent, err);
	if (r == -ENOENT && guard_realpath(full, &real) == 0)
		r = find(out, text_str(&real), err);
	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       "'%s' is not in a kernelfs mount; "
			       "`kernelfs status` lists the mounts",
			       path);
	return r;
}

void where_done(struct where *w)
{
	free(w->mount);
	free(w->path);
	*w = (struct where){ .mount = NULL };
}
