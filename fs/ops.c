/* SPDX-License-Identifier: Apache-2.0 */
#include "ops_in.h"

#include "backing.h"
#include "ctl.h"
#include "reports.h"
#include "view.h"
#include "wire.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Waiting reads hold nothing here, so many may be in flight. */
#define BACKGROUND 64
/* Linux 6.14. Before it (6.13 and older without the correction of February
 * 2025) a cached link is cut to the st_size that was told, and a link that
 * was undecided then has 0: it would lead to the folder it stands in. */
#define LINKS_WHOLE_MINOR 42

struct ops_context *ops_context_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- attributes ---- */

mode_t ops_mode(enum view_type type)
{
	switch (type) {
	case VIEW_DIR:
		return S_IFDIR | 0555;
	case VIEW_LINK:
		return S_IFLNK | 0777;
	case VIEW_FILE:
		break;
	}
	return S_IFREG | 0444;
}

static void fill_stat(const struct ops_context *o, const struct view_attr *a,
		      struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = a->ino;
	st->st_mode = ops_mode(a->type);
	st->st_nlink = a->type == VIEW_DIR ? 2 : 1;
	st->st_uid = o->uid;
	st->st_gid = o->gid;
	st->st_size = (off_t)a->size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)((a->size + 511) / 512);
	st->st_mtim.tv_sec = a->mtime_s;
	st->st_atim = st->st_mtim;
	st->st_ctim = st->st_mtim;
}

void ops_fill_entry(struct ops_context *o, const struct node *n,
		    struct fuse_entry_param *e)
{
	struct view_attr a;

	view_attr(o->view, n, &a);
	memset(e, 0, sizeof(*e));
	e->ino = inode_number(n);
	fill_stat(o, &a, &e->attr);
	e->attr_timeout = a.forever ? OPS_FOREVER_S : OPS_SHORT_S;
	e->entry_timeout = e->attr_timeout;
}

struct node *ops_node(fuse_req_t req, fuse_ino_t ino)
{
	struct node *n = inode_get(view_inodes(ops_context_of(req)->view), ino);

	if (!n)
		(void)fuse_reply_err(req, ESTALE);
	return n;
}

void ops_run(fuse_req_t req, fuse_ino_t ino, park_op *op, park_send *send,
	     struct park_call call)
{
	call.req = req;
	call.node = ops_node(req, ino);
	if (call.node)
		park_run(ops_context_of(req)->park, op, send, &call);
}

/* ---- names ---- */

static int do_lookup(struct view *v, const struct park_call *c,
		     struct view_wait *w, struct park_reply *out,
		     struct err *err)
{
	int r = view_lookup(v, c->node, c->name, w, &out->node, err);

	if (r == -ENOENT || r == -ERR_NO_BUILD) {
		/* Told as a name that is not there, and for how long. */
		memset(&out->entry, 0, sizeof(out->entry));
		out->entry.entry_timeout = view_absent_forever(v, c->node)
						   ? OPS_FOREVER_S
						   : OPS_SHORT_S;
		return w ? r : 0;
	}
	return r;
}

static void send_lookup(struct view *v, const struct park_call *c,
			struct park_reply *reply)
{
	struct inode_table *t = view_inodes(v);

