/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_CTL_H
#define FS_CTL_H

/*
 * The mount's reports in /.kernelfs/: text made anew each time it is read.
 */

#include <stddef.h>

struct text;
struct view;

/* Name of report i, or NULL at the end. */
const char *ctl_name(size_t i);
/* Index of a name, or -1. */
int ctl_find(const char *name);
/* The report; appended. */
void ctl_report(struct view *v, size_t i, struct text *out);

/* Requests of the kernel, by operation, for `metrics` and `status`. */
enum ctl_op {
	CTL_LOOKUP,
	CTL_GETATTR,
	CTL_READLINK,
	CTL_OPEN,
	CTL_READ,
	CTL_OPENDIR,
	CTL_READDIR,
	CTL_FLUSH,
	CTL_XATTR,
	CTL_IOCTL,
	CTL_OPS,
};
void ctl_count(enum ctl_op op);
/* How many requests wait now, and how many were interrupted, expired. */
void ctl_parked(int change);

#endif
