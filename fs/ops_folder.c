/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders: what the view lists, packed for the kernel, with the attributes
 * of each entry where they are known without asking.
 */
#include "ops_in.h"

#include "ctl.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * A listing is continued by offset: 1 and 2 stand behind the dots, what the
 * view says is shifted by them. Nothing of it is remembered between calls.
 */
#define DOTS 2

struct filling {
	struct view *v;
	const struct park_call *c;
	struct park_reply *out;
	char *buf; /* of c->size bytes, owned by out->text's owner */
	size_t used;
	bool plus;
};

static bool add_plain(struct filling *f, const char *name, mode_t mode,
		      uint64_t ino, off_t next)
{
	struct stat st = { .st_ino = ino, .st_mode = mode };
	size_t left = f->c->size - f->used;
	size_t n = fuse_add_direntry(f->c->req, f->buf + f->used, left, name,
				     &st, next);

	if (n > left)
		return false;
	f->used += n;
	return true;
}

static bool add_plus(struct filling *f, const char *name,
		     struct fuse_entry_param *e, off_t next)
{
	size_t left = f->c->size - f->used;
	size_t n = fuse_add_direntry_plus(f->c->req, f->buf + f->used, left,
					  name, e, next);

	if (n > left)
		return false;
	f->used += n;
	return true;
}

/* An entry with its attributes, if they are known without asking. */
static bool emit_plus(struct filling *f, const char *name, mode_t mode,
		      uint64_t ino, off_t next)
{
	struct inode_table *t = view_inodes(f->v);
	struct fuse_entry_param e;
	struct node *n = NULL;
	bool fits;

	memset(&e, 0, sizeof(e));
	e.attr.st_ino = ino;
	e.attr.st_mode = mode;
	if (f->c->node->kind != NODE_BUILDS &&
	    view_lookup_listed(f->v, f->c->node, name, (uint64_t)next - DOTS,
			       &n) == 0)
		ops_fill_entry(ops_context_of(f->c->req), n, &e);
	fits = add_plus(f, name, &e, next);
	/* The kernel counts it once the reply has come; only a dying
	 * connection loses one, and the count with it. */
	if (fits && n)
		inode_looked_up(t, n);
	inode_put(t, n);
	return fits;
}

static bool emit(void *arg, const char *name, enum view_type type, uint64_t ino,
		 uint64_t next)
{
	struct filling *f = arg;

	if (f->plus)
		return emit_plus(f, name, ops_mode(type), ino,
				 (off_t)(next + DOTS));
	return add_plain(f, name, ops_mode(type), ino, (off_t)(next + DOTS));
}

static bool emit_dots(struct filling *f)
{
	const struct node *up = f->c->node->parent;
	const struct node *dots[DOTS] = { f->c->node, up ? up : f->c->node };

	for (off_t i = f->c->off; i < DOTS; i++) {
		uint64_t ino = inode_number(dots[i]);
		struct fuse_entry_param e = {
			.attr = { .st_ino = ino, .st_mode = S_IFDIR },
		};
		const char *name = i ? ".." : ".";

		if (f->plus ? !add_plus(f, name, &e, i + 1)
			    : !add_plain(f, name, S_IFDIR, ino, i + 1))
			return false;
	}
	return true;
}

static int list(struct view *v, const struct park_call *c, struct view_wait *w,
		struct park_reply *out, bool plus, struct err *err)
{
	AUTO(auto_free) char *buf = malloc(c->size ? c->size : 1);
	struct filling f = { v, c, out, buf, 0, plus };
	uint64_t at = c->off > DOTS ? (uint64_t)c->off - DOTS : 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	if (emit_dots(&f))
		r = view_list(v, c->node, at, w, emit, &f, err);
	if (r < 0)
		return r;
	text_add_bytes(&out->text, buf, f.used);
	return text_failed(&out->text);
}

static int do_readdir(struct view *v, const struct park_call *c,
		      struct view_wait *w, struct park_reply *out,
		      struct err *err)
{
	return list(v, c, w, out, false, err);
}

static int do_readdirplus(struct view *v, const struct park_call *c,
			  struct view_wait *w, struct park_reply *out,
			  struct err *err)
{
	return list(v, c, w, out, true, err);
}

static void send_text(struct view *v, const struct park_call *c,
		      struct park_reply *reply)
{
	(void)v;
	(void)fuse_reply_buf(c->req, text_str(&reply->text), reply->text.len);
	text_done(&reply->text);
}

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *o = ops_context_of(req);
	struct node *n = ops_node(req, ino);

	ctl_count(CTL_OPENDIR);
	if (!n)
		return;
	/* What a folder of a commit lists never changes; where the time of a
	 * folder changes with its names, the kernel sees that a kept listing
	 * is old. */
	fi->cache_readdir = view_list_forever(o->view, n) || view_is_timed(n);
	fi->keep_cache = fi->cache_readdir;
	(void)fuse_reply_open(req, fi);
	inode_put(view_inodes(o->view), n);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	(void)fi;
	ctl_count(CTL_READDIR);
	ops_run(req, ino, do_readdir, send_text,
		(struct park_call){ .size = size, .off = off });
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)fi;
	ctl_count(CTL_READDIR);
	ops_run(req, ino, do_readdirplus, send_text,
		(struct park_call){ .size = size, .off = off });
}

void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, 0);
}
