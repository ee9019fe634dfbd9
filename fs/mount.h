/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

/*
 * The life of a mount: check the mount point, go to the background, be born
 * in order, say that it serves, serve, and end in the reverse order with
 * every waiting request answered.
 */

struct err;
struct options;

/*
 * Mount at options->words.items[last] and serve. In the background (without
 * -f) the calling process returns when the mount serves, or with the reason
 * why it does not; in the foreground, when it has ended.
 * 0; -EINVAL: misuse; other -errno: failed.
 */
int mount_run(const struct options *o, struct err *err);

#endif
