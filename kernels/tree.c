/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include "base/err.h"
#include "base/map.h"
#include "tree_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Reading a listing. tree_format.h has the layout of its file.
 *
 * The mapping is shared and read-only: what is known of a million entries
 * is page cache, which the machine may take back, and opening it is one
 * linear pass. The file is never written after it has its name (notes are
 * replaced, not edited), so the pages cannot change or go under us.
 *
 * That pass proves everything the accessors lean on, so that they need no
 * checks: each string ends inside the strings, paths ascend strictly, each
 * entry's parent and end are those its path says. The checksum comes first
 * and finds damage; the proofs behind it are for a file that somebody made.
 */

struct tree {
	int refs; /* __atomic */
	uint32_t count;
	uint64_t bytes;
	const struct tree_record *records; /* into `base` */
	const char *strings;		   /* into `base` */
	void *base;			   /* owned */
	size_t size;
	bool mapped; /* base came from mmap, not from malloc */
};

static int byte_rank(char c)
{
	/* the end, then '/', then the others: control bytes are refused */
	return c == '/' ? 1 : (unsigned char)c;
}

int tree_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return byte_rank(*a) - byte_rank(*b);
}

const char *tree_step_fault(const char *s, size_t n)
{
	if (n == 0)
		return "has an empty step";
	if (n > TREE_STEP_MAX)
		return "has a step of more than 255 bytes";
	if (s[0] == '.' && (n == 1 || (n == 2 && s[1] == '.')))
		return "has a step '.' or '..'";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ' || c == 0x7f)
			return "holds a control byte";
		/* U+0080 to U+009F: some terminals obey them */
		if (c == 0xc2 && i + 1 < n && (s[i + 1] & 0xe0) == 0x80)
			return "holds a control character";
		if (c == '/')
			return "has a '/' inside a step";
	}
	return NULL;
}

bool tree_target_inside(const char *path, const char *target, size_t n)
{
	if (n == 0 || n > TREE_TARGET_MAX)
		return false;
	/* one step up for each folder that the path names */
	while (n > 3 && memcmp(target, "../", 3) == 0) {
		path = strchr(path, '/');
		if (!path)
			return false;
		path++;
		target += 3;
		n -= 3;
	}
	for (;;) {
		const char *slash = memchr(target, '/', n);
		size_t step = slash ? (size_t)(slash - target) : n;

		if (tree_step_fault(target, step))
			return false;
		if (!slash)
			return true;
		target += step + 1;
		n -= step + 1;
	}
}

uint64_t tree_checksum(const struct tree_header *h, const void *rest, size_t n)
{
	uint64_t sum = map_hash(h, offsetof(struct tree_header, checksum));

	return map_hash_more(sum, rest, n);
}

