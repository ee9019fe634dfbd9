/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_TORCH_H
#define RESOLVER_TORCH_H

/*
 * What an installed torch says of itself: torch/version.py and the C++ ABI
 * of its libraries (kernels-facts.md 3.2).
 */

#include "env.h"

struct err;
struct text;

#define TORCH_TEXT_MAX 64
#define TORCH_VERSION_FILE_MAX 65536u

/* The texts of version.py; "" stands for None and for what is not there. */
struct torch {
	char version[TORCH_TEXT_MAX];
	char cuda[TORCH_TEXT_MAX];
	char hip[TORCH_TEXT_MAX];
	char xpu[TORCH_TEXT_MAX];
};

/* -EINVAL with a sentence when a field cannot be read. */
int torch_parse(struct torch *out, const char *text, struct err *err);
/* The version.py in the package folder `dir`. */
int torch_read(struct torch *out, const char *dir, struct err *err);

/*
 * The backend that torch was built for, when no plugin has a say: CUDA,
 * ROCm, XPU, or CPU. -EINVAL when its version has another shape.
 */
int torch_backend(const struct torch *t, enum backend *backend,
		  struct version *version, struct err *err);

/*
 * The C++ ABI by libc10.so's symbols, or by TorchConfig.cmake where there is
 * no such library. ABI_NONE, and a line in `notes`, when neither tells.
 */
enum cxx_abi torch_abi(const char *dir, struct text *notes);

#endif
