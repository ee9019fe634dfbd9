/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_VARIANT_H
#define RESOLVER_VARIANT_H

/*
 * The grammar of build names: kernels-facts.md chapter 1. Pure.
 */

#include <stdbool.h>

#include "env.h"
#include "version.h"

struct err;

#define VARIANT_NAME_MAX 255

enum variant_kind {
	VARIANT_STABLE, /* torch-stable-abiXY-… */
	VARIANT_TORCH,	/* torchXY[-cxx11]-… */
	VARIANT_FFI,	/* tvm-ffiXY-… */
	VARIANT_NOARCH, /* torch-<name> */
};

struct variant {
	enum variant_kind kind;
	struct version framework; /* torch, stable ABI or tvm-ffi */
	enum cxx_abi abi;	  /* ABI_NONE: no tag, do not check */
	enum backend backend;	  /* arch kinds */
	struct version backend_version;
	char cpu[VARIANT_NAME_MAX + 1];
	char os[VARIANT_NAME_MAX + 1];
	char noarch[VARIANT_NAME_MAX + 1]; /* VARIANT_NOARCH: "cuda", … */
};

/* -EINVAL with a sentence. */
int variant_parse(struct variant *out, const char *name, struct err *err);
/* The regenerated name (1.5), which may differ from what was parsed. */
void variant_print(const struct variant *v, char out[VARIANT_NAME_MAX + 64]);
/* "cu130", "cpu": the backend of an arch variant. */
void variant_backend_print(const struct variant *v, char out[ENV_WORD_MAX]);
bool variant_is_arch(const struct variant *v);
bool variant_is_universal(const struct variant *v);

#endif
