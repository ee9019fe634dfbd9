/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <string.h>

/* With the hash over the other pieces in it: make has put it there. */
#ifndef DOOR_FIRST
#define DOOR_FIRST "fs/door/first.py"
#endif

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
CARRY("first", DOOR_FIRST);
CARRY("core", "fs/door/core.py");
CARRY("environment", "fs/door/environment.py");
CARRY("twins", "fs/door/twins.py");
CARRY("depends", "fs/door/depends.py");
CARRY("keep", "fs/door/keep.py");
CARRY("compile", "fs/door/compile.py");
/* MADE(number, tag): bytecode for one Python that was there when this was
 * built, of the stub and of what every process needs. */
#define MADE(number, tag) \
	CARRY("made" #number, DOOR_MADE tag ".made"); \
	CARRY("code" #number, DOOR_MADE "__init__." tag ".pyc");
#include DOOR_MADE_LIST
#undef MADE

extern const char door_stub_begin[], door_stub_end[];
extern const char door_core_begin[], door_core_end[];
extern const char door_first_begin[], door_first_end[];
extern const char door_environment_begin[], door_environment_end[];
extern const char door_twins_begin[], door_twins_end[];
extern const char door_depends_begin[], door_depends_end[];
extern const char door_keep_begin[], door_keep_end[];
extern const char door_compile_begin[], door_compile_end[];

#define MADE(number, tag) \
	extern const char door_made##number##_begin[], \
		door_made##number##_end[], door_code##number##_begin[], \
		door_code##number##_end[];
#include DOOR_MADE_LIST
#undef MADE

static const struct door_file stub = { "__init__.py", door_stub_begin,
				       door_stub_end };
#define PIECE(name) \
	{ \
#name ".py", door_##name##_begin, door_##name##_end \
	}

static const struct door_file files[] = {
	PIECE(first),	PIECE(core), PIECE(environment), PIECE(twins),
	PIECE(depends), PIECE(keep), PIECE(compile),
/* Neither -O nor -OO changes what the stub does. */
#define MADE(number, tag) \
	{ tag ".made", door_made##number##_begin, door_made##number##_end }, \
		{ "__init__." tag ".pyc", door_code##number##_begin, \
		  door_code##number##_end }, \
		{ "__init__." tag ".opt-1.pyc", door_code##number##_begin, \
		  door_code##number##_end }, \
		{ "__init__." tag ".opt-2.pyc", door_code##number##_begin, \
		  door_code##number##_end },
#include DOOR_MADE_LIST
#undef MADE
};

const struct door_file *door_stub(void)
{
	return &stub;
}

bool door_is_stub(const struct door_file *f)
{
	return !strncmp(f->name, "__init__.", strlen("__init__."));
}

const struct door_file *door_file_at(size_t i)
{
	return i < sizeof(files) / sizeof(*files) ? &files[i] : NULL;
}

int door_file_find(const char *name)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (!strcmp(files[i].name, name))
			return (int)i;
	return -1;
}

size_t door_file_size(const struct door_file *f)
{
	return (size_t)(f->end - f->text);
}
