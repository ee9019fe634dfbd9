/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

/*
 * What `cache ls`, `cache gc` and `cache verify` do, once the cache is open.
 */

struct cli;
struct err;
struct world;

/* An exit code, or -errno with err set. */
int cache_ls(const struct cli *c, struct world *w, struct err *err);
int cache_gc(const struct cli *c, struct world *w, struct err *err);
int cache_verify(const struct cli *c, struct world *w, struct err *err);

#endif
