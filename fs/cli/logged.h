/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOGGED_H
#define CLI_LOGGED_H

/*
 * What a mount has said of a name that it refuses: the errno of a path says
 * little, and the sentence stands in .kernelfs/log.
 */

struct text;

/*
 * The newest line about the owner or owner/repo@rev that `rest`, a path in the
 * mount, begins with, and its line end, without time, level and room. -ENOENT:
 * there is none. Touches the mount: for a child of guard.h.
 */
int logged_find(const char *mount, const char *rest, struct text *out);

#endif
