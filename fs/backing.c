/* SPDX-License-Identifier: Apache-2.0 */
#include "backing.h"

#include "inode.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* An id that nobody needs is given back after this. */
#define IDLE_S 30

/* Filesystems that may lie upon others (linux/magic.h has not all). */
#define MAGIC_OVERLAYFS 0x794c7630
#define MAGIC_ECRYPTFS 0xf15f
#define MAGIC_FUSE 0x65735546

struct backing {
	const char *wish;  /* borrowed */
	const char *cache; /* borrowed */
	struct inode_table *inodes;
	void (*wake)(void *ctx);
	void *wake_ctx;
	bool agreed; /* with the kernel, at INIT */
	bool ticks;  /* __atomic: backing_tick() will be called again */

	struct lock lock;
	pthread_cond_t quiet;
	struct backing_device device; /* lock */
	bool on;		      /* lock: ids can be made */
	bool served;		      /* lock: between begin and end */
	unsigned busy;		      /* lock: calls of the device */
	char reason[256];	      /* lock: "" when it is on */
};

/* ---- calls of the device, never under the lock ---- */

static bool enter(struct backing *b, struct backing_device *device, bool add)
{
	bool ok;

	lock_take(&b->lock);
	ok = b->served && (b->on || !add);
	if (ok) {
		*device = b->device;
		b->busy++;
	}
	lock_drop(&b->lock);
	return ok;
}

static void leave(struct backing *b)
{
	lock_take(&b->lock);
	if (--b->busy == 0)
		(void)pthread_cond_broadcast(&b->quiet);
	lock_drop(&b->lock);
}

static void drop_id(void *ctx, int32_t id)
{
	struct backing_device device;
	struct backing *b = ctx;

	if (!enter(b, &device, false))
		return; /* it went with the connection */
	device.drop(device.ctx, id);
	leave(b);
}

/* Is it the connection that refuses, and not this file? */
static bool refuses_all(int code)
{
	return code == EPERM || code == EOPNOTSUPP || code == ENOTTY ||
	       code == ENOSYS;
}

static const char *why(int code)
{
	switch (code) {
	case EPERM:
		return "it takes CAP_SYS_ADMIN, and not in a user namespace: "
		       "let root mount";
	case EOPNOTSUPP:
	case ENOTTY:
	case ENOSYS:
		return "this kernel was built without it "
		       "(CONFIG_FUSE_PASSTHROUGH)";
	case ELOOP:
		return "the cache lies on too deep a stack of filesystems: "
		       "keep it on a plain one";
	default:
		return strerrordesc_np(code);
	}
}

/* true: it was on until now. */
static bool turn_off(struct backing *b, const char *reason)
{
	bool was;

	lock_take(&b->lock);
	was = b->on;
	b->on = false;
	if (!b->reason[0])
		(void)snprintf(b->reason, sizeof(b->reason), "%s", reason);
	lock_drop(&b->lock);
	return was;
}

/* An id > 0, or 0. */
static int32_t add_fd(struct backing *b, int fd)
{
	struct backing_device device;
	int32_t id;

	if (!enter(b, &device, true))
		return 0;
	id = device.add(device.ctx, fd);
	leave(b);
	if (id > 0)
		return id;
	if (refuses_all(-id)) {
		if (turn_off(b, why(-id)))
			log_warning("mount", "no passthrough any more: %s",
				    why(-id));
	} else {
		log_debug("mount", "a file without passthrough: %s", why(-id));
	}
	return 0;
}

/* ---- life ---- */

/*
 * The kernel counts filesystems that lie upon each other, two at most, us
 * included. With 2 the cache may lie on such a one, and then none may lie on
 * this mount; with 1 it is the other way round. Of a FUSE below it cannot be
 * seen which it is: 2 is right for both.
 */
static uint32_t depth_of(const char *cache)
{
	struct statfs fs;

	if (statfs(cache, &fs) < 0)
		return 1;
	switch ((unsigned long)fs.f_type) {
	case MAGIC_OVERLAYFS:
	case MAGIC_ECRYPTFS:
	case MAGIC_FUSE:
		return 2;
	default:
		return 1;
	}
}

int backing_new(struct backing **out, const char *wish, const char *cache,
		struct inode_table *inodes, struct err *err)
{
	struct backing *b = calloc(1, sizeof(*b));

	if (!b)
		return err_errno(err, ENOMEM, "passthrough");
	b->wish = wish;
	b->cache = cache;
	b->inodes = inodes;
	lock_init(&b->lock, LOCK_BACKING);
	lock_cond_init(&b->quiet);
	inode_drop_with(inodes, drop_id, b);
	*out = b;
	return 0;
}

