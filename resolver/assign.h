/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_ASSIGN_H
#define RESOLVER_ASSIGN_H

/*
 * Plain assignments in the text of a Python module, as generated version
 * files have them, one per line and not indented:
 *
 *	NAME [":" annotation] "=" { NAME "=" } ( None | True | False | quoted )
 */

#include <stddef.h>

enum assign {
	ASSIGN_MISSING, /* no such line */
	ASSIGN_NONE,
	ASSIGN_BOOL,
	ASSIGN_STRING,	   /* `out` has it */
	ASSIGN_UNREADABLE, /* an expression, an escape, or too long */
};

/*
 * What the last line that assigns `name` says; `out` is "" unless it is a
 * string. Strings are printable ASCII without quotes and backslashes.
 */
enum assign assign_find(const char *text, const char *name, char *out,
			size_t room);

#endif
