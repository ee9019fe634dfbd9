/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_DOOR_H
#define FS_DOOR_H

/*
 * The Python door's files (fs/door/), as they lie in the program.
 */

#include <stdbool.h>
#include <stddef.h>

struct door_file {
	const char *name;
	const char *text;
	const char *end; /* behind its last byte */
};

const struct door_file *door_stub(void); /* /<package>/__init__.py */
/* Is it bytecode of that, for its __pycache__? */
bool door_is_stub(const struct door_file *f);
/* File i of /.kernelfs/door/, or NULL at the end. */
const struct door_file *door_file_at(size_t i);
/* Index of a name, or -1. */
int door_file_find(const char *name);
size_t door_file_size(const struct door_file *f); /* bytes */

#endif
