/* SPDX-License-Identifier: Apache-2.0 */
#include "source_dir.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A local folder of <owner>/<repo>/build/..., or one repository (a folder
 * with build/ in it), which then is local/<the folder's name>. What a
 * repository has in the way of versions: source_dir_look.c.
 *
 * The folder is open from the start, before anything is mounted, and what is
 * below it is reached from there without crossing a mount: the daemon must
 * not walk into its own.
 */

#define PATH_MAX_BYTES 4096

static struct source_dir *dir_of(struct source *s)
{
	return (struct source_dir *)s;
}

bool source_dir_stopped(void *arg)
{
	const struct source_dir *d = arg;

	return d->http && http_is_cancelled(d->http);
}

/* ---- where things are ---- */

/* The last step of the path, made a valid name. */
static void own_name(const struct source_dir *d, char out[REF_PART_MAX + 1])
{
	const char *s = strrchr(d->path, '/') + 1;
	size_t n = 0;

	for (; *s && n < REF_PART_MAX - 1; s++) {
		bool good = (*s >= 'a' && *s <= 'z') ||
			    (*s >= 'A' && *s <= 'Z') ||
			    (*s >= '0' && *s <= '9') || *s == '_' || *s == '.';

		if (good && *s != '.')
			out[n++] = *s;
		else if (n && out[n - 1] != '-' && out[n - 1] != '.')
			out[n++] = good ? '.' : '-';
	}
	while (n && (out[n - 1] == '-' || out[n - 1] == '.'))
		n--;
	out[n] = '\0';
	if (!ref_name_valid(out))
		(void)text_copy(out, REF_PART_MAX + 1, "kernel");
}

bool source_dir_has_folder(int at, const char *path)
{
	AUTO(auto_close) int fd = dir_open(at, path, O_PATH | O_DIRECTORY);

	return fd >= 0;
}

/* Look at it again by its name: it may have been replaced as a whole. Not
 * where something is mounted over it by now. */
int source_dir_open_root(struct source_dir *d)
{
	const char *name = strrchr(d->path, '/') + 1;
	int fd = -1;
	int old = -1;

	if (d->parent >= 0)
		fd = dir_open_named(d->parent, name);
	lock_take(&d->mu);
	if (fd >= 0) {
		old = d->root;
		d->root = fd;
	}
	fd = fcntl(d->root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	lock_drop(&d->mu);
	if (old >= 0)
		(void)close(old);
	return fd;
}

/* The folder of a repository, or of one of its versions. */
int source_dir_open_repo(struct source_dir *d, const struct repo_id *repo,
			 const char *base)
{
	char path[2 * REF_PART_MAX + REF_REV_MAX + 4];
	char own[REF_PART_MAX + 1];
	AUTO(auto_close) int root = -1;

	lock_take(&d->mu);
	root = fcntl(d->root, F_DUPFD_CLOEXEC, 0);
	lock_drop(&d->mu);
	if (root < 0)
		return -EMFILE;
	own_name(d, own);
	if (source_dir_has_folder(root, "build")) {
		if (strcmp(repo->owner, SOURCE_DIR_OWNER) != 0 ||
		    strcmp(repo->name, own) != 0)
			return -ENOENT;
		return dir_open(root, *base ? base : ".", O_PATH | O_DIRECTORY);
	}
	(void)snprintf(path, sizeof(path), "%s/%s%s%s", repo->owner, repo->name,
		       *base ? "/" : "", base);
	return dir_open(root, path, O_PATH | O_DIRECTORY);
}

DIR *source_dir_stream(int folder)
{
	int fd = dir_open(folder, ".", O_RDONLY | O_DIRECTORY);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);

	if (!stream && fd >= 0)
		(void)close(fd);
	return stream;
}

bool source_dir_is_repo(int folder)
{
	AUTO(auto_closedir) DIR *stream = NULL;
	const struct dirent *item;

	if (source_dir_has_folder(folder, "build"))
		return true;
	stream = source_dir_stream(folder);
	while (stream && (item = readdir(stream)) != NULL) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%.16s/build", item->d_name);
		if (dir_is_version(item->d_name) &&
		    source_dir_has_folder(folder, path))
			return true;
	}
	return false;
}

/* ---- the questions ---- */

static int dir_refs(struct source *s, const struct repo_id *repo,
		    struct source_refs *out, struct err *err)
{
	return source_dir_look(dir_of(s), repo, out, err);
}

static int dir_trusted(struct source *s, const struct repo_id *repo, bool *out,
		       struct err *err)
{
	(void)s;
	(void)repo;
	(void)err;
	*out = true; /* whoever named the folder chose what is in it */
	return 0;
}

static int dir_tree(struct source *s, const struct repo_id *repo,
		    const char *commit, const char *dir, bool recursive,
		    struct tree_builder *b, struct err *err)
{
	struct source_dir_seen *seen = NULL;
	int r = source_dir_find(dir_of(s), repo, commit, &seen, err);

	if (r < 0)
		return r;
	r = dir_scan_list(&seen->scan, dir, recursive, b, err);
	source_dir_put(dir_of(s), seen);
	return r < 0 ? err_wrap(err, r, "'%s/%s@%s'", repo->owner, repo->name,
				commit)
		     : 0;
}

static int list_owner(struct source_dir *d, int root, const char *owner,
		      struct text *names)
{
	AUTO(auto_close)
	int folder = dir_open(root, owner, O_PATH | O_DIRECTORY);
	AUTO(auto_closedir)
	DIR *stream = folder < 0 ? NULL : source_dir_stream(folder);
	const struct dirent *item;

