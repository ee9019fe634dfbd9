/* SPDX-License-Identifier: Apache-2.0 */
#include "dir_scan.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/fact.h"
#include "kernels/tree.h"
#include "kernels/tree_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK (1u << 20)
/* A file's times have the grain of the filesystem, 2 s at worst: what is
 * younger may be written once more without a trace. */
#define YOUNG_S 2
/* So often a file may change under us while it is hashed. */
#define TRIES 3

static int open_how(int folder, const char *path, struct open_how *how)
{
	long fd;

	/* glibc 2.36 has no name for it yet */
	do {
		fd = syscall(SYS_openat2, folder, path, how, sizeof(*how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int dir_open(int folder, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve =
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	if (!(flags & O_PATH)) /* no waiting for who writes into a FIFO */
		how.flags |= O_NONBLOCK | O_NOCTTY;
	return open_how(folder, path, &how);
}

int dir_open_named(int folder, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};

	return open_how(folder, name, &how);
}

bool dir_is_version(const char *name)
{
	size_t digits = strspn(name + (*name == 'v'), "0123456789");

	if (*name != 'v' || digits == 0 || digits > 9 || name[1 + digits])
		return false;
	return digits == 1 || name[1] != '0';
}

/* ---- walking ---- */

struct walk {
	struct dir_scan *scan;
	const struct dir_scan_options *o;
	struct err *err;
	int folder;	/* borrowed */
	char **folders; /* owned, each: to be looked into */
	size_t count;
	size_t room;
	size_t links_out;
};

static bool stopped(const struct dir_scan_options *o)
{
	return o->stopped && o->stopped(o->arg);
}

static int fail(const struct walk *w, int error, const char *path)
{
	return err_errno(w->err, error, "'%.200s%s%.700s'", w->o->name,
			 *path ? "/" : "", path);
}

static bool is_part(const struct walk *w, const char *dir, const char *name,
		    bool folder)
{
	AUTO(auto_close) int build = -1;
	char path[NAME_MAX + sizeof("/build")];

	if (!strcmp(name, ".git") || !strcmp(name, "__pycache__") ||
	    (!folder && text_ends(name, ".pyc")))
		return false;
	if (*dir || !folder || !w->o->versions_apart)
		return true;
	if (!strcmp(name, "refs"))
		return false;
	if (!dir_is_version(name))
		return true;
	(void)snprintf(path, sizeof(path), "%s/build", name);
	build = dir_open(w->folder, path, O_PATH | O_DIRECTORY);
	return build < 0;
}

static int push_folder(struct walk *w, char *path)
{
	if (w->count == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		char **more = reallocarray(w->folders, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->folders = more;
		w->room = room;
	}
	w->folders[w->count++] = path;
	return 0;
}

static int push_entry(struct dir_scan *s, struct dir_entry *e)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct dir_entry *more =
			reallocarray(s->entries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->entries = more;
		s->room = room;
	}
	s->entries[s->count++] = *e;
	return 0;
}

/* Is a link at this path in a build? Elsewhere none is ever shown. */
static const char *below_build(const char *path)
{
	const char *slash;

	if (!text_starts(path, "build/"))
		return NULL;
	slash = strchr(path + strlen("build/"), '/');
	return slash ? slash + 1 : NULL;
}

static int take_link(struct walk *w, int at, const char *name, char **path)
{
	char target[TREE_TARGET_MAX + 2];
	const char *inside = below_build(*path);
	ssize_t n = readlinkat(at, name, target, sizeof(target) - 1);
	struct dir_entry e = { .path = *path };

	if (n < 0)
		return errno == ENOENT ? 0 : fail(w, errno, *path);
	target[n] = '\0';
	if (!inside || !tree_target_inside(inside, target, (size_t)n)) {
		log_debug("dir", "'%s/%s' is left out: a link out of its build",
			  w->o->name, *path);
		w->links_out++;
		return 0;
	}
	e.target = text_dup(target, (size_t)n);
	if (!e.target || push_entry(w->scan, &e) < 0) {
		free(e.target);
		return fail(w, ENOMEM, *path);
	}
	*path = NULL;
	return 0;
}

static int take_path(struct walk *w, int at, const char *name,
		     const struct stat *st, char **path)
{
	struct dir_entry e = { .path = *path };
	int r;

	if (S_ISLNK(st->st_mode))
		return take_link(w, at, name, path);
	if (S_ISDIR(st->st_mode))
		r = push_folder(w, *path);
	else if (S_ISREG(st->st_mode))
		r = push_entry(w->scan, &e);
	else
		return 0; /* a socket, a device: nothing to serve */
	if (r < 0)
		return fail(w, -r, *path);
	*path = NULL;
	return 0;
}

static int take_name(struct walk *w, int at, const char *dir, const char *name)
{
	AUTO(auto_free) char *path = NULL;
	size_t dir_n = strlen(dir);
	size_t n = strlen(name);
	const char *fault = tree_step_fault(name, n);
	size_t room = dir_n + 1 + n + 1;
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return errno == ENOENT ? 0 : fail(w, errno, dir);
	if (!is_part(w, dir, name, S_ISDIR(st.st_mode)))
		return 0;
	if (!fault && room - 1 > TREE_PATH_MAX)
		fault = "lies too deep";
	if (fault) {
		log_warning("dir", "'%.200s/%.500s': a name is left out: it %s",
			    w->o->name, dir, fault);
		return 0;
	}
	if (w->scan->count + w->count >= TREE_ENTRIES_MAX)
		return err_set(w->err, E2BIG,
			       "'%s' holds more than %u files and folders",
			       w->o->name, TREE_ENTRIES_MAX);
	path = malloc(room);
	if (!path)
		return fail(w, ENOMEM, dir);
	(void)snprintf(path, room, "%s%s%s", dir, dir_n ? "/" : "", name);
	return take_path(w, at, name, &st, &path);
}

static int look_into(struct walk *w, const char *dir)
{
	AUTO(auto_closedir) DIR *d = NULL;
	const struct dirent *item;
	int fd = dir_open(w->folder, *dir ? dir : ".", O_RDONLY | O_DIRECTORY);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* it was there a moment ago */
	if (fd == -EXDEV) {
		log_warning("dir",
			    "'%s/%s' is left out: something is mounted there",
			    w->o->name, dir);
		return 0;
	}
	if (fd < 0)
		return fail(w, -fd, dir);
	d = fdopendir(fd);
	if (!d) {
		int error = errno;

		(void)close(fd);
		return fail(w, error, dir);
	}
	for (;;) {
		int r;

		errno = 0;
		item = readdir(d); /* one DIR, one thread */
		if (!item)
			return errno ? fail(w, errno, dir) : 0;
		if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, ".."))
			continue;
		r = take_name(w, dirfd(d), dir, item->d_name);
		if (r < 0)
			return r;
	}
}

static int walk_all(struct walk *w)
{
	int r = look_into(w, "");

	for (size_t i = 0; r == 0 && i < w->count; i++) {
		if (stopped(w->o))
			r = err_set(w->err, ECANCELED, "stopped");
		else
			r = look_into(w, w->folders[i]);
	}
	for (size_t i = 0; i < w->count; i++)
		free(w->folders[i]);
	free(w->folders);
	if (r == 0 && w->links_out)
		log_info("dir",
			 "'%s': %zu links are not shown: they lead out "
			 "of their build or stand in none",
			 w->o->name, w->links_out);
	return r;
}

/* ---- hashing ---- */

static int hash_fd(struct walk *w, int fd, const char *path, struct digest *out)
{
	AUTO(auto_free) char *buf = malloc(CHUNK);
	struct hasher *h = NULL;
	ssize_t n = 1;
	int r;

	if (!buf)
		return fail(w, ENOMEM, path);
	r = hasher_new(&h, DIGEST_SHA256, 0, w->err);
	if (r < 0)
		return r;
	while (r == 0 && n > 0) {
		n = read(fd, buf, CHUNK);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			r = fail(w, errno, path);
		else
			r = hasher_add(h, buf, (size_t)n);
		if (r == 0 && n > 0) {
			w->scan->hashed += (uint64_t)n;
			if (stopped(w->o))
				r = err_set(w->err, ECANCELED, "stopped");
		}
	}
	if (r == 0)
		r = hasher_end(h, out);
	hasher_free(h);
	return r;
}

/* 1: it changed meanwhile; 2: it is gone. */
static int hash_once(struct walk *w, struct dir_entry *e)
{
	AUTO(auto_close) int fd = dir_open(w->folder, e->path, O_RDONLY);
	const struct digest *known;
	struct dir_stamp after;
	struct stat st;
	int r;

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 2;
	if (fd < 0)
		return fail(w, -fd, e->path);
	if (fstat(fd, &st) < 0)
		return fail(w, errno, e->path);
	if (!S_ISREG(st.st_mode))
		return 2;
	e->young = (int64_t)st.st_ctim.tv_sec + YOUNG_S >= w->o->now_s;
	dir_stamp_of(&e->stamp, &st);
	known = dir_known_find(w->o->known, e->path, &e->stamp);
	if (known) {
		e->digest = *known;
		return 0;
	}
	r = hash_fd(w, fd, e->path, &e->digest);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return fail(w, errno, e->path);
	dir_stamp_of(&after, &st);
	return !dir_stamp_equal(&after, &e->stamp);
}

static void entry_done(struct dir_entry *e)
{
	free(e->path);
	free(e->target);
}

/* Hash every file; what has gone meanwhile is dropped. */
static int hash_all(struct walk *w)
{
	struct dir_scan *s = w->scan;
	size_t kept = 0;
	size_t i;
	int r = 0;

	for (i = 0; i < s->count && r >= 0; i++) {
		struct dir_entry *e = &s->entries[i];

		r = e->target ? 0 : 1;
		for (int t = 0; r == 1 && t < TRIES; t++)
			r = hash_once(w, e);
		if (r == 1)
			r = err_set(w->err, EBADMSG,
				    "'%s/%s' changes while it is read; try "
				    "again when it is whole",
				    w->o->name, e->path);
		if (r == 2)
			entry_done(e);
		else
			s->entries[kept++] = *e;
	}
	for (; i < s->count; i++)
		s->entries[kept++] = s->entries[i];
	s->count = kept;
	return r < 0 ? r : 0;
}

/* ---- the commit ---- */

static int add_entry(struct hasher *h, const struct dir_entry *e)
{
	AUTO(auto_text) struct text line = TEXT_INIT(2 * TREE_PATH_MAX + 128);
	char hex[DIGEST_HEX_MAX];

	/* no path and no target holds a NUL or a newline */
	if (e->target) {
		text_printf(&line, "link %s\n%s\n", e->path, e->target);
	} else {
		digest_print(&e->digest, hex);
		text_printf(&line, "file %s\n%llu %s\n", e->path,
			    (unsigned long long)e->stamp.size, hex);
	}
	if (text_failed(&line))
		return text_failed(&line);
	return hasher_add(h, text_str(&line), line.len);
}

static int name_commit(struct dir_scan *s, struct err *err)
{
	static const char head[] = "kernelfs folder 1\n";
	char hex[DIGEST_HEX_MAX];
	struct hasher *h = NULL;
	struct digest d;
	int r = hasher_new(&h, DIGEST_SHA256, 0, err);

	if (r < 0)
		return r;
	r = hasher_add(h, head, sizeof(head) - 1);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = add_entry(h, &s->entries[i]);
	if (r == 0)
		r = hasher_end(h, &d);
	hasher_free(h);
	if (r < 0)
		return err_errno(err, -r, "name a folder by its content");
	digest_print(&d, hex);
	memcpy(s->commit, hex, REF_COMMIT_LEN);
	s->commit[REF_COMMIT_LEN] = '\0';
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct dir_entry *x = a, *y = b;

	return tree_path_compare(x->path, y->path);
}

int dir_scan(struct dir_scan *out, int folder, const struct dir_scan_options *o,
	     struct err *err)
{
	struct dir_scan s = { .count = 0 };
	struct walk w = { .scan = &s, .o = o, .err = err, .folder = folder };
	int r = walk_all(&w);

	if (r == 0 && s.count)
		qsort(s.entries, s.count, sizeof(*s.entries), by_path);
	if (r == 0)
		r = hash_all(&w);
	if (r == 0)
		r = name_commit(&s, err);
	if (r < 0)
		dir_scan_done(&s);
	else
		*out = s;
	return r;
}

void dir_scan_done(struct dir_scan *s)
{
	for (size_t i = 0; i < s->count; i++)
		entry_done(&s->entries[i]);
	free(s->entries);
	memset(s, 0, sizeof(*s));
}

void dir_scan_note(const struct dir_scan *s, struct text *note)
{
	fact_begin(note, DIR_KNOWN_KIND);
	for (size_t i = 0; i < s->count; i++) {
		const struct dir_entry *e = &s->entries[i];

		if (!e->target && !e->young)
			dir_known_add(note, e->path, &e->stamp, &e->digest);
	}
	fact_end(note);
}

/* ---- looking it up ---- */

static int find_path(const void *key, const void *item)
{
	const struct dir_entry *e = item;

	return tree_path_compare(key, e->path);
}

const struct dir_entry *dir_scan_find(const struct dir_scan *s,
				      const char *path)
{
	return s->count ? bsearch(path, s->entries, s->count,
				  sizeof(*s->entries), find_path)
			: NULL;
}

/* The folder itself, or what is directly in it. */
static int list_one(const struct dir_entry *e, const char *path, bool recursive,
		    char last[TREE_PATH_MAX + 1], struct tree_builder *b,
		    struct err *err)
{
	const char *slash = recursive ? NULL : strchr(path, '/');
	size_t n;

	if (!slash)
		return e->target
			       ? tree_builder_add_link(b, path, e->target, err)
			       : tree_builder_add(b, path, TREE_FILE,
						  e->stamp.size, &e->digest,
						  err);
	n = (size_t)(slash - path);
	if (!strncmp(last, path, n) && !last[n])
		return 0;
	memcpy(last, path, n);
	last[n] = '\0';
	return tree_builder_add(b, last, TREE_FOLDER, 0, NULL, err);
}

int dir_scan_list(const struct dir_scan *s, const char *dir, bool recursive,
		  struct tree_builder *b, struct err *err)
{
	char last[TREE_PATH_MAX + 1] = "";
	size_t n = strlen(dir);
	bool found = !n;
	int r = 0;

	for (size_t i = 0; i < s->count && r == 0; i++) {
		const char *path = s->entries[i].path;

		if (n && (strncmp(path, dir, n) != 0 || path[n] != '/'))
			continue;
		found = true;
		r = list_one(&s->entries[i], n ? path + n + 1 : path, recursive,
			     last, b, err);
	}
	if (r == 0 && !found)
		return err_set(err, ENOENT, "no folder '%.300s' in it", dir);
	return r;
}
