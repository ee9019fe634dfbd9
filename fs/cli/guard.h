/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

/*
 * Work on a path that may hang: a mount whose daemon is stuck answers no
 * lstat. It is done in a child, which is killed when its time is up; FUSE
 * requests end when their process is killed.
 */

#include <stdint.h>

struct err;
struct text;

#define GUARD_MS 10000

/* In the child: what it appends comes back to the caller, with its result. */
typedef int guard_work(void *arg, struct text *out);

/*
 * 0 or what the work returned (-errno), with what it wrote in `out`;
 * -ETIMEDOUT. No threads may have been started, nothing is to be changed.
 */
int guard_run(guard_work *work, void *arg, struct text *out,
	      int64_t timeout_ms);

/* A whole file, and a path without links, "." and "..". */
int guard_read_file(const char *path, struct text *out);
int guard_realpath(const char *path, struct text *out);

/* The sentence for what came of it, with `path` and the next step. */
int guard_explain(int r, const char *path, struct err *err);

#endif
