/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "ingest_room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Taking a blob in. The bytes go to a file without a name (O_TMPFILE) in the
 * folder where the name will be, and are hashed on the way. When the hash is
 * right they are synced, the name is linked, the folder is synced: a crash
 * between any two of these leaves nothing, or a blob nobody was told of.
 *
 * A filesystem that has no O_TMPFILE gets a named file in partial/, with a
 * lock on it for as long as we live; who opens the cache next removes those
 * that nobody holds (store_partial.c). A large blob has a named file there as
 * well (ingest_parts.c) and ends as the others do.
 *
 * A name that is there already holds the same bytes: whoever linked it had
 * checked them. Which of two racing processes wins does not matter.
 */

/* Small files are not worth a call; 1 MiB of lost work is. */
#define PREALLOCATE_MIN (UINT64_C(1) << 20)

static int open_partial(struct ingest *in)
{
	char hex[DIGEST_HEX_MAX];

	digest_print(&in->digest, hex);
	in->fd = store_open_partial(in->store, hex, &in->partial, in->name);
	return in->fd < 0 ? in->fd : 0;
}

static int open_file(struct ingest *in)
{
	char folder[STORE_NAME_MAX];

	store_blob_name(&in->digest, folder, NULL);
	in->folder = store_make_folder_hint(in->store, folder, &in->made);
	if (in->folder < 0)
		return in->folder;
	in->fd = openat(in->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0444);
	if (in->fd >= 0)
		return 0;
	/* EISDIR, ENOENT: kernels that do not know the flag */
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT ||
	    errno == EINVAL)
		return open_partial(in);
	return -errno;
}