struct tree *tree_ref(struct tree *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void tree_unref(struct tree *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (t->mapped)
		(void)munmap(t->base, t->size);
	else
		free(t->base);
	free(t);
}

uint32_t tree_count(const struct tree *t)
{
	return t->count;
}

uint64_t tree_bytes(const struct tree *t)
{
	return t->bytes;
}

void tree_get(const struct tree *t, uint32_t i, struct tree_entry *out)
{
	const struct tree_record *r = &t->records[i];

	out->path = t->strings + r->path;
	out->name = out->path + r->name;
	out->kind = (enum tree_kind)r->kind;
	out->size = r->size;
	out->target = r->kind == TREE_LINK ? out->path + r->path_len + 1 : NULL;
	out->digest.kind = r->digest_kind;
	memcpy(out->digest.bytes, r->digest, sizeof(r->digest));
}

uint32_t tree_find(const struct tree *t, const char *path)
{
	uint32_t low = 0;
	uint32_t high = t->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int c = tree_path_compare(t->strings + t->records[mid].path,
					  path);

		if (c == 0)
			return mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return TREE_NONE;
}

uint32_t tree_first(const struct tree *t, uint32_t folder)
{
	if (folder == TREE_NONE)
		return t->count ? 0 : TREE_NONE;
	return t->records[folder].end > folder + 1 ? folder + 1 : TREE_NONE;
}

uint32_t tree_next(const struct tree *t, uint32_t i)
{
	uint32_t next = t->records[i].end;

	if (next < t->count && t->records[next].parent == t->records[i].parent)
		return next;
	return TREE_NONE;
}

bool tree_is_child(const struct tree *t, uint32_t folder, uint64_t i)
{
	return i < t->count && t->records[i].parent == folder;
}

uint32_t tree_child(const struct tree *t, uint32_t folder, const char *name)
{
	char path[TREE_PATH_MAX + 1];
	size_t name_n = strnlen(name, TREE_STEP_MAX + 1);
	size_t n = 0;

	if (name_n == 0 || name_n > TREE_STEP_MAX || strchr(name, '/'))
		return TREE_NONE;
	if (folder != TREE_NONE) {
		const struct tree_record *r = &t->records[folder];

		n = r->path_len;
		if (n + 1 + name_n > TREE_PATH_MAX)
			return TREE_NONE;
		memcpy(path, t->strings + r->path, n);
		path[n++] = '/';
	}
	memcpy(path + n, name, name_n + 1);
	return tree_find(t, path);
}

/* ---- opening: prove all of the above ---- */

/* Which folder holds entry i, when all before i are proven: the nearest one
 * that has not ended. Climbs each folder once in a whole pass. */
static uint32_t holder_of(const struct tree *t, uint32_t i)
{
	uint32_t at = i ? i - 1 : TREE_NONE;

	while (at != TREE_NONE && t->records[at].end <= i)
		at = t->records[at].parent;
	return at;
}

/* Kind, size and digest go together, and what is unused is zero. */
static bool content_sound(const struct tree_record *r)
{
	static const uint8_t zero[32];
	size_t used = r->digest_kind;

	if (r->zero[0] | r->zero[1] | r->zero[2] | r->zero[3] | r->zero[4] |
	    r->zero[5])
		return false;
	if (r->kind == TREE_FOLDER)
		return used == DIGEST_NONE && r->size == 0 &&
		       memcmp(r->digest, zero, sizeof(zero)) == 0;
	if (r->kind == TREE_LINK)
		return used == DIGEST_NONE && r->size <= TREE_TARGET_MAX &&
		       memcmp(r->digest, zero, sizeof(zero)) == 0;
	if (r->kind != TREE_FILE || r->size > TREE_FILE_MAX)
		return false;
	if (used != DIGEST_GIT && used != DIGEST_SHA256)
		return false;
	return memcmp(r->digest + used, zero, sizeof(zero) - used) == 0;
}

static bool place_sound(const struct tree *t, uint32_t i)
{
	const struct tree_record *r = &t->records[i];
	const char *path = t->strings + r->path;
	uint32_t holder = holder_of(t, i);
	uint32_t limit = t->count;
	size_t before = 0;

	if (holder != TREE_NONE) {
		const struct tree_record *h = &t->records[holder];

		limit = h->end;
		before = h->path_len + 1u;
		if (h->kind != TREE_FOLDER || r->path_len <= before ||
		    memcmp(path, t->strings + h->path, h->path_len) != 0 ||
		    path[h->path_len] != '/')
			return false;
	}
	if (r->parent != holder || r->name != before || r->end <= i ||
	    r->end > limit || (r->kind != TREE_FOLDER && r->end != i + 1))
		return false;
	return !tree_step_fault(path + before, r->path_len - before);
}

/* Behind the path, of which `left` bytes are left. */
static bool target_sound(const struct tree *t, const struct tree_record *r,
			 uint64_t left)
{
	const char *path = t->strings + r->path;
	const char *target = path + r->path_len + 1;

	return r->size < left && target[r->size] == '\0' &&
	       tree_target_inside(path, target, (size_t)r->size);
}

static bool records_sound(const struct tree *t, uint64_t strings_n,
			  uint64_t bytes)
{
	uint64_t at = 0;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct tree_record *r = &t->records[i];

		/* packed: each begins where the one before it ended */
		if (r->path != at || r->path_len == 0 ||
		    r->path_len > TREE_PATH_MAX ||
		    r->path_len >= strings_n - at ||
		    t->strings[at + r->path_len] != '\0')
			return false;
		if (!content_sound(r) || !place_sound(t, i))
			return false;
		if (i && tree_path_compare(t->strings + r[-1].path,
					   t->strings + r->path) >= 0)
			return false;
		at += r->path_len + 1u;
		if (r->kind == TREE_FILE)
			sum += r->size;
		if (r->kind != TREE_LINK)
			continue;
		if (!target_sound(t, r, strings_n - at))
			return false;
		at += r->size + 1;
	}
	return at == strings_n && sum == bytes;
}

