/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_OPS_H
#define FS_OPS_H

/*
 * The table of FUSE operations: each parses, asks the view, and replies or
 * parks. No thread of the loop waits for anything.
 */

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

struct backing;
struct park;
struct reports;
struct view;

struct ops_context {
	struct view *view;
	struct park *park;
	struct backing *backing;
	struct reports *reports;
	uint32_t uid, gid;	  /* who owns what is shown */
	bool parallel_dirops;	  /* the kernel can do it; wire.h */
	bool passthrough_offered; /* likewise */
	bool agreed;		  /* __atomic: INIT was answered; wire.h */
	unsigned spliced;	  /* __atomic: replies so far; wire.h */
};

/* userdata of the session is a struct ops_context. */
const struct fuse_lowlevel_ops *ops_table(void);

#endif