void backing_free(struct backing *b)
{
	if (!b)
		return;
	(void)pthread_cond_destroy(&b->quiet);
	lock_done(&b->lock);
	free(b);
}

void backing_wake_with(struct backing *b, void (*wake)(void *ctx), void *ctx)
{
	b->wake = wake;
	b->wake_ctx = ctx;
}

uint32_t backing_depth(const struct backing *b)
{
	return strcmp(b->wish, "off") ? depth_of(b->cache) : 0;
}

void backing_agreed(struct backing *b)
{
	b->agreed = true;
}

/* Any file of the cache; where there is none to be had, one in memory says at
 * least whether we may. */
static int open_sample(const struct backing *b)
{
	char path[PATH_MAX];
	int fd = -1;

	if (snprintf(path, sizeof(path), "%s/layout", b->cache) <
	    (int)sizeof(path))
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : memfd_create("sample", MFD_CLOEXEC);
}

/* 0, or -errno with b->reason set. */
static int try_sample(struct backing *b)
{
	AUTO(auto_close) int fd = -1;
	int32_t id;

	if (!strcmp(b->wish, "off")) {
		(void)turn_off(b, "passthrough=off");
		return -ECANCELED;
	}
	if (!b->agreed) {
		(void)turn_off(b, "this kernel does not offer it: Linux 6.9 "
				  "and later do");
		return -EOPNOTSUPP;
	}
	fd = open_sample(b);
	if (fd < 0) {
		(void)turn_off(b, why(errno));
		return -EIO;
	}
	id = b->device.add(b->device.ctx, fd);
	if (id <= 0) {
		(void)turn_off(b, why(-id));
		return id < 0 ? id : -EIO;
	}
	b->device.drop(b->device.ctx, id);
	return 0;
}

int backing_begin(struct backing *b, const struct backing_device *device,
		  struct err *err)
{
	int r;

	b->device = *device;
	r = try_sample(b);
	if (r < 0 && !strcmp(b->wish, "require"))
		return err_set(err, -r, "passthrough=require: %s", b->reason);
	lock_take(&b->lock);
	b->served = true;
	b->on = r == 0;
	lock_drop(&b->lock);
	return 0;
}

void backing_end(struct backing *b)
{
	if (!b)
		return;
	lock_take(&b->lock);
	b->served = false;
	while (b->busy)
		(void)lock_wait(&b->lock, &b->quiet, -1);
	lock_drop(&b->lock);
}

/* ---- files ---- */

int32_t backing_again(struct backing *b, struct node *n)
{
	int32_t id = inode_open_again(b->inodes, n);

	return id > 0 ? id : 0;
}

int32_t backing_open(struct backing *b, struct node *n, int fd)
{
	int32_t id = inode_open_again(b->inodes, n);
	AUTO(auto_close) int spare = -1;

	if (id > 0) {
		spare = fd;
		return id;
	}
	/* Of two that come here at once one id is dropped again. */
	id = inode_open(b->inodes, n, fd, id == 0 ? add_fd(b, fd) : 0);
	if (id && !__atomic_exchange_n(&b->ticks, true, __ATOMIC_ACQ_REL) &&
	    b->wake)
		b->wake(b->wake_ctx);
	return id;
}

/* ---- looking after it ---- */

int64_t backing_tick(struct backing *b)
{
	int64_t now = io_now_ms();

	if (now / 1000 >= IDLE_S)
		(void)inode_drop_idle(b->inodes,
				      (uint32_t)(now / 1000 - IDLE_S));
	/* In this order: who makes an id now either is seen or wakes us. */
	__atomic_store_n(&b->ticks, false, __ATOMIC_SEQ_CST);
	if (!inode_ids(b->inodes))
		return -1;
	__atomic_store_n(&b->ticks, true, __ATOMIC_SEQ_CST);
	return now + IDLE_S * 1000 / 2;
}

void backing_let_go(void *ctx)
{
	struct backing *b = ctx;

	(void)inode_drop_idle(b->inodes, UINT32_MAX);
}

bool backing_is_on(struct backing *b)
{
	bool on;

	lock_take(&b->lock);
	on = b->on;
	lock_drop(&b->lock);
	return on;
}

void backing_reason(struct backing *b, struct text *out)
{
	lock_take(&b->lock);
	text_add(out, b->reason);
	lock_drop(&b->lock);
}

void backing_report(struct backing *b, struct text *out)
{
	char reason[sizeof(b->reason)];
	bool on;

	lock_take(&b->lock);
	on = b->on;
	memcpy(reason, b->reason, sizeof(reason));
	lock_drop(&b->lock);
	text_printf(out, "{\"on\": %s, \"reason\": ", on ? "true" : "false");
	if (on)
		text_add(out, "null");
	else
		text_add_json(out, reason);
	text_add_char(out, '}');
}
