/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_TIERS_H
#define FS_TIERS_H

/*
 * Which folders lie below the cache: those of `tier`, else the caches of the
 * Hub's own client that are there. None that lies on a kernelfs mount: this
 * daemon, or another one, would wait for itself.
 */

struct err;
struct options;
struct store;

/* -errno with a sentence for one that was named and cannot be used. */
int tiers_add(struct store *store, const struct options *o, struct err *err);

#endif
