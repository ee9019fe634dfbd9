/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include "ops.h"

#include "base/err.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Is it an agreement to INIT that holds the flags? Then add ours. */
static void add_flags(const struct iovec *iov, int count)
{
	struct fuse_out_header head;
	uint32_t flags;
	char *at;

	if (count < 2 || iov[0].iov_len != sizeof(head) ||
	    iov[1].iov_len <
		    offsetof(struct fuse_init_out, flags) + sizeof(flags))
		return;
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.error)
		return;
	at = (char *)iov[1].iov_base + offsetof(struct fuse_init_out, flags);
	memcpy(&flags, at, sizeof(flags));
	flags |= FUSE_PARALLEL_DIROPS;
	memcpy(at, &flags, sizeof(flags));
}

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct ops_context *o = userdata;

	/* What is written first answers INIT: nothing else comes before. */
	if (!__atomic_exchange_n(&o->agreed, true, __ATOMIC_ACQ_REL) &&
	    o->parallel_dirops)
		add_flags(iov, count);
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
