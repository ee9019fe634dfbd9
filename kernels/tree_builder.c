/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include "base/err.h"
#include "base/log.h"
#include "tree_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Making a listing from what a source says, in any order. Entries are kept
 * as they come, sorted once at the end, and written in one pass that holds
 * the chain of open folders: there a folder that nobody named is put in, and
 * a name that is there twice is seen, since it lies beside its like.
 */

#define SHOWN "'%.300s'"

struct item {
	uint64_t size;
	size_t path; /* offset in builder.strings; a link's target behind it */
	struct digest digest;
	enum tree_kind kind;
};

struct tree_builder {
	struct item *items; /* owned */
	size_t count;
	size_t room;
	char *strings; /* owned */
	size_t strings_n;
	size_t strings_room;
	int failed;	 /* 0 or the -errno of the first failure */
	size_t left_out; /* links */
	bool no_links;
};

static const char *path_fault(const char *path, size_t n)
{
	const char *fault = NULL;

	if (n == 0)
		return "is empty";
	if (n > TREE_PATH_MAX)
		return "is longer than 1024 bytes";
	while (!fault) {
		size_t step = strcspn(path, "/");

		fault = tree_step_fault(path, step);
		if (!path[step])
			break;
		path += step + 1;
	}
	return fault;
}

/* Room for `more` behind `used` elements of `each` bytes; doubles. */
static int make_room(void **p, size_t *room, size_t used, size_t more,
		     size_t each)
{
	size_t want = *room ? *room : 64;
	void *bigger;

	if (more <= *room - used)
		return 0;
	while (want - used < more)
		want *= 2;
	bigger = reallocarray(*p, want, each);
	if (!bigger)
		return -ENOMEM;
	*p = bigger;
	*room = want;
	return 0;
}

int tree_builder_new(struct tree_builder **out, struct err *err)
{
	struct tree_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return err_errno(err, ENOMEM, "listing");
	*out = b;
	return 0;
}

void tree_builder_clear(struct tree_builder *b)
{
	b->count = 0;
	b->strings_n = 0;
	b->failed = 0;
	b->left_out = 0;
}

void tree_builder_free(struct tree_builder *b)
{
	if (!b)
		return;
	free(b->items);
	free(b->strings);
	free(b);
}

static int check_new(const struct tree_builder *b, const char *path, size_t n,
		     const struct item *item, struct err *err)
{
	const char *fault = path_fault(path, n);

	if (fault)
		return err_set(err, EINVAL, "path " SHOWN " %s", path, fault);
	if (b->count >= TREE_ENTRIES_MAX)
		return err_set(err, E2BIG,
			       "path " SHOWN " is one of more than "
			       "%u entries",
			       path, TREE_ENTRIES_MAX);
	if (n + 1 + TREE_TARGET_MAX + 1 > TREE_STRINGS_MAX - b->strings_n)
		return err_set(err, E2BIG,
			       "path " SHOWN " is one of more than "
			       "256 MiB of paths",
			       path);
	if (item->kind != TREE_FILE && item->kind <= TREE_LINK)
		return 0;
	if (item->kind != TREE_FILE)
		return err_set(err, EINVAL,
			       "path " SHOWN " is neither file "
			       "nor folder",
			       path);
	if (item->size > TREE_FILE_MAX)
		return err_set(err, E2BIG,
			       "file " SHOWN " is said to have "
			       "%llu bytes, more than 16 TiB",
			       path, (unsigned long long)item->size);
	if (item->digest.kind != DIGEST_GIT &&
	    item->digest.kind != DIGEST_SHA256)
		return err_set(err, EINVAL, "file " SHOWN " has no hash", path);
	return 0;
}

/* `target`: of a link, whose item says its length; else NULL. */
static int append(struct tree_builder *b, const char *path, const char *target,
		  struct item *item)
{
	size_t n = strlen(path) + 1;
	size_t more = target ? item->size + 1 : 0;
	void *items = b->items;
	void *strings = b->strings;
	int r;

