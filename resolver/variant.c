/* SPDX-License-Identifier: Apache-2.0 */
#include "variant.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * The name of a build, cut at its "-"; the first rule that fits decides, and
 * what it then refuses is refused:
 *
 *	torch-stable-abiXY-ARCH		begins with "torch-stable-abi"
 *	torch[-TEXT]			its first piece is "torch": no arch
 *	torchXY[-cxx11|-cxx98]-ARCH	its first piece begins with "torch"
 *	tvm-ffiXY-ARCH
 *
 *	ARCH = BACKEND-CPU-OS, exactly three pieces
 *	BACKEND = cpu | metal | neuron | tpu | (cu|rocm|xpu|cann)XY
 *
 * Digits without a dot: of a framework the first one is the major version,
 * of a backend the last one is the minor version. So rocm710 reads as 71.0;
 * it is printed as rocm710 again, and that is what is compared. Numbers
 * beyond 32 bits are refused.
 */

#define DIGITS_MAX VARIANT_NAME_MAX
#define PRINT_MAX (VARIANT_NAME_MAX + 64)

/* The next piece of the name; false when there is none left. */
static bool piece(struct cursor *rest, struct cursor *out)
{
	if (!rest->p)
		return false;
	*out = cursor_until(rest, '-');
	if (!cursor_skip_char(rest, '-'))
		rest->p = NULL;
	return true;
}

static bool begins(struct cursor p, const char *prefix)
{
	return cursor_skip(&p, prefix);
}

/* Digits and nothing else, of which `major` belong to the first number. */
static bool split(struct cursor digits, size_t major, struct version *out)
{
	struct cursor first = { digits.p, digits.p + major };
	struct cursor second = { digits.p + major, digits.end };
	struct version v = { .known = true };

	if (!cursor_number(&first, DIGITS_MAX, &v.major) ||
	    !cursor_done(&first) ||
	    !cursor_number(&second, DIGITS_MAX, &v.minor) ||
	    !cursor_done(&second))
		return false;
	*out = v;
	return true;
}

static bool parse_framework(struct cursor p, const char *prefix,
			    struct version *out)
{
	return cursor_skip(&p, prefix) && cursor_left(&p) >= 2 &&
	       split(p, 1, out);
}

static bool parse_backend(struct variant *v, struct cursor p)
{
	for (unsigned i = 0; i < ENV_BACKENDS; i++) {
		enum backend b = (enum backend)i;
		struct cursor at = p;

		if (!cursor_skip(&at, env_backend_prefix(b)))
			continue;
		if (env_backend_has_version(b)
			    ? cursor_left(&at) < 2 ||
				      !split(at, cursor_left(&at) - 1,
					     &v->backend_version)
			    : !cursor_done(&at))
			continue;
		v->backend = b;
		return true;
	}
	return false;
}

/* A piece fits: names are no longer than the room that it has. */
static void copy(char out[VARIANT_NAME_MAX + 1], struct cursor p)
{
	size_t n = cursor_left(&p);

	memcpy(out, p.p, n);
	out[n] = '\0';
}

static int parse_arch(struct variant *v, struct cursor rest, const char *name,
		      struct err *err)
{
	struct cursor backend, cpu, os, more;

	if (!piece(&rest, &backend) || !piece(&rest, &cpu) ||
	    !piece(&rest, &os) || piece(&rest, &more))
		return err_set(err, EINVAL,
			       "build '%s': needs exactly a "
			       "backend, a CPU and an OS behind its framework",
			       name);
	if (!parse_backend(v, backend))
		return err_set(err, EINVAL,
			       "build '%s': unknown backend "
			       "'%.*s'",
			       name, (int)cursor_left(&backend), backend.p);
	copy(v->cpu, cpu);
	copy(v->os, os);
	return 0;
}

static int bad_framework(const char *name, const char *what, struct err *err)
{
	return err_set(err, EINVAL,
		       "build '%s': %s needs its major and minor "
		       "version as digits",
		       name, what);
}

static int parse_stable(struct variant *v, struct cursor rest, const char *name,
			struct err *err)
{
	struct cursor abi = { NULL, NULL };