/* Takes over nothing: t->base and t->size are set and stay the caller's. */
static int tree_check(struct tree *t, struct err *err)
{
	struct tree_header h;
	uint64_t rest;

	if (t->size < sizeof(h))
		return err_set(err, EBADMSG, "listing is cut off");
	memcpy(&h, t->base, sizeof(h));
	if (memcmp(h.magic, TREE_MAGIC, sizeof(h.magic)) != 0 ||
	    h.format != TREE_FORMAT)
		return err_set(err, EBADMSG, "no listing of format %u",
			       TREE_FORMAT);
	rest = t->size - sizeof(h);
	if (h.count > TREE_ENTRIES_MAX || h.strings_n > TREE_STRINGS_MAX ||
	    rest != h.count * sizeof(struct tree_record) + h.strings_n)
		return err_set(err, EBADMSG, "listing has a wrong length");
	if (tree_checksum(&h, (char *)t->base + sizeof(h), rest) != h.checksum)
		return err_set(err, EBADMSG, "listing is damaged");
	t->count = h.count;
	t->bytes = h.bytes;
	t->records = (const void *)((const char *)t->base + sizeof(h));
	t->strings = (const void *)&t->records[h.count];
	if (!records_sound(t, h.strings_n, h.bytes))
		return err_set(err, EBADMSG, "listing contradicts itself");
	return 0;
}

static int tree_new(struct tree **out, void *base, size_t size, bool mapped,
		    struct err *err)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_errno(err, ENOMEM, "listing");
	t->refs = 1;
	t->base = base;
	t->size = size;
	t->mapped = mapped;
	r = tree_check(t, err);
	if (r < 0) {
		free(t);
		return r;
	}
	*out = t;
	return 0;
}

int tree_open(struct tree **out, int fd, struct err *err)
{
	struct stat st;
	size_t size;
	void *base;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "listing");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "listing is no regular file");
	if (st.st_size < (off_t)sizeof(struct tree_header) ||
	    (uint64_t)st.st_size > TREE_SIZE_MAX)
		return err_set(err, EBADMSG, "listing has a wrong length");
	size = (size_t)st.st_size;
	base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return err_errno(err, errno, "listing: mmap");
	r = tree_new(out, base, size, true, err);
	if (r < 0)
		(void)munmap(base, size);
	return r;
}

int tree_from_bytes(struct tree **out, const void *bytes, size_t n,
		    struct err *err)
{
	void *base;
	int r;

	if (n < sizeof(struct tree_header) || n > TREE_SIZE_MAX)
		return err_set(err, EBADMSG, "listing has a wrong length");
	base = malloc(n);
	if (!base)
		return err_errno(err, ENOMEM, "listing");
	memcpy(base, bytes, n);
	r = tree_new(out, base, n, false, err);
	if (r < 0)
		free(base);
	return r;
}
