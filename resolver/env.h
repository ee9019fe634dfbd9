/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_ENV_H
#define RESOLVER_ENV_H

/*
 * An environment as a value: what a build must fit. Text <-> value <-> JSON.
 *
 * Spec (DESIGN chapter 6): torch213-cxx11-cu130-x86_64-linux+sm90+py311, a
 * variant name without the wish for a kernel, then extras. Canonical order of
 * the extras, as env_print writes them: +gpus, +anygpu, +sm…/+gfx… (sorted,
 * unique), +ffiXY, +pyXYZ[t], +glibcX.Y, +macosX.Y. Any order is read. What is
 * not said is unknown. Digits that would be read as another version are
 * written with a dot; env.c has the grammar.
 */

#include <stdbool.h>
#include <stddef.h>

#include "version.h"

struct err;
struct text;

enum backend {
	BACKEND_CPU,
	BACKEND_CUDA,
	BACKEND_ROCM,
	BACKEND_XPU,
	BACKEND_CANN,
	BACKEND_METAL,
	BACKEND_NEURON,
	BACKEND_TPU,
};

enum cxx_abi {
	ABI_NONE, /* not known, or no such thing here */
	ABI_CXX98,
	ABI_CXX11,
};

#define ENV_WORD_MAX 32
#define ENV_GPUS_MAX 64
#define ENV_SPEC_MAX 1024

struct env_gpu {
	char name[64]; /* "" when only the arch is known */
	char arch[24]; /* "sm90", "gfx942" */
};

struct env {
	struct version torch; /* known false: no torch */
	char torch_text[64];  /* as torch says it, "" when unknown */
	enum cxx_abi abi;
	enum backend backend;
	struct version backend_version; /* CUDA, ROCm, XPU, CANN */
	char cpu[ENV_WORD_MAX];		/* "x86_64" */
	char os[ENV_WORD_MAX];		/* "linux" */
	struct version ffi;
	struct version python;
	bool free_threaded;
	struct version glibc;
	struct version macos;
	bool host_gpus; /* +gpus: those of the mount's machine */
	bool any_gpu;	/* +anygpu: do not look at GPU architectures */
	struct env_gpu gpus[ENV_GPUS_MAX];
	size_t gpu_count;
};

/* -EINVAL with a sentence that names the part that is wrong. */
int env_parse(struct env *out, const char *spec, struct err *err);
/* Canonical spec; env_parse(env_print(e)) says the same. */
void env_print(const struct env *e, char out[ENV_SPEC_MAX]);
/* "cu130", "rocm72", "xpu20260", "cann83", "cpu", "metal", … */
void env_backend_print(const struct env *e, char out[ENV_WORD_MAX]);
/* The same from its parts, for an environment and for a build. */
void env_backend_text(enum backend b, const struct version *v,
		      char out[ENV_WORD_MAX]);
/* What stands before the digits: "cu", "rocm"; "cpu" has none behind it. */
const char *env_backend_prefix(enum backend b);
bool env_backend_has_version(enum backend b);
#define ENV_BACKENDS (BACKEND_TPU + 1)
/* "cuda", "rocm", …; "cpu". */
const char *env_backend_name(enum backend b);
/* backend by its name ("cuda"), -EINVAL. */
int env_backend_parse(enum backend *out, const char *name);
/*
 * get_kernel(backend=): "cpu" or the name of the detected backend. -EINVAL
 * with the reference's sentence (kernels-facts.md 2.1).
 */
int env_select_backend(struct env *e, const char *name, struct err *err);

/* What a spec can say: letters, digits, "." and "_"; "sm90", "gfx942". */
bool env_word_is_valid(const char *s);
bool env_gpu_arch_is_valid(const char *arch);

/* The JSON of `kernelfs env --json` (DESIGN chapter 6), and back. */
void env_json(const struct env *e, struct text *out);
int env_from_json(struct env *out, const char *s, size_t n, struct err *err);

#endif