	r = make_room(&items, &b->room, b->count, 1, sizeof(*item));
	b->items = items;
	if (r < 0)
		return r;
	r = make_room(&strings, &b->strings_room, b->strings_n, n + more, 1);
	b->strings = strings;
	if (r < 0)
		return r;
	item->path = b->strings_n;
	memcpy(b->strings + b->strings_n, path, n);
	b->strings_n += n;
	if (target)
		memcpy(b->strings + b->strings_n, target, more);
	b->strings_n += more;
	b->items[b->count++] = *item;
	return 0;
}

int tree_builder_add(struct tree_builder *b, const char *path,
		     enum tree_kind kind, uint64_t size,
		     const struct digest *digest, struct err *err)
{
	struct item item = { .size = size, .kind = kind };
	size_t n = strnlen(path, TREE_PATH_MAX + 1);

	if (b->failed)
		return err_errno(err, -b->failed, "listing");
	if (kind == TREE_LINK) {
		b->failed = -EINVAL;
		return err_set(err, EINVAL, "link " SHOWN " has no target",
			       path);
	}
	if (kind == TREE_FOLDER) {
		item.size = 0;
	} else if (digest && digest->kind <= sizeof(digest->bytes)) {
		item.digest.kind = digest->kind;
		memcpy(item.digest.bytes, digest->bytes, digest->kind);
	}
	b->failed = check_new(b, path, n, &item, err);
	if (b->failed == 0) {
		b->failed = append(b, path, NULL, &item);
		if (b->failed < 0)
			return err_errno(err, -b->failed, "listing");
	}
	return b->failed;
}

int tree_builder_add_link(struct tree_builder *b, const char *path,
			  const char *target, struct err *err)
{
	struct item item = { .kind = TREE_LINK };
	size_t n = strnlen(path, TREE_PATH_MAX + 1);

	if (b->failed)
		return err_errno(err, -b->failed, "listing");
	item.size = strnlen(target, TREE_TARGET_MAX + 1);
	b->failed = check_new(b, path, n, &item, err);
	if (b->failed < 0)
		return b->failed;
	if (b->no_links || !tree_target_inside(path, target, item.size)) {
		b->left_out++;
		return 0;
	}
	b->failed = append(b, path, target, &item);
	if (b->failed < 0)
		return err_errno(err, -b->failed, "listing");
	return 0;
}

void tree_builder_drop_links(struct tree_builder *b)
{
	b->no_links = true;
}

size_t tree_builder_left_out(const struct tree_builder *b)
{
	return b->left_out;
}

/* ---- writing it out ---- */

struct writer {
	const struct tree_builder *b;
	struct tree_record *records; /* owned until the end */
	size_t count;
	size_t room;
	char *strings; /* owned until the end */
	size_t strings_n;
	size_t strings_room;
	uint64_t bytes;
	uint32_t open; /* the innermost folder that may still get entries */
};

static int item_order(const void *pa, const void *pb, void *strings)
{
	const struct item *a = pa;
	const struct item *b = pb;
	const char *s = strings;

	return tree_path_compare(s + a->path, s + b->path);
}

/* Does what is open hold this path? */
static bool holds(const struct writer *w, uint32_t folder, const char *path)
{
	const struct tree_record *r = &w->records[folder];

	/* strncmp ends at the shorter one's NUL */
	return strncmp(w->strings + r->path, path, r->path_len) == 0 &&
	       path[r->path_len] == '/';
}

/* Close what ends before this path. */
static void close_before(struct writer *w, const char *path)
{
	while (w->open != TREE_NONE && !holds(w, w->open, path)) {
		struct tree_record *r = &w->records[w->open];

		r->end = (uint32_t)w->count;
		w->open = r->parent;
	}
}

/* One record for the first n bytes of a path; it becomes the open one, also
 * when it is a file: what then seems to lie below it is the fault to find. */
