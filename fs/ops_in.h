/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_OPS_IN_H
#define FS_OPS_IN_H

/*
 * What the files of the operations share among themselves.
 */

#include "ops.h"

#include "park.h"
#include "view.h"

#include <sys/types.h>

/* "For ever", as seconds that every kernel can turn into its own time. */
#define OPS_FOREVER_S 1e8
/* For names that may come, go or move. */
#define OPS_SHORT_S 1.0

struct ops_context *ops_context_of(fuse_req_t req);
mode_t ops_mode(enum view_type type);
void ops_fill_entry(struct ops_context *o, const struct node *n,
		    struct fuse_entry_param *e);
/* The node of a request, held; NULL after ESTALE was replied. */
struct node *ops_node(fuse_req_t req, fuse_ino_t ino);
/* Answer now or park: `call` with its request and node filled in. */
void ops_run(fuse_req_t req, fuse_ino_t ino, park_op *op, park_send *send,
	     struct park_call call);

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
