/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_TOML_H
#define FS_TOML_H

/*
 * A subset of TOML 1.0, enough for a config file: lines `name = value` with
 * strings ("basic" and 'literal'), whole numbers, true and false, arrays of
 * strings over one or more lines, and # comments. Everything else of TOML is
 * refused with a sentence; a name that stands twice, too.
 */

#include <stddef.h>

struct err;

#define TOML_KEYS_MAX 256u
#define TOML_KEY_MAX 64u
#define TOML_ITEMS_MAX 1024u
#define TOML_STRING_MAX 4095u

enum toml_type {
	TOML_STRING,
	TOML_INTEGER,
	TOML_BOOLEAN,
	TOML_ARRAY,
};

struct toml_value {
	const char *key;
	enum toml_type type;
	unsigned line;	    /* where the key stands */
	char *const *items; /* one, or the array's; as text */
	size_t count;
};

typedef int toml_each(void *arg, const struct toml_value *v, struct err *err);

/*
 * Call `each` for every line that gives a value, in order; what it returns
 * below 0 ends the reading. -EINVAL with "path:line: sentence".
 */
int toml_read(const char *path, const char *s, size_t n, toml_each *each,
	      void *arg, struct err *err);

#endif
