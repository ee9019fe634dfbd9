/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_FACT_H
#define KERNELS_FACT_H

/*
 * How refs and names lie in the notes of the cache: a first line that names
 * kind and format, a line each, a last line with their number, by which a
 * note that was cut is known. Read back with the bounds of what comes from a
 * source: a damaged note is -EBADMSG, and made anew by the caller. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "source.h"

#define FACT_BYTES_MAX (16u << 20)

/* Begin in an empty text; add lines, each with '\n'; end. */
void fact_begin(struct text *t, const char *kind);
void fact_end(struct text *t);
/* The lines in between; -EBADMSG. They point into `t`. */
int fact_open(const struct text *t, const char *kind, struct cursor *lines);
bool fact_next(struct cursor *lines, struct cursor *line);

void fact_print_refs(struct text *t, const struct source_refs *refs);
int fact_parse_refs(const struct text *t, struct source_refs *out);
void fact_print_names(struct text *t, const struct source_names *names);
int fact_parse_names(const struct text *t, struct source_names *out);

#endif