int ingest_allocate(struct ingest *in, uint64_t bytes)
{
	if (fallocate(in->fd, 0, 0, (off_t)bytes) == 0)
		return 0;
	if (errno == ENOSPC && store_evict_bytes(in->store, bytes) &&
	    fallocate(in->fd, 0, 0, (off_t)bytes) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return -errno;
	return 0;
}

int ingest_begin(struct ingest *in, uint64_t there, struct err *err)
{
	int r = store_reserve(in->store, in->size, there, err);

	if (r < 0)
		return r;
	in->reserved = true;
	return hasher_new(&in->hasher, (enum digest_kind)in->digest.kind,
			  in->size, err);
}

struct ingest *ingest_alloc(struct store *s, const struct digest *d,
			    uint64_t size, struct err *err)
{
	struct ingest *in;

	if (size > (uint64_t)INT64_MAX) {
		(void)store_fail(s, EFBIG, "cannot take the file", err);
		return NULL;
	}
	in = calloc(1, sizeof(*in));
	if (!in) {
		(void)store_fail(s, ENOMEM, "cannot take the file", err);
		return NULL;
	}
	in->store = s;
	in->digest = *d;
	in->size = size;
	in->folder = in->fd = in->partial = -1;
	return in;
}

int ingest_new(struct ingest **out, struct store *s, const struct digest *d,
	       uint64_t size, struct err *err)
{
	struct ingest *in = ingest_alloc(s, d, size, err);
	int r;

	if (!in)
		return size > (uint64_t)INT64_MAX ? -EFBIG : -ENOMEM;
	r = ingest_begin(in, 0, err);
	if (r < 0) {
		ingest_free(in);
		return r;
	}
	r = open_file(in);
	if (r == 0 && size >= PREALLOCATE_MIN)
		r = ingest_allocate(in, size);
	if (r < 0) {
		ingest_free(in);
		return store_fail(s, -r, "cannot be written", err);
	}
	*out = in;
	return 0;
}

int ingest_write(struct ingest *in, const void *p, size_t n, struct err *err)
{
	int r;

	if (n > in->size - in->written)
		return err_set(err, EBADMSG,
			       "more bytes than the %llu that were announced",
			       (unsigned long long)in->size);
	r = io_pwrite_all(in->fd, p, n, (off_t)in->written);
	if (r == -ENOSPC &&
	    store_evict_bytes(in->store, in->size - in->written))
		r = io_pwrite_all(in->fd, p, n, (off_t)in->written);
	if (r < 0)
		return store_fail(in->store, -r, "cannot be written", err);
	r = hasher_add(in->hasher, p, n);
	if (r < 0)
		return err_set(err, -r, "libcrypto cannot hash");
	in->written += n;
	return 0;
}

uint64_t ingest_written(const struct ingest *in)
{
	return __atomic_load_n(&in->written, __ATOMIC_RELAXED);
}

int ingest_rewind(struct ingest *in, struct err *err)
{
	struct hasher *fresh;
	int r = hasher_new(&fresh, (enum digest_kind)in->digest.kind, in->size,
			   err);

	if (r < 0)
		return r;
	hasher_free(in->hasher);
	in->hasher = fresh;
	/* Nothing to cut off: it is named only when all bytes were written
	 * over again. */
	in->written = 0;
	r = in->parts ? ingest_parts_rewind(in) : 0;
	return r < 0 ? store_fail(in->store, -r, "cannot be written", err) : 0;
}

static void unreserve(struct ingest *in)
{
	if (in->reserved)
		store_unreserve(in->store, in->size);
	in->reserved = false;
}

static int check(struct ingest *in, struct err *err)
{
	char want[DIGEST_HEX_MAX];
	char have[DIGEST_HEX_MAX];
	struct digest d;

	if (in->written < in->size)
		return err_set(err, EIO, "%llu of %llu bytes came",
			       (unsigned long long)in->written,
			       (unsigned long long)in->size);
	if (hasher_end(in->hasher, &d) < 0)
		return err_set(err, EIO, "libcrypto cannot hash");
	if (digest_equal(&d, &in->digest))
		return 0;
	digest_print(&in->digest, want);
	digest_print(&d, have);
	return err_set(err, EBADMSG,
		       "content does not match its hash: expected %s, got %s",
		       want, have);
}

static int move_once(struct ingest *in, const char *hex)
{
	/* moved, so that never is a blob half a download as well */
	if (renameat2(in->partial, in->name, in->folder, hex,
		      RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(in->partial, in->name, in->folder, hex, 0) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK)
		return -errno;
	/* no hard links here (FAT); the bytes are the same ones */
	return renameat(in->partial, in->name, in->folder, hex) < 0 ? -errno
								    : 0;
}

/*
 * A name in partial/ is anybody's to move who may write there (a group, who
 * tidies up): what it leads to is looked at before, and once more when it is
 * a blob's. -EIO: it is not what was hashed.
 */
static int move_name(struct ingest *in, const char *hex)
{
	int r;

	if (!store_is_named(in->partial, in->name, in->fd))
		return -EIO;
	r = move_once(in, hex);
	if (r < 0)
		return r;
	if (store_is_named(in->folder, hex, in->fd))
		return 0;
	(void)unlinkat(in->folder, hex, 0);
	return -EIO;
}

static int link_once(struct ingest *in, const char *hex)
{
	char proc[32];

	if (in->name[0])
		return move_name(in, hex);
	/* Needs no /proc, but CAP_DAC_READ_SEARCH before Linux 6.10. */
	if (linkat(in->fd, "", in->folder, hex, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", in->fd);
	if (linkat(AT_FDCWD, proc, in->folder, hex, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return -errno;
}

/* What has our name: is it a blob of our size? Else it was put there by
 * hand or cut by a broken disk, and would be fetched again for ever. */
static bool named_is_sound(const struct ingest *in, const char *hex)
{
	struct stat st;

	return fstatat(in->folder, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == in->size;
}

/* 1: it has its name. 0: another one has, with the same bytes. */
static int link_name(struct ingest *in)
{
	char hex[DIGEST_HEX_MAX];
	int r;

	digest_print(&in->digest, hex);
	r = link_once(in, hex);
	if (r == 0)
		return 1;
	if (r != -EEXIST || named_is_sound(in, hex))
		return r == -EEXIST ? 0 : r;
	if (unlinkat(in->folder, hex, 0) < 0 && errno != ENOENT)
		return -errno;
	r = link_once(in, hex);
	if (r == 0)
		return 1;
	return r == -EEXIST ? 0 : r;
}

/* It was linked and not moved, or another one was faster. */
static void drop_name(struct ingest *in)
{
	if (in->name[0] && store_is_named(in->partial, in->name, in->fd))
		(void)unlinkat(in->partial, in->name, 0);
	in->name[0] = '\0';
}

int ingest_name(struct ingest *in, struct err *err)
{
	int r = in->parts ? ingest_parts_end(in, err) : 0;

	if (r == 0)
		r = check(in, err);
	if (r < 0)
		return r;
	/* In this order: who is killed in the sync, which takes its time, has
	 * left what may be gone on with. */
	if (fdatasync(in->fd) < 0 || fchmod(in->fd, 0444) < 0)
		return store_fail(in->store, errno, "cannot be written", err);
	/* in use until we are done with it; a cleaner waits for nobody */
	(void)flock(in->fd, LOCK_SH | LOCK_NB);
	r = link_name(in);
	if (r < 0)
		return store_fail(in->store, -r, "cannot name a file", err);
	drop_name(in);
	unreserve(in);
	if (r == 1)
		store_count(in->store, (int64_t)in->size, 1);
	store_settle(in->store);
	return 0;
}

int ingest_commit(struct ingest *in, struct err *err)
{
	int r = ingest_name(in, err);

	if (r < 0)
		return r;
	r = store_sync_names(in->folder, in->made);
	return r < 0 ? store_fail(in->store, -r, "cannot be written", err) : 0;
}

int ingest_take_folder(struct ingest *in, bool *made)
{
	*made = in->made;
	return take_fd(&in->folder);
}

void ingest_free(struct ingest *in)
{
	if (!in)
		return;
	unreserve(in);
	if (in->parts)
		ingest_parts_free(in);
	if (in->name[0])
		(void)unlinkat(in->partial, in->name, 0);
	auto_close(&in->fd);
	auto_close(&in->partial);
	auto_close(&in->folder);
	hasher_free(in->hasher);
	free(in);
}
