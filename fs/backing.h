/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_BACKING_H
#define FS_BACKING_H

/*
 * Passthrough: the kernel reads a blob straight from the cache's file, which
 * it knows by an id, and asks the daemon for none of its bytes. Where it
 * cannot be had, reads are served with kept pages, which is the same to who
 * reads, and slower. No open ever fails because of it.
 *
 * An inode has one id at most, made at its first open and used by all others.
 * It is given back when the kernel forgets the inode, when nobody has had it
 * open for half a minute, when the cache needs room, or at the end: an id
 * holds the blob's lock (store.h: in use) and, once that blob was removed,
 * its bytes. Making it again costs some microseconds.
 *
 * Any thread, but for what is said to be called before there are threads.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backing;
struct err;
struct inode_table;
struct node;
struct text;

/* The connection to the kernel, as far as it matters here. */
struct backing_device {
	int32_t (*add)(void *ctx, int fd); /* an id > 0, or -errno */
	void (*drop)(void *ctx, int32_t id);
	void *ctx;
};

/* ---- before there are threads ---- */

/* `wish`: "auto", "off" or "require"; `cache`: the folder, which decides how
 * deep filesystems are stacked. Borrows all, which outlives it. */
int backing_new(struct backing **out, const char *wish, const char *cache,
		struct inode_table *inodes, struct err *err);
void backing_free(struct backing *b); /* NULL allowed */
/* What is to be called, from any thread, when backing_tick() has to be. */
void backing_wake_with(struct backing *b, void (*wake)(void *ctx), void *ctx);
/* How deep the kernel is to be told that we stack; 0: not to be asked. */
uint32_t backing_depth(const struct backing *b);
/* The kernel has offered it, and was told that we want it. */
void backing_agreed(struct backing *b);
/*
 * The connection serves. Tries one file of the cache, so that it is known
 * whether it works. -errno with a sentence only when it is required.
 */
int backing_begin(struct backing *b, const struct backing_device *device,
		  struct err *err);

/* ---- files ---- */

/* The node is opened, and has an id already: that, and the open is counted.
 * 0: it has not. */
int32_t backing_again(struct backing *b, struct node *n);
/* It is opened as `fd`, which is taken over; counted. The id to tell the
 * kernel; 0: it is to ask us, and to keep the pages. */
int32_t backing_open(struct backing *b, struct node *n, int fd);

/* ---- looking after it ---- */

/* Give idle ids back; when to be called again (io_now_ms), -1: when woken. */
int64_t backing_tick(struct backing *b);
/* The store wants room: give all ids back that no open file needs. */
void backing_let_go(void *b);
/* The connection goes: once this returns, no id is made or given back. */
void backing_end(struct backing *b);

bool backing_is_on(struct backing *b);
/* Why not, as a sentence, when it is off; appended. */
void backing_reason(struct backing *b, struct text *out);
/* {"on": …, "reason": …}; appended. */
void backing_report(struct backing *b, struct text *out);

#endif
