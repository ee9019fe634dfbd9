/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_OPTIONS_IN_H
#define FS_OPTIONS_IN_H

/*
 * Inside the options: the table, and one way in for every value. A value
 * belongs to a layer (command line, environment, a file); what a layer above
 * has given is checked and not taken.
 */

#include "options.h"

enum option_kind {
	OPTION_SOURCE, /* a list */
	OPTION_MIRROR, /* a list */
	OPTION_TIER,   /* a list of paths */
	OPTION_PATH,
	OPTION_TEXT,
	OPTION_ENV, /* a path when it looks like one */
	OPTION_LOG, /* likewise */
	OPTION_LEVEL,
	OPTION_CHOICE, /* one of the words of `unit` */
	OPTION_TRUST,  /* a list */
	OPTION_IMPORT, /* a list */
	OPTION_DURATION,
	OPTION_SIZE,
	OPTION_COUNT,
	OPTION_FLAG,
};

#define OPTION_VALUE_MAX 4095u
#define OPTION_ITEMS_MAX 1024u
#define OPTION_NAME_MAX 64u

struct option {
	const char *name;
	enum option_kind kind;
	size_t at;	      /* of the member in struct options */
	const char *fallback; /* NULL: none, or worked out */
	uint64_t low;
	uint64_t high;
	const char *unit;
	const char *sentence;
};

/* Row i, or NULL at the end. Bit i of options.given is its. */
const struct option *options_row_at(size_t i);
/* By name, '-' and '_' alike; NULL. */
const struct option *options_row_find(const char *name, size_t n);
bool options_is_list(const struct option *row);
bool options_is_number(const struct option *row);
/* A mirror in a list of sources: its URL, or NULL. */
const char *options_mirror_part(const struct option *row, const char *value);

/* -EINVAL with a sentence; *number for durations (ms), sizes, counts and
 * flags. */
int options_check(const struct option *row, const char *value, uint64_t *number,
		  struct err *err);
/* Is this value of it a path? */
bool options_is_path(const struct option *row, const char *value);

/*
 * Check a value and take it, unless `above` has the option's bit (for a
 * mirror: or that of the sources, whose it would not be). `where` stands in
 * front of the sentence: "--cache", "/etc/kernelfs.conf:3: cache". An empty
 * list value forgets what this layer gathered before it. A source may be
 * "mirror=URL", which is how a file spells whose mirror it is.
 */
int options_put(struct options *o, const struct option *row, const char *value,
		unsigned above, const char *where, struct err *err);
/* Relative to the current folder, "~/" to HOME: absolute from now on. */
int options_absolute(char **path, struct err *err);

/* One step of a comma list: its text without escapes and quotes; false at
 * the end. `part` holds OPTION_VALUE_MAX + 1; -E2BIG in *failed if longer. */
bool options_next_part(const char **at, char *part, int *failed);

#endif
