/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A large blob on its way: partial/<hex>.parts. In front its bytes, at their
 * places, and behind them the table
 *
 *	"kfsparts"		8 bytes
 *	block size		u32, as the machine has it, like the rest
 *	0			u32
 *	blob size		u64
 *	for each block: how many bytes it has, from its start on	u32
 *
 * which is cut off before the blob gets its name. A block's entry is written
 * after its bytes, each NOTE bytes, so a process that is killed at any point
 * leaves a table that promises no byte that is not there. A machine that dies
 * may: nothing orders those writes on the disk. That is found by the hash,
 * which is made of the file's own bytes always; the caller then begins anew.
 *
 * The hash goes along the front up to which no byte is missing, on one thread
 * at a time, while blocks come in behind it. What it reads is in the page
 * cache. A whole block is sent to the disk at once, so that the sync at the
 * end finds little to do.
 */

#define MAGIC "kfsparts"
#define SMALL_BLOCK (UINT32_C(4) << 20)
#define LARGE_BLOCK (UINT32_C(8) << 20)
#define LARGE (UINT64_C(256) << 20)
#define NOTE (UINT64_C(256) << 10)
#define HASH_DUE (UINT64_C(1) << 20)
#define CHUNK (256u << 10)

struct head {
	char magic[8];
	uint32_t block;
	uint32_t zero;
	uint64_t size;
};

struct parts {
	struct lock mu;
	uint64_t size;	/* of the blob */
	uint32_t block; /* bytes of each but the last */
	unsigned count;
	uint32_t *got;	  /* owned; mu; of each, from its start on */
	bool *taken;	  /* owned; mu */
	unsigned first;	  /* mu; all before it are whole or taken */
	unsigned whole;	  /* mu; all before it are whole */
	uint64_t hashed;  /* who hashes */
	uint64_t hashed_; /* mu; the same, for others */
	char *chunk;	  /* owned; who hashes */
	bool resumed;
	bool spoiled;
};

static uint64_t start_of(const struct parts *p, unsigned block)
{
	return (uint64_t)block * p->block;
}

static uint32_t length_of(const struct parts *p, unsigned block)
{
	uint64_t left = p->size - start_of(p, block);

	return left < p->block ? (uint32_t)left : p->block;
}

static uint64_t table_bytes(const struct parts *p)
{
	return sizeof(struct head) + (uint64_t)p->count * sizeof(uint32_t);
}

/* ---- the table ---- */

static struct head head_of(const struct ingest *in)
{
	struct head h = { .block = in->parts->block, .size = in->size };

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	return h;
}

static int write_table(struct ingest *in)
{
	const struct parts *p = in->parts;
	const struct head h = head_of(in);
	int r = io_pwrite_all(in->fd, p->got, p->count * sizeof(*p->got),
			      (off_t)(in->size + sizeof(h)));

	/* the head last: without it there is no table */
	return r < 0 ? r
		     : io_pwrite_all(in->fd, &h, sizeof(h), (off_t)in->size);
}

/* false: there is none, or not of this blob; `got` is then all zero. */
static bool read_table(struct ingest *in)
{
	struct parts *p = in->parts;
	const size_t n = p->count * sizeof(*p->got);
	const struct head want = head_of(in);
	struct head h;

	if (io_pread_all(in->fd, &h, sizeof(h), (off_t)in->size) !=
		    (ssize_t)sizeof(h) ||
	    memcmp(&h, &want, sizeof(h)) != 0 ||
	    io_pread_all(in->fd, p->got, n, (off_t)(in->size + sizeof(h))) !=
		    (ssize_t)n) {
		memset(p->got, 0, n);
		return false;
	}
	for (unsigned i = 0; i < p->count; i++) {
		if (p->got[i] > length_of(p, i))
			p->got[i] = 0;
		in->written += p->got[i];
	}
	return in->written > 0;
}

/* The last step before its name was done: all is there, says the size. */
static bool is_cut_off(struct ingest *in, const struct stat *st)
{
	if ((uint64_t)st->st_size != in->size)
		return false;
	for (unsigned i = 0; i < in->parts->count; i++)
		in->parts->got[i] = length_of(in->parts, i);
	in->written = in->size;
	return true;
}

/* ---- beginning ---- */

