/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_ELF_H
#define KERNELS_ELF_H

/*
 * Facts about a shared library, read with bounds over libelf. The only room
 * that knows libelf. Input is hostile: every count and offset is limited.
 */

#include <stdbool.h>

struct err;

#define ELF_SYMBOLS_MAX 4000000u

/*
 * Does a name in the dynamic symbol table contain `needle`? 1, 0, or -errno
 * (-EINVAL with a sentence: not an ELF file, damaged).
 */
int elf_dynamic_symbol_contains(int fd, const char *needle, struct err *err);

#endif
