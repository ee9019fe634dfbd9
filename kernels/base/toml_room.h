/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TOML_ROOM_H
#define BASE_TOML_ROOM_H

/* What the files of the TOML reader share; nobody else includes it. */

#include "map.h"
#include "text.h"
#include "toml.h"

/* How a table or an array came to be decides what may be added to it. */
enum toml_how {
	TOML_IMPLICIT, /* above a [header]; may be defined once */
	TOML_HEADER,   /* by its own [header] */
	TOML_DOTTED,   /* by a dotted key, for its section only */
	TOML_INLINE,   /* { } or [ ]: whole as it stands */
	TOML_LIST,     /* [[header]]: grows by such headers */
};

struct toml {
	struct toml *parent, *next, *first, *last;
	struct toml *made;    /* the value that was made before this one */
	struct map_link link; /* of a member: by table and name */
	char *name;	      /* owned; NULL for an item */
	size_t name_len;
	enum toml_type type;
	enum toml_how how;
	unsigned line;
	unsigned section; /* of TOML_DOTTED; 0 within an inline table */
	union {
		struct {
			char *s; /* owned */
			size_t n;
		} text;
		int64_t integer;
		double real;
		bool truth;
		struct toml_time time;
	} is;
};

struct toml_document {
	struct toml root; /* first, so that it leads to the document */
	struct map members;
	struct toml *made;
	size_t count;
};

struct toml_reader {
	const char *path;
	struct cursor at;
	unsigned line;
	unsigned section; /* counts the headers, from 1 */
	struct toml_document *doc;
	struct err *err;
};

struct toml_key {
	struct {
		char *s; /* owned */
		size_t n;
	} parts[TOML_DEPTH];
	size_t count;
};

/* ---- toml.c ---- */

struct toml *toml_member(const struct toml_document *d, const struct toml *t,
			 const char *name, size_t n);
/* A new value at the end of a table (takes *name) or of an array (NULL). */
int toml_add(struct toml_reader *r, struct toml *parent, char **name, size_t n,
	     struct toml **out);

/* ---- toml_read.c ---- */

/* The whole document into r->doc. */
int toml_read(struct toml_reader *r);
/* -EINVAL with the file and the line in front. */
int toml_refuse(const struct toml_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool toml_stands(const struct toml_reader *r, const char *word);
/* Blanks, a comment, and the end of the line or of the file. */
int toml_end_of_line(struct toml_reader *r);
void toml_skip_blanks(struct toml_reader *r);

/* ---- toml_key.c ---- */

int toml_key_read(struct toml_reader *r, struct toml_key *key);
void toml_key_done(struct toml_key *key);
/* A new member of `t` by a key that may be dotted. */
int toml_key_add(struct toml_reader *r, struct toml *t, struct toml_key *key,
		 unsigned section, struct toml **out);

/* ---- toml_value.c, toml_string.c, toml_scalar.c ---- */

int toml_value_read(struct toml_reader *r, struct toml *v);
/* A string in quotes; over several lines only where `lines` allows it. */
int toml_string_read(struct toml_reader *r, bool lines, char **s, size_t *n);
/* A number, a date, true or false. */
int toml_scalar_read(struct toml_reader *r, struct toml *v);

#endif
