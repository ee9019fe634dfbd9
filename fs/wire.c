/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include "backing.h"
#include "ops.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Of the protocol's version 7.40, which linux/fuse.h has from Linux 6.9 on.
 * Flags of INIT beyond the 32nd are in flags2, counted from 0 again.
 */
#define PASSTHROUGH_FLAG2 (1u << 5)
#define OPEN_PASSTHROUGH (1u << 7)

/* struct fuse_init_out as it was named then; it has had this size since 7.23 */
#define INIT_FLAGS_AT offsetof(struct fuse_init_out, flags)
#define INIT_FLAGS2_AT 32
#define INIT_DEPTH_AT 36
#define INIT_OUT_SIZE 64
/* struct fuse_init_in: major, minor, max_readahead, flags, flags2 */
#define OFFER_FLAGS_AT (sizeof(struct fuse_in_header) + 12)
#define OFFER_FLAGS2_AT (sizeof(struct fuse_in_header) + 16)

_Static_assert(sizeof(struct fuse_init_out) == INIT_OUT_SIZE,
	       "what INIT is answered with");

struct backing_map { /* fuse_backing_map */
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

struct open_answer { /* fuse_open_out */
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

static uint32_t get32(const void *p, size_t at)
{
	uint32_t v;

	memcpy(&v, (const char *)p + at, sizeof(v));
	return v;
}

static void put32(void *p, size_t at, uint32_t v)
{
	memcpy((char *)p + at, &v, sizeof(v));
}

/* ---- INIT ---- */

/* Is it the kernel's offer? Then remember what the library does not. */
static void look_at_offer(struct ops_context *o, const void *buf, ssize_t n)
{
	if (n < (ssize_t)(OFFER_FLAGS2_AT + sizeof(uint32_t)) ||
	    get32(buf, offsetof(struct fuse_in_header, opcode)) != FUSE_INIT)
		return;
	o->passthrough_offered =
		(get32(buf, OFFER_FLAGS_AT) & FUSE_INIT_EXT) &&
		(get32(buf, OFFER_FLAGS2_AT) & PASSTHROUGH_FLAG2);
}

static void add_passthrough(struct ops_context *o, const struct iovec *iov)
{
	uint32_t depth = o->backing ? backing_depth(o->backing) : 0;
	void *out = iov[1].iov_base;

	if (!depth || !o->passthrough_offered ||
	    iov[1].iov_len < INIT_DEPTH_AT + sizeof(uint32_t) ||
	    !(get32(out, INIT_FLAGS_AT) & FUSE_INIT_EXT))
		return;
	/* A library that knows it has said the same. */
	put32(out, INIT_FLAGS2_AT,
	      get32(out, INIT_FLAGS2_AT) | PASSTHROUGH_FLAG2);
	put32(out, INIT_DEPTH_AT, depth);
	backing_agreed(o->backing);
}

/* Is it an agreement to INIT that holds the flags? Then add ours. */
static void add_flags(struct ops_context *o, const struct iovec *iov, int count)
{
	struct fuse_out_header head;

	if (count < 2 || iov[0].iov_len != sizeof(head) ||
	    iov[1].iov_len < INIT_FLAGS_AT + sizeof(uint32_t))
		return;
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.error)
		return;
	if (o->parallel_dirops)
		put32(iov[1].iov_base, INIT_FLAGS_AT,
		      get32(iov[1].iov_base, INIT_FLAGS_AT) |
			      FUSE_PARALLEL_DIROPS);
	add_passthrough(o, iov);
}

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct ops_context *o = userdata;

	/* What is written first answers INIT: nothing else comes before. */
	if (!__atomic_exchange_n(&o->agreed, true, __ATOMIC_ACQ_REL))
		add_flags(o, iov, count);
	return writev(fd, iov, count);
}

/*
 * What was done for a reply comes before the request that follows from it:
 * a file is read before it is released. The kernel sees to that, and so do
 * read and writev; splice has to be told by us, or the thread sanitizer
 * takes it for a race.
 */
static ssize_t take_request(int fd, void *buf, size_t len, void *userdata)
{
	struct ops_context *o = userdata;
	ssize_t n = read(fd, buf, len);

	(void)__atomic_load_n(&o->spliced, __ATOMIC_ACQUIRE);
	if (!__atomic_load_n(&o->agreed, __ATOMIC_RELAXED))
		look_at_offer(o, buf, n);
	return n;
}

static ssize_t splice_reply(int in, off_t *in_at, int out, off_t *out_at,
			    size_t len, unsigned int flags, void *userdata)
{
	struct ops_context *o = userdata;

	(void)__atomic_add_fetch(&o->spliced, 1, __ATOMIC_RELEASE);
	return splice(in, in_at, out, out_at, len, flags);
}

int wire_mend(struct fuse_session *session, struct err *err)
{
	static const struct fuse_custom_io io = {
		.writev = send_reply,
		.read = take_request,
		.splice_receive = splice_reply,
		.splice_send = splice_reply,
	};
	int r = fuse_session_custom_io(session, &io, fuse_session_fd(session));

	return r < 0 ? err_errno(err, -r, "connection to the kernel") : 0;
}

int wire_agree(struct fuse_session *session, struct err *err)
{
	struct fuse_buf buf = { .mem = NULL };
	int r;

	do
		r = fuse_session_receive_buf(session, &buf);
	while (r == -EINTR && !fuse_session_exited(session));
	if (r > 0)
		fuse_session_process_buf(session, &buf);
	free(buf.mem);
	/* 0: it was unmounted, or a signal ended it: the loop sees to both. */
	return r < 0 && r != -EINTR
		       ? err_errno(err, -r, "connection to the kernel")
		       : 0;
}

void wire_want(struct fuse_conn_info *conn, uint32_t depth)
{
#ifdef FUSE_CAP_PASSTHROUGH
	if (!depth || !(conn->capable & FUSE_CAP_PASSTHROUGH))
		return;
	conn->want |= FUSE_CAP_PASSTHROUGH;
	conn->max_backing_stack_depth = depth - 1; /* what lies below it */
#else
	(void)conn;
	(void)depth;
#endif
}

/* ---- ids ---- */

static int32_t add_id(void *ctx, int fd)
{
	struct backing_map map = { .fd = fd };
	int r = ioctl(fuse_session_fd(ctx), BACKING_OPEN, &map);

	return r < 0 ? -errno : r;
}

static void drop_id(void *ctx, int32_t id)
{
	uint32_t number = (uint32_t)id;

	/* It is refused only when there is no such id. */
	(void)ioctl(fuse_session_fd(ctx), BACKING_CLOSE, &number);
}

struct backing_device wire_device(struct fuse_session *session)
{
	return (struct backing_device){ add_id, drop_id, session };
}

int wire_reply_open(fuse_req_t req, struct fuse_file_info *fi, int32_t id)
{
#ifdef FUSE_CAP_PASSTHROUGH
	fi->backing_id = id;
	return fuse_reply_open(req, fi);
#else
	const struct open_answer answer = {
		.fh = fi->fh,
		.open_flags = OPEN_PASSTHROUGH |
			      (fi->noflush ? (uint32_t)FOPEN_NOFLUSH : 0),
		.backing_id = id,
	};

	return fuse_reply_buf(req, (const char *)&answer, sizeof(answer));
#endif
}