static int parts_new(struct ingest *in)
{
	struct parts *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	in->parts = p;
	lock_init(&p->mu, LOCK_INGEST);
	p->size = in->size;
	p->block = in->size < LARGE ? SMALL_BLOCK : LARGE_BLOCK;
	p->count = (unsigned)((in->size + p->block - 1) / p->block);
	p->got = calloc(p->count, sizeof(*p->got));
	p->taken = calloc(p->count, sizeof(*p->taken));
	p->chunk = malloc(CHUNK);
	return p->got && p->taken && p->chunk ? 0 : -ENOMEM;
}

static int open_file(struct ingest *in)
{
	char folder[STORE_NAME_MAX];
	char hex[DIGEST_HEX_MAX];

	store_blob_name(&in->digest, folder, NULL);
	in->folder = store_make_folder(in->store, folder);
	if (in->folder < 0)
		return in->folder;
	digest_print(&in->digest, hex);
	in->fd = store_open_parts(in->store, hex, &in->partial, in->name);
	if (in->fd < 0)
		in->name[0] = '\0';
	return in->fd < 0 ? in->fd : 0;
}

static int fill_file(struct ingest *in, const struct stat *st)
{
	struct parts *p = in->parts;
	int r;

	p->resumed = is_cut_off(in, st) || read_table(in);
	if (p->resumed && in->written == in->size)
		return 0;
	if (!p->resumed && ftruncate(in->fd, 0) < 0)
		return -errno;
	r = ingest_allocate(in, in->size + table_bytes(p));
	return r < 0 ? r : write_table(in);
}

static int begin(struct ingest *in, struct err *err)
{
	uint64_t there;
	struct stat st;
	int r = parts_new(in);

	if (r == 0)
		r = open_file(in);
	if (r == 0 && fstat(in->fd, &st) < 0)
		r = -errno;
	if (r == -EOPNOTSUPP || r == -EBUSY)
		return err_set(err, -r, "cache '%s': no download in parts",
			       store_path(in->store));
	if (r < 0)
		return store_fail(in->store, -r, "cannot be written", err);
	there = (uint64_t)st.st_blocks * 512;
	r = ingest_begin(in, there, err);
	if (r < 0)
		return r;
	r = fill_file(in, &st);
	if (r < 0)
		return store_fail(in->store, -r, "cannot be written", err);
	return 0;
}

int store_ingest_parts(struct ingest **out, struct store *s,
		       const struct digest *d, uint64_t size, struct err *err)
{
	struct ingest *in = ingest_alloc(s, d, size, err);
	int r;

	if (!in)
		return size > (uint64_t)INT64_MAX ? -EFBIG : -ENOMEM;
	r = size ? begin(in, err) : err_set(err, EINVAL, "no blocks");
	if (r < 0) {
		ingest_free(in);
		return r;
	}
	*out = in;
	return 0;
}

bool ingest_resumed(const struct ingest *in)
{
	return in->parts->resumed;
}

/* ---- blocks ---- */

static bool is_free_locked(const struct parts *p, unsigned i)
	LOCK_REQUIRES(&p->mu)
{
	return !p->taken[i] && p->got[i] < length_of(p, i);
}

bool ingest_take(struct ingest *in, struct ingest_part *out)
{
	struct parts *p = in->parts;
	unsigned i;

	lock_take(&p->mu);
	for (i = p->first; i < p->count && !is_free_locked(p, i);)
		i++;
	p->first = i;
	if (i < p->count) {
		p->taken[i] = true;
		out->block = i;
		out->from = out->noted = start_of(p, i) + p->got[i];
		out->until = start_of(p, i) + length_of(p, i);
	}
	lock_drop(&p->mu);
	return i < p->count;
}

unsigned ingest_free_blocks(struct ingest *in, unsigned most)
{
	struct parts *p = in->parts;
	unsigned n = 0;

	lock_take(&p->mu);
	for (unsigned i = p->first; i < p->count && n < most; i++)
		n += is_free_locked(p, i);
	lock_drop(&p->mu);
	return n;
}

/* Its bytes are in the file: now it may say so. */
static int note(struct ingest *in, struct ingest_part *part)
{
	struct parts *p = in->parts;
	uint32_t got = (uint32_t)(part->from - start_of(p, part->block));
	off_t at = (off_t)(in->size + sizeof(struct head) +
			   part->block * sizeof(got));

	lock_take(&p->mu);
	__atomic_add_fetch(&in->written, got - p->got[part->block],
			   __ATOMIC_RELAXED);
	p->got[part->block] = got;
	lock_drop(&p->mu);
	part->noted = part->from;
	return io_pwrite_all(in->fd, &got, sizeof(got), at);
}

