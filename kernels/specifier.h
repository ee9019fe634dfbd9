/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_SPECIFIER_H
#define KERNELS_SPECIFIER_H

/*
 * Versions and sets of version specifiers as PEP 440 has them and the
 * packaging library of Python reads them: ">=0.0.2,<0.1", "~=1.2", "==1.*",
 * "!=1.3", "===1.0-odd". Numbers of any length are exact. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

/* Can these be told apart at all? Far above every real one. */
#define SPECIFIER_TEXT_MAX 1024

/* What an operator begins with. */
#define SPECIFIER_CHARS "<>=!~"

/* NULL, or why this is no set of specifiers; static text that goes on after
 * "the revision". Empty parts (">=1,,<2") are allowed, nothing at all is
 * not. */
const char *specifier_fault(const char *set);

bool specifier_is_version(const char *version);
/* < 0, 0, > 0; both are versions. */
int specifier_compare(const char *a, const char *b);

/*
 * The highest of n versions that fits: its index, or -1. NULL and what is no
 * version is passed over. A pre-release counts only when the set names one
 * itself or when nothing else fits. Of equal ones (1.0, 1.0.0) the lower in
 * byte order. -1 too for what is no set.
 */
long specifier_best(const char *set, const char *const *versions, size_t n);

#endif
