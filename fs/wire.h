/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_WIRE_H
#define FS_WIRE_H

/*
 * What libfuse puts on the wire, mended.
 *
 * libfuse 3.14 asks the kernel for parallel directory operations and never
 * says so in its answer to INIT. A kernel that was not told keeps a mutex per
 * directory: one name that waits for the source would hold all other names
 * beside it, cached or not, and who waits for that mutex cannot even be
 * killed.
 *
 * Before 3.17 it knows nothing of passthrough either: it is asked for in the
 * same answer, and named in the answers to OPEN. A newer one does both
 * itself, where its headers were there when this was compiled.
 */

#include <fuse_lowlevel.h>
#include <stdint.h>

struct backing_device;
struct err;

/* After fuse_session_mount(), before wire_agree(); the session's userdata is
 * a struct ops_context. */
int wire_mend(struct fuse_session *session, struct err *err);
/* Answer the kernel's INIT, which is its first request, so that all that was
 * agreed on is known before the loop begins. */
int wire_agree(struct fuse_session *session, struct err *err);
/* For op_init: what the library itself can be told about passthrough. */
void wire_want(struct fuse_conn_info *conn, uint32_t depth);
/* Where ids are made; good until the session is unmounted. */
struct backing_device wire_device(struct fuse_session *session);
/* Answer OPEN: the kernel reads from what it knows by this id. */
int wire_reply_open(fuse_req_t req, struct fuse_file_info *fi, int32_t id);

#endif
