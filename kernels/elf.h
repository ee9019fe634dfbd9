/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_ELF_H
#define KERNELS_ELF_H

/*
 * Facts about a shared library, read with bounds over libelf. The only room
 * that knows libelf. Input is hostile: every count and offset is limited.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define ELF_SYMBOLS_MAX 4000000u

/*
 * Does a name in the dynamic symbol table contain `needle`? 1, 0, or -errno
 * (-EINVAL with a sentence: not an ELF file, damaged).
 */
int elf_dynamic_symbol_contains(int fd, const char *needle, struct err *err);

/* A part of a file. */
struct elf_range {
	uint64_t at;
	uint64_t size;
};

#define ELF_RANGES_MAX 64u

/*
 * What the loader touches before any code of the library runs: the tables
 * that its dynamic segment names, and what is writable in it. At most
 * ELF_RANGES_MAX of them, each inside the file; how many, 0 for what is no
 * library of this machine's own kind, or -errno. Reads little of it.
 */
int elf_loader_ranges(int fd, struct elf_range out[ELF_RANGES_MAX]);

#endif
