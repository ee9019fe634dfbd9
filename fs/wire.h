/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_WIRE_H
#define FS_WIRE_H

/*
 * What libfuse puts on the wire, mended. libfuse 3.14 asks the kernel for
 * parallel directory operations and never says so in its answer to INIT. A
 * kernel that was not told keeps a mutex per directory: one name that waits
 * for the source would hold all other names beside it, cached or not, and
 * who waits for that mutex cannot even be killed.
 */

#include <fuse_lowlevel.h>

struct err;

/* After fuse_session_mount(), before the loop; the session's userdata is a
 * struct ops_context. */
int wire_mend(struct fuse_session *session, struct err *err);

#endif
