/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_DOOR_H
#define FS_DOOR_H

/*
 * The Python door's files (fs/door/), as they lie in the program.
 */

#include <stddef.h>

struct door_file {
	const char *text;
	size_t len;
};

const struct door_file *door_stub(void); /* /<package>/__init__.py */
const struct door_file *door_core(void); /* /.kernelfs/door/core.py */

#endif