int ingest_fill(struct ingest *in, struct ingest_part *part, const void *p,
		size_t n, struct err *err)
{
	int r;

	if (n > part->until - part->from)
		return err_set(err, EBADMSG, "more bytes than were asked for");
	r = io_pwrite_all(in->fd, p, n, (off_t)part->from);
	if (r == -ENOSPC &&
	    store_evict_bytes(in->store, in->size - ingest_written(in)))
		r = io_pwrite_all(in->fd, p, n, (off_t)part->from);
	part->from += r < 0 ? 0 : n;
	if (r == 0 &&
	    (part->from - part->noted >= NOTE || part->from == part->until))
		r = note(in, part);
	return r < 0 ? store_fail(in->store, -r, "cannot be written", err) : 0;
}

void ingest_give(struct ingest *in, struct ingest_part *part)
{
	struct parts *p = in->parts;
	uint64_t start = start_of(p, part->block);

	if (part->from > part->noted)
		(void)note(in, part);
	/* does not wait for the disk, unless that has much to do already */
	if (part->from == part->until)
		(void)sync_file_range(in->fd, (off_t)start,
				      (off_t)(part->until - start),
				      SYNC_FILE_RANGE_WRITE);
	lock_take(&p->mu);
	p->taken[part->block] = false;
	if (part->block < p->first)
		p->first = part->block;
	lock_drop(&p->mu);
}

/* ---- the hash ---- */

/* Up to where no byte is missing. */
static uint64_t front_locked(struct parts *p) LOCK_REQUIRES(&p->mu)
{
	while (p->whole < p->count &&
	       p->got[p->whole] == length_of(p, p->whole))
		p->whole++;
	return p->whole == p->count ? p->size
				    : start_of(p, p->whole) + p->got[p->whole];
}

bool ingest_hash_due(struct ingest *in)
{
	struct parts *p = in->parts;
	bool due;

	lock_take(&p->mu);
	due = front_locked(p) >= p->hashed_ + HASH_DUE;
	lock_drop(&p->mu);
	return due;
}

/* One step; 0 when it has caught up. */
static ssize_t hash_some(struct ingest *in)
{
	struct parts *p = in->parts;
	uint64_t left;
	ssize_t n;
	int r;

	lock_take(&p->mu);
	p->hashed_ = p->hashed;
	left = front_locked(p) - p->hashed;
	lock_drop(&p->mu);
	if (!left)
		return 0;
	n = io_pread_all(in->fd, p->chunk, left < CHUNK ? left : CHUNK,
			 (off_t)p->hashed);
	if (n <= 0)
		return n ? n : -EIO; /* cut by somebody else */
	r = hasher_add(in->hasher, p->chunk, (size_t)n);
	p->hashed += (uint64_t)n;
	return r < 0 ? r : n;
}

int ingest_hash(struct ingest *in, const bool *stop, int64_t *progress_ms,
		struct err *err)
{
	ssize_t r;

	do {
		if (__atomic_load_n(stop, __ATOMIC_RELAXED))
			return 0;
		if (progress_ms)
			__atomic_store_n(progress_ms, io_now_ms(),
					 __ATOMIC_RELAXED);
		r = hash_some(in);
	} while (r > 0);
	return r < 0 ? store_fail(in->store, (int)-r, "cannot be read", err)
		     : 0;
}

/* ---- the end ---- */

int ingest_parts_rewind(struct ingest *in)
{
	struct parts *p = in->parts;

	lock_take(&p->mu);
	memset(p->got, 0, p->count * sizeof(*p->got));
	p->first = p->whole = 0;
	p->hashed = p->hashed_ = 0;
	p->resumed = false;
	lock_drop(&p->mu);
	return write_table(in);
}

int ingest_parts_end(struct ingest *in, struct err *err)
{
	const bool never = false;
	int r = ingest_hash(in, &never, NULL, err);

	if (r == 0 && in->written == in->size &&
	    ftruncate(in->fd, (off_t)in->size) < 0)
		r = store_fail(in->store, errno, "cannot be written", err);
	return r;
}

void ingest_spoil(struct ingest *in)
{
	in->parts->spoiled = true;
}

void ingest_parts_free(struct ingest *in)
{
	struct parts *p = in->parts;

	/* what has come so far is gone on with another time */
	if (in->written && !p->spoiled)
		in->name[0] = '\0';
	lock_done(&p->mu);
	free(p->got);
	free(p->taken);
	free(p->chunk);
	free(p);
	in->parts = NULL;
}
