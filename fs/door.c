/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

/* The assembler carries the files in whole: nothing to generate or escape. */
#define CARRY(name, path) \
	__asm__(".section .rodata\n" \
		".global door_" name "_begin\n" \
		"door_" name "_begin:\n" \
		".incbin \"" path "\"\n" \
		".global door_" name "_end\n" \
		"door_" name "_end:\n" \
		".byte 0\n" \
		".previous\n")

CARRY("stub", "fs/door/stub.py");
CARRY("core", "fs/door/core.py");

extern const char door_stub_begin[], door_stub_end[];
extern const char door_core_begin[], door_core_end[];

const struct door_file *door_stub(void)
{
	static struct door_file f;

	f.text = door_stub_begin;
	f.len = (size_t)(door_stub_end - door_stub_begin);
	return &f;
}

const struct door_file *door_core(void)
{
	static struct door_file f;

	f.text = door_core_begin;
	f.len = (size_t)(door_core_end - door_core_begin);
	return &f;
}