	v->kind = VARIANT_STABLE;
	for (int i = 0; i < 3; i++)
		(void)piece(&rest, &abi);
	if (!parse_framework(abi, "abi", &v->framework))
		return bad_framework(name, "torch-stable-abi", err);
	return parse_arch(v, rest, name, err);
}

static int parse_torch(struct variant *v, struct cursor first,
		       struct cursor rest, const char *name, struct err *err)
{
	struct cursor behind = rest, tag;

	v->kind = VARIANT_TORCH;
	if (piece(&behind, &tag)) {
		if (cursor_equals(&tag, "cxx11"))
			v->abi = ABI_CXX11;
		else if (cursor_equals(&tag, "cxx98"))
			v->abi = ABI_CXX98;
		if (v->abi != ABI_NONE)
			rest = behind;
	}
	if (!parse_framework(first, "torch", &v->framework))
		return bad_framework(name, "torch", err);
	return parse_arch(v, rest, name, err);
}

static int parse_ffi(struct variant *v, struct cursor rest, const char *name,
		     struct err *err)
{
	struct cursor ffi;

	v->kind = VARIANT_FFI;
	(void)piece(&rest, &ffi);
	if (!parse_framework(ffi, "ffi", &v->framework))
		return bad_framework(name, "tvm-ffi", err);
	return parse_arch(v, rest, name, err);
}

static int parse(struct variant *v, const char *name, struct err *err)
{
	struct cursor rest = cursor_of(name), first;

	(void)piece(&rest, &first);
	if (text_starts(name, "torch-stable-abi"))
		return parse_stable(v, cursor_of(name), name, err);
	if (cursor_equals(&first, "torch")) {
		v->kind = VARIANT_NOARCH;
		if (rest.p)
			copy(v->noarch, rest);
		return 0;
	}
	if (begins(first, "torch"))
		return parse_torch(v, first, rest, name, err);
	if (cursor_equals(&first, "tvm") && rest.p && begins(rest, "ffi"))
		return parse_ffi(v, rest, name, err);
	return err_set(err, EINVAL,
		       "build '%s': neither for torch nor for "
		       "tvm-ffi",
		       name);
}

int variant_parse(struct variant *out, const char *name, struct err *err)
{
	struct variant v = { 0 };
	int r;

	if (strlen(name) > VARIANT_NAME_MAX)
		return err_set(err, EINVAL,
			       "build '%.64s…': its name has "
			       "more than %d bytes",
			       name, VARIANT_NAME_MAX);
	r = parse(&v, name, err);
	if (r == 0)
		*out = v;
	return r;
}

void variant_backend_print(const struct variant *v, char out[ENV_WORD_MAX])
{
	env_backend_text(v->backend, &v->backend_version, out);
}

static void append(char out[PRINT_MAX], const char *word)
{
	size_t n = strlen(out);

	out[n] = '-';
	(void)text_copy(out + n + 1, PRINT_MAX - n - 1, word);
}

void variant_print(const struct variant *v, char out[VARIANT_NAME_MAX + 64])
{
	static const char *const frameworks[] = {
		[VARIANT_STABLE] = "torch-stable-abi",
		[VARIANT_TORCH] = "torch",
		[VARIANT_FFI] = "tvm-ffi",
	};
	static const char *const abis[] = {
		[ABI_NONE] = "",
		[ABI_CXX98] = "-cxx98",
		[ABI_CXX11] = "-cxx11",
	};
	char backend[ENV_WORD_MAX];

	if (v->kind == VARIANT_NOARCH) {
		(void)snprintf(out, PRINT_MAX, "torch-%s", v->noarch);
		return;
	}
	variant_backend_print(v, backend);
	(void)snprintf(out, PRINT_MAX, "%s%u%u%s-%s", frameworks[v->kind],
		       v->framework.major, v->framework.minor, abis[v->abi],
		       backend);
	append(out, v->cpu);
	append(out, v->os);
}

bool variant_is_arch(const struct variant *v)
{
	return v->kind != VARIANT_NOARCH;
}

bool variant_is_universal(const struct variant *v)
{
	return v->kind == VARIANT_NOARCH && !strcmp(v->noarch, "universal");
}
