/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_PARK_H
#define FS_PARK_H

/*
 * Requests of the kernel that cannot be answered yet. Each is a call that is
 * put again whenever what it waited for has come; meanwhile it holds no
 * thread. An interrupt (a signal to the reader) ends it with EINTR, the
 * deadline with ETIMEDOUT, the end of the mount with EIO, each at once.
 */

#include <fuse_lowlevel.h>
#include <stdint.h>

#include "base/text.h"
#include "view.h"

struct err;
struct park;

/* What the kernel asked; the name is copied when the call must wait. */
struct park_call {
	fuse_req_t req;
	struct node *node; /* held by the call, given back when answered */
	const char *name;
	size_t size;
	off_t off;
	uint64_t fh; /* of a read */
};

/* The longest answer in memory: a report of a mount with many kernels. */
#define PARK_TEXT_MAX (64u << 20)

/* What the kernel is to be told, filled in by a call's op. */
struct park_reply {
	struct fuse_entry_param entry;
	struct node *node; /* held: what `entry` tells of */
	struct fuse_file_info fi;
	struct text text; /* bytes of a read, a listing, a link, an xattr */
	int fd;		  /* of a read from a blob, borrowed; -1 */
	int32_t backing;  /* of an open: the id to tell, counted; 0 */
};

/*
 * Try to answer. 0: *out is filled. -EINPROGRESS: w will be called. -errno:
 * reply with it (park does, and logs what a person should know).
 */
typedef int park_op(struct view *v, const struct park_call *c,
		    struct view_wait *w, struct park_reply *out,
		    struct err *err);
/* Send an answer; releases what the reply owns. */
typedef void park_send(struct view *v, const struct park_call *c,
		       struct park_reply *reply);

/* `deadline_ms`: how long a call may wait for names. */
int park_new(struct park **out, struct view *v, int64_t deadline_ms,
	     struct err *err);
/* Ends what waits with EIO, then frees; nothing new may come. */
void park_stop(struct park *p);
void park_free(struct park *p);

/* Something else that the timer's thread does now and then: gives when to do
 * it again (io_now_ms), -1: when it is woken. Set before there is a mount. */
typedef int64_t park_tick(void *ctx);
void park_also(struct park *p, park_tick *tick, void *ctx);
void park_wake(void *park);

/* Answer now if that is possible, else park. Takes over the node's hold. */
void park_run(struct park *p, park_op *op, park_send *send,
	      const struct park_call *c);

#endif
