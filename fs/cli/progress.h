/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

/*
 * A bar on the terminal that stderr is, redrawn in place and gone at its end.
 * Where stderr is no terminal, nothing at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

struct progress {
	bool on;
	int64_t begin_ms;
	uint64_t bytes; /* of all that is fetched */
	size_t files;
};

void progress_begin(struct progress *p, uint64_t bytes, size_t files);
void progress_show(const struct progress *p, uint64_t bytes, size_t files);
void progress_end(const struct progress *p);

/* The line, for a terminal of so many columns; appended. */
void progress_line(const struct progress *p, uint64_t bytes, size_t files,
		   int64_t now_ms, unsigned columns, struct text *out);

#endif
