/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_REPORTS_H
#define FS_REPORTS_H

/*
 * What was said to whom has opened a report. Reports are made when they are
 * read, from the beginning; who reads on, if only to find the end, must get
 * the rest of the same text and not of a newer, longer one.
 *
 * A number that is not known (opened through a daemon that is gone) is no
 * error: the report is made anew. All functions from any thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct err;
struct reports;
struct text;

int reports_new(struct reports **out, struct err *err);
void reports_free(struct reports *r); /* NULL allowed */

/* A number for an open file: never 0, never one of another daemon's. */
uint64_t reports_number(struct reports *r);
/* Remember what was said last; without memory, it is made anew. */
void reports_keep(struct reports *r, uint64_t number, const struct text *said);
/* Append it; false when there is none. */
bool reports_find(struct reports *r, uint64_t number, struct text *out);
void reports_drop(struct reports *r, uint64_t number);

#endif