static int put(struct writer *w, const char *path, size_t n,
	       const struct item *item, struct err *err)
{
	bool link = item && item->kind == TREE_LINK;
	size_t more = n + 1 + (link ? item->size + 1 : 0);
	void *records = w->records;
	void *strings = w->strings;
	struct tree_record *r;
	int rc;

	if (w->count >= TREE_ENTRIES_MAX ||
	    more > TREE_STRINGS_MAX - w->strings_n)
		return err_set(err, E2BIG,
			       "path " SHOWN ": more than %u "
			       "entries or 256 MiB of paths with the folders "
			       "between",
			       path, TREE_ENTRIES_MAX);
	rc = make_room(&records, &w->room, w->count, 1, sizeof(*r));
	w->records = records;
	if (rc == 0) {
		rc = make_room(&strings, &w->strings_room, w->strings_n, more,
			       1);
		w->strings = strings;
	}
	if (rc < 0)
		return err_errno(err, -rc, "listing");
	r = &w->records[w->count];
	memset(r, 0, sizeof(*r));
	r->path = (uint32_t)w->strings_n;
	r->path_len = (uint16_t)n;
	r->parent = w->open;
	r->name = w->open == TREE_NONE
			  ? (uint16_t)0
			  : (uint16_t)(w->records[w->open].path_len + 1);
	r->kind = (uint8_t)(item ? item->kind : TREE_FOLDER);
	if (item) {
		r->size = item->size;
		r->digest_kind = item->digest.kind;
		memcpy(r->digest, item->digest.bytes, sizeof(r->digest));
	}
	if (!link)
		w->bytes += r->size;
	memcpy(w->strings + w->strings_n, path, n);
	w->strings[w->strings_n + n] = '\0';
	if (link) /* the whole path was given: its target is behind it */
		memcpy(w->strings + w->strings_n + n + 1, path + n + 1,
		       item->size + 1);
	w->strings_n += more;
	w->open = (uint32_t)w->count++;
	return 0;
}

static int put_item(struct writer *w, const struct item *item, struct err *err)
{
	const char *path = w->b->strings + item->path;
	size_t n = strlen(path);
	size_t at = 0;
	int r;

	if (w->count &&
	    strcmp(w->strings + w->records[w->count - 1].path, path) == 0)
		return err_set(err, EINVAL, "path " SHOWN " is there twice",
			       path);
	close_before(w, path);
	if (w->open != TREE_NONE) {
		const struct tree_record *open = &w->records[w->open];

		if (open->kind != TREE_FOLDER)
			return err_set(err, EINVAL,
				       "path " SHOWN " lies below "
				       "a file",
				       path);
		at = open->path_len + 1u;
	}
	/* folders that the source left out */
	for (at += strcspn(path + at, "/"); at < n;
	     at += 1 + strcspn(path + at + 1, "/")) {
		r = put(w, path, at, NULL, err);
		if (r < 0)
			return r;
	}
	return put(w, path, n, item, err);
}

static int join(const struct writer *w, void **bytes, size_t *n,
		struct err *err)
{
	struct tree_header h = {
		.magic = TREE_MAGIC,
		.format = TREE_FORMAT,
		.count = (uint32_t)w->count,
		.strings_n = w->strings_n,
		.bytes = w->bytes,
	};
	size_t records_n = w->count * sizeof(*w->records);
	size_t rest = records_n + w->strings_n;
	char *p = malloc(sizeof(h) + rest);

	if (!p)
		return err_errno(err, ENOMEM, "listing");
	if (w->count) {
		memcpy(p + sizeof(h), w->records, records_n);
		memcpy(p + sizeof(h) + records_n, w->strings, w->strings_n);
	}
	h.checksum = tree_checksum(&h, p + sizeof(h), rest);
	memcpy(p, &h, sizeof(h));
	*bytes = p;
	*n = sizeof(h) + rest;
	return 0;
}

int tree_builder_end(struct tree_builder *b, void **bytes, size_t *n,
		     struct err *err)
{
	struct writer w = { .b = b, .open = TREE_NONE };
	int r = 0;

	if (b->failed)
		return err_errno(err, -b->failed, "listing");
	if (b->count > 1)
		qsort_r(b->items, b->count, sizeof(*b->items), item_order,
			b->strings);
	for (size_t i = 0; i < b->count && r == 0; i++)
		r = put_item(&w, &b->items[i], err);
	close_before(&w, "");
	if (b->left_out)
		log_debug("tree",
			  "%zu links left out: they lead out of what is "
			  "listed, or stand outside a build",
			  b->left_out);
	if (r == 0)
		r = join(&w, bytes, n, err);
	free(w.records);
	free(w.strings);
	return r;
}
