/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TOML_H
#define BASE_TOML_H

/*
 * TOML 1.0, whole, as a tree that is immutable once it was read: tables keep
 * the order of the document. A `struct toml` is a borrowed pointer into the
 * document of its root.
 *
 * Bounded: bytes, values, and how deep arrays, inline tables and dotted keys
 * may go. Integers are of 64 bits, as TOML demands; years begin with 1; a
 * byte order mark is stepped over. What is refused is named as "path:line:
 * sentence".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct toml;

#define TOML_BYTES_MAX (4u << 20)
/* Values of a document: each costs about 150 bytes. */
#define TOML_VALUES_MAX 100000u
#define TOML_DEPTH 64u

enum toml_type {
	TOML_TABLE,
	TOML_ARRAY,
	TOML_STRING,
	TOML_INTEGER,
	TOML_FLOAT,
	TOML_BOOLEAN,
	TOML_TIME,
};

/* A date, a time, or both; an offset only with both. */
struct toml_time {
	bool has_date, has_time, has_offset;
	unsigned year, month, day;
	unsigned hour, minute, second;
	unsigned nanosecond; /* what is finer is cut */
	int offset_minutes;  /* east of Greenwich */
};

/* `path` is for sentences only. The caller frees the root: a table. */
int toml_parse(struct toml **out, const char *path, const char *s, size_t n,
	       struct err *err);
void toml_free(struct toml *root);  /* NULL allowed */
void auto_toml(struct toml **root); /* for AUTO() */

/* NULL is of no type. */
bool toml_is(const struct toml *v, enum toml_type type);
unsigned toml_line(const struct toml *v); /* where its key or it stands */

/* Member of a table, or NULL, also when t is NULL or no table. */
const struct toml *toml_get(const struct toml *t, const char *name);
/* Members of a table, items of an array: first, then next. */
const struct toml *toml_first(const struct toml *v);
const struct toml *toml_next(const struct toml *item);
size_t toml_count(const struct toml *v);

/*
 * A member's name, and a string's bytes. Either may hold a NUL (TOML lets it
 * be escaped): who asks with n NULL gets NULL for such a one, so that nothing
 * is cut by accident. NULL too for what is no member, or no string.
 */
const char *toml_name(const struct toml *member, size_t *n);
const char *toml_string(const struct toml *v, size_t *n);

/* false, and nothing put out, when v is NULL or of another type. */
bool toml_integer(const struct toml *v, int64_t *out);
bool toml_float(const struct toml *v, double *out);
bool toml_boolean(const struct toml *v, bool *out);
bool toml_time(const struct toml *v, struct toml_time *out);

#endif