	if (reply->node) {
		ops_fill_entry(ops_context_of(c->req), reply->node,
			       &reply->entry);
		inode_looked_up(t, reply->node);
	}
	if (fuse_reply_entry(c->req, &reply->entry) < 0 && reply->node)
		inode_forget(t, inode_number(reply->node), 1);
	inode_put(t, reply->node);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	ctl_count(CTL_LOOKUP);
	ops_run(req, parent, do_lookup, send_lookup,
		(struct park_call){ .name = name });
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	inode_forget(view_inodes(ops_context_of(req)->view), ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	struct inode_table *t = view_inodes(ops_context_of(req)->view);

	for (size_t i = 0; i < count; i++)
		inode_forget(t, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct ops_context *o = ops_context_of(req);
	struct node *n = ops_node(req, ino);
	struct view_attr a;
	struct stat st;

	(void)fi;
	ctl_count(CTL_GETATTR);
	if (!n)
		return;
	view_attr(o->view, n, &a);
	fill_stat(o, &a, &st);
	(void)fuse_reply_attr(req, &st,
			      a.forever ? OPS_FOREVER_S : OPS_SHORT_S);
	inode_put(view_inodes(o->view), n);
}

static int do_readlink(struct view *v, const struct park_call *c,
		       struct view_wait *w, struct park_reply *out,
		       struct err *err)
{
	return view_readlink(v, c->node, w, &out->text, err);
}

static void send_readlink(struct view *v, const struct park_call *c,
			  struct park_reply *reply)
{
	(void)v;
	(void)fuse_reply_readlink(c->req, text_str(&reply->text));
	text_done(&reply->text);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	ctl_count(CTL_READLINK);
	ops_run(req, ino, do_readlink, send_readlink, (struct park_call){ 0 });
}

/* ---- files ---- */

static int do_open(struct view *v, const struct park_call *c,
		   struct view_wait *w, struct park_reply *out, struct err *err)
{
	/* What the kernel reads by itself needs no descriptor of ours. */
	if (c->node->kind == NODE_FILE)
		out->backing =
			backing_again(ops_context_of(c->req)->backing, c->node);
	if (!out->backing)
		return view_open(v, c->node, w, &out->fd, err);
	view_used(v, c->node);
	return 0;
}

/* Of a blob: it was counted, or is now, before the kernel is told. */
static void send_open_blob(const struct park_call *c, struct park_reply *reply)
{
	struct ops_context *o = ops_context_of(c->req);
	int r;

	if (!reply->backing)
		reply->backing = backing_open(o->backing, c->node, reply->fd);
	reply->fi.noflush = 1;
	reply->fi.keep_cache = !reply->backing; /* which excludes it */
	if (reply->backing)
		r = wire_reply_open(c->req, &reply->fi, reply->backing);
	else
		r = fuse_reply_open(c->req, &reply->fi);
	if (r < 0) /* interrupted: no RELEASE will come for it */
		inode_close(view_inodes(o->view), c->node);
}

static void send_open(struct view *v, const struct park_call *c,
		      struct park_reply *reply)
{
	(void)v;
	if (c->node->kind == NODE_FILE) {
		send_open_blob(c, reply);
		return;
	}
	reply->fi.noflush = 1;
	/* Another daemon could serve this open file: fh is 0, or says only
	 * where the rest of a report may be found. */
	if (view_is_constant(c->node)) {
		reply->fi.keep_cache = 1;
	} else {
		reply->fi.direct_io = 1;
		reply->fi.fh = reports_number(ops_context_of(c->req)->reports);
	}
	(void)fuse_reply_open(c->req, &reply->fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ctl_count(CTL_OPEN);
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		(void)fuse_reply_err(req, EROFS);
		return;
	}
	ops_run(req, ino, do_open, send_open, (struct park_call){ 0 });
}

static void op_release(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct inode_table *t = view_inodes(ops_context_of(req)->view);
	struct node *n = inode_get(t, ino);

	if (n && n->kind == NODE_FILE)
		inode_close(t, n);
	if (fi->fh)
		reports_drop(ops_context_of(req)->reports, fi->fh);
	inode_put(t, n);
	(void)fuse_reply_err(req, 0);
}

static int read_report(struct view *v, const struct park_call *c,
		       struct view_wait *w, struct park_reply *out,
		       struct err *err)
{
	struct reports *reports = ops_context_of(c->req)->reports;
	int r;

	if (c->off > 0 && reports_find(reports, c->fh, &out->text))
		return text_failed(&out->text);
	r = view_report(v, c->node, w, &out->text, err);
	if (r == 0 && c->fh && text_failed(&out->text) == 0)
		reports_keep(reports, c->fh, &out->text);
	return r;
}

static int do_read(struct view *v, const struct park_call *c,
		   struct view_wait *w, struct park_reply *out, struct err *err)
{
	int fd = -1, r;

	if (c->node->kind != NODE_FILE)
		return read_report(v, c, w, out, err);
	out->fd = inode_fd(view_inodes(v), c->node);
	if (out->fd >= 0)
		return 0;
	/* Opened through a daemon that is gone. */
	r = view_open(v, c->node, w, &fd, err);
	if (r < 0)
		return r;
	inode_adopt(view_inodes(v), c->node, fd);
	out->fd = inode_fd(view_inodes(v), c->node);
	return 0;
}

static void send_read(struct view *v, const struct park_call *c,
		      struct park_reply *reply)
{
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(c->size);
	size_t at = (size_t)c->off, n;

	(void)v;
	if (reply->fd >= 0) {
		buf.buf[0].flags = (enum fuse_buf_flags)(FUSE_BUF_IS_FD |
							 FUSE_BUF_FD_SEEK);
		buf.buf[0].fd = reply->fd;
		buf.buf[0].pos = c->off;
		(void)fuse_reply_data(c->req, &buf,
				      (enum fuse_buf_copy_flags)0);
		return;
	}
	if (at > reply->text.len)
		at = reply->text.len;
	n = reply->text.len - at;
	(void)fuse_reply_buf(c->req, text_str(&reply->text) + at,
			     n < c->size ? n : c->size);
	text_done(&reply->text);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	ctl_count(CTL_READ);
	ops_run(req, ino, do_read, send_read,
		(struct park_call){ .size = size, .off = off, .fh = fi->fh });
}

/* ---- the rest ---- */

static void send_xattr(struct view *v, const struct park_call *c,
		       struct park_reply *reply)
{
	(void)v;
	if (c->size == 0)
		(void)fuse_reply_xattr(c->req, reply->text.len);
	else if (c->size < reply->text.len)
		(void)fuse_reply_err(c->req, ERANGE);
	else
		(void)fuse_reply_buf(c->req, text_str(&reply->text),
				     reply->text.len);
	text_done(&reply->text);
}

static int do_getxattr(struct view *v, const struct park_call *c,
		       struct view_wait *w, struct park_reply *out,
		       struct err *err)
{
	return view_xattr(v, c->node, c->name, w, &out->text, err);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	ctl_count(CTL_XATTR);
	ops_run(req, ino, do_getxattr, send_xattr,
		(struct park_call){ .name = name, .size = size });
}

static int do_listxattr(struct view *v, const struct park_call *c,
			struct view_wait *w, struct park_reply *out,
			struct err *err)
{
	(void)v;
	(void)w;
	(void)err;
	view_xattr_names(c->node, &out->text);
	return text_failed(&out->text);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	ctl_count(CTL_XATTR);
	ops_run(req, ino, do_listxattr, send_xattr,
		(struct park_call){ .size = size });
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = { .f_bsize = 4096,
			      .f_frsize = 4096,
			      .f_namemax = 255 };

	(void)ino;
	(void)fuse_reply_statfs(req, &st);
}

/* CPython asks isatty() of every module it opens: answered at once. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
		     void *arg, struct fuse_file_info *fi, unsigned int flags,
		     const void *in, size_t in_size, size_t out_size)
{
	(void)ino;
	(void)cmd;
	(void)arg;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	(void)out_size;
	ctl_count(CTL_IOCTL);
	(void)fuse_reply_err(req, ENOTTY);
}

/* Every open says that none is wanted; counted, lest that should change. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	ctl_count(CTL_FLUSH);
	(void)fuse_reply_err(req, ENOSYS);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const unsigned wanted =
		FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
		FUSE_CAP_ASYNC_READ | FUSE_CAP_SPLICE_WRITE |
		FUSE_CAP_SPLICE_MOVE |
		/* a kept listing is old when its folder's time has changed;
		 * files never change, so nothing else is asked for it */
		FUSE_CAP_AUTO_INVAL_DATA;
	struct ops_context *o = userdata;

	conn->want |= conn->capable & wanted;
	if (conn->proto_minor >= LINKS_WHOLE_MINOR)
		conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	wire_want(conn, backing_depth(o->backing));
	o->parallel_dirops = conn->capable & FUSE_CAP_PARALLEL_DIROPS;
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = BACKGROUND * 3 / 4;
}

const struct fuse_lowlevel_ops *ops_table(void)
{
	static const struct fuse_lowlevel_ops table = {
		.init = op_init,
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.readlink = op_readlink,
		.open = op_open,
		.read = op_read,
		.flush = op_flush,
		.release = op_release,
		.opendir = ops_opendir,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.releasedir = ops_releasedir,
		.getxattr = op_getxattr,
		.listxattr = op_listxattr,
		.statfs = op_statfs,
		.ioctl = op_ioctl,
	};

	return &table;
}