	if (folder < 0)
		return folder;
	if (!stream)
		return -EACCES;
	while ((item = readdir(stream)) != NULL) {
		AUTO(auto_close) int repo = -1;

		if (!ref_name_valid(item->d_name))
			continue;
		if (source_dir_stopped(d))
			return -ECANCELED;
		repo = dir_open(folder, item->d_name, O_PATH | O_DIRECTORY);
		if (repo >= 0 && source_dir_is_repo(repo))
			text_add_bytes(names, item->d_name,
				       strlen(item->d_name) + 1);
	}
	return text_failed(names);
}

static int dir_kernels(struct source *s, const char *owner,
		       struct source_names *out, struct err *err)
{
	AUTO(auto_text)
	struct text names = TEXT_INIT(SOURCE_KERNELS_MAX * (REF_PART_MAX + 1));
	AUTO(auto_close) int root = source_dir_open_root(dir_of(s));
	char own[REF_PART_MAX + 1];
	int r = root < 0 ? root : 0;

	if (r == 0 && !source_dir_has_folder(root, "build")) {
		r = list_owner(dir_of(s), root, owner, &names);
	} else if (r == 0 && strcmp(owner, SOURCE_DIR_OWNER) != 0) {
		r = -ENOENT;
	} else if (r == 0) {
		own_name(dir_of(s), own);
		text_add_bytes(&names, own, strlen(own) + 1);
		r = text_failed(&names);
	}
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return err_set(err, ENOENT, "no owner '%s' at %s", owner,
			       s->url);
	if (r < 0)
		return err_errno(err, -r, "kernels of '%s' at %s", owner,
				 s->url);
	return source_names_from(out, text_str(&names), names.len, err);
}

/* ---- life ---- */

static void dir_free(struct source *s)
{
	struct source_dir *d = dir_of(s);

	source_dir_forget_all(d);
	if (d->root >= 0)
		(void)close(d->root);
	if (d->parent >= 0)
		(void)close(d->parent);
	(void)pthread_cond_destroy(&d->looked);
	lock_done(&d->mu);
	free(d->path);
	free(s->url);
	free(d);
}

static const struct source_ops dir_ops = {
	.kernels = dir_kernels,
	.trusted = dir_trusted,
	.refs = dir_refs,
	.tree = dir_tree,
	.file = source_dir_file,
	.free = dir_free,
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* The path of a file URL: absolute, %XX decoded, no '/' at its end. */
static int read_url(const char *url, struct text *path)
{
	const char *s = url + strlen("file://");

	if (!text_starts(url, "file://") || *s != '/' || strpbrk(s, "?#"))
		return -EINVAL;
	for (; *s; s++) {
		char c = *s;

		if (c == '%') {
			int high = hex_digit(s[1]);
			int low = high < 0 ? -1 : hex_digit(s[2]);

			if (low < 0)
				return -EINVAL;
			c = (char)(high * 16 + low);
			s += 2;
		}
		if ((unsigned char)c < ' ' || c == 0x7f)
			return -EINVAL;
		if (c != '/' || !path->len || path->s[path->len - 1] != '/')
			text_add_char(path, c);
	}
	while (path->len > 1 && path->s[path->len - 1] == '/')
		path->s[--path->len] = '\0';
	return text_failed(path);
}

/* The folder that holds it, to look at it again by its name: not for "/",
 * nor where the last step is no name. */
static int open_parent(const struct source_dir *d)
{
	const char *name = strrchr(d->path, '/') + 1;
	AUTO(auto_free) char *parent = NULL;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -1;
	parent = text_dup(d->path, (size_t)(name - d->path));
	return parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

static int open_all(struct source_dir *d, struct err *err)
{
	int test;

	d->root = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0)
		return err_errno(err, errno, "source '%s'", d->source.url);
	test = dir_open(d->root, ".", O_RDONLY | O_DIRECTORY);
	if (test == -ENOSYS || test == -EPERM)
		return err_errno(err, -test,
				 "source '%s': the system call openat2 "
				 "(Linux 5.6) cannot be had",
				 d->source.url);
	if (test < 0)
		return err_errno(err, -test, "source '%s'", d->source.url);
	(void)close(test);
	d->parent = open_parent(d);
	return 0;
}

int source_dir_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err)
{
	AUTO(auto_text) struct text path = TEXT_INIT(PATH_MAX_BYTES);
	struct source_dir *d;
	size_t n = strlen(url);
	int r;

	if (read_url(url, &path) < 0)
		return err_set(err, EINVAL,
			       "source '%s': give a folder as "
			       "file:///absolute/path, '?' as %%3F and '#' as "
			       "%%23",
			       url);
	while (n > strlen("file:///") && url[n - 1] == '/')
		n--;
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_errno(err, ENOMEM, "source");
	d->root = d->parent = -1;
	d->http = o->http;
	d->store = o->store;
	lock_init(&d->mu, LOCK_SOURCE);
	lock_cond_init(&d->looked);
	d->source.ops = &dir_ops;
	d->source.local = true;
	d->source.url = text_dup(url, n);
	d->path = text_take(&path);
	r = d->source.url && d->path ? open_all(d, err)
				     : err_errno(err, ENOMEM, "source");
	if (r < 0) {
		dir_free(&d->source);
		return r;
	}
	*out = &d->source;
	return 0;
}
