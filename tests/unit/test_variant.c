/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/variant.h"

#include "base/err.h"
#include "random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PRINT_MAX (VARIANT_NAME_MAX + 64)
#define ROUNDS 200000
#define ANYWHERE "-x86_64-linux"

static void parse(struct variant *v, const char *name)
{
	struct err err = ERR_INIT;

	if (variant_parse(v, name, &err) < 0)
		fail_msg("%s", err_text(&err));
}

static void cuts_the_digits_of_backends_before_the_last(void **state)
{
	static const struct {
		const char *text;
		enum backend backend;
		uint32_t major, minor;
	} goods[] = {
		{ "cu118", BACKEND_CUDA, 11, 8 },
		{ "cu126", BACKEND_CUDA, 12, 6 },
		{ "cu130", BACKEND_CUDA, 13, 0 },
		{ "cu132", BACKEND_CUDA, 13, 2 },
		{ "cu1210", BACKEND_CUDA, 121, 0 },
		{ "cu90", BACKEND_CUDA, 9, 0 },
		{ "cu12", BACKEND_CUDA, 1, 2 },
		{ "rocm63", BACKEND_ROCM, 6, 3 },
		{ "rocm72", BACKEND_ROCM, 7, 2 },
		{ "rocm710", BACKEND_ROCM, 71, 0 },
		{ "xpu20253", BACKEND_XPU, 2025, 3 },
		{ "xpu20260", BACKEND_XPU, 2026, 0 },
		{ "xpu2025", BACKEND_XPU, 202, 5 },
		{ "cann83", BACKEND_CANN, 8, 3 },
		{ "cann810", BACKEND_CANN, 81, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		char name[64], backend[ENV_WORD_MAX];
		struct variant v;

		(void)snprintf(name, sizeof(name), "torch28-%s" ANYWHERE,
			       goods[i].text);
		parse(&v, name);
		assert_int_equal(v.backend, goods[i].backend);
		assert_true(v.backend_version.known);
		assert_int_equal(v.backend_version.major, goods[i].major);
		assert_int_equal(v.backend_version.minor, goods[i].minor);
		variant_backend_print(&v, backend);
		assert_string_equal(backend, goods[i].text);
	}
}

static void cuts_the_digits_of_frameworks_behind_the_first(void **state)
{
	static const struct {
		const char *name;
		enum variant_kind kind;
		uint32_t major, minor;
	} goods[] = {
		{ "torch25-cpu" ANYWHERE, VARIANT_TORCH, 2, 5 },
		{ "torch210-cpu" ANYWHERE, VARIANT_TORCH, 2, 10 },
		{ "torch310-cpu" ANYWHERE, VARIANT_TORCH, 3, 10 },
		{ "torch-stable-abi29-cpu" ANYWHERE, VARIANT_STABLE, 2, 9 },
		{ "torch-stable-abi210-cpu" ANYWHERE, VARIANT_STABLE, 2, 10 },
		{ "tvm-ffi01-cpu" ANYWHERE, VARIANT_FFI, 0, 1 },
		{ "tvm-ffi010-cpu" ANYWHERE, VARIANT_FFI, 0, 10 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		struct variant v;

		parse(&v, goods[i].name);
		assert_int_equal(v.kind, goods[i].kind);
		assert_true(variant_is_arch(&v));
		assert_int_equal(v.framework.major, goods[i].major);
		assert_int_equal(v.framework.minor, goods[i].minor);
		assert_int_equal(v.abi, ABI_NONE);
		assert_string_equal(v.cpu, "x86_64");
		assert_string_equal(v.os, "linux");
	}
}

static void reads_the_tag_of_the_abi(void **state)
{
	struct variant v;

	(void)state;
	parse(&v, "torch210-cxx11-cu128" ANYWHERE);
	assert_int_equal(v.abi, ABI_CXX11);
	parse(&v, "torch212-cxx98-metal-aarch64-darwin");
	assert_int_equal(v.abi, ABI_CXX98);
	assert_int_equal(v.backend, BACKEND_METAL);
	assert_string_equal(v.cpu, "aarch64");
	assert_string_equal(v.os, "darwin");
}

static void reads_everything_behind_torch_as_noarch(void **state)
{
	static const struct {
		const char *name;
		const char *noarch;
	} goods[] = {
		{ "torch", "" },
		{ "torch-", "" },
		{ "torch--", "-" },
		{ "torch-cuda", "cuda" },
		{ "torch-universal", "universal" },
		{ "torch-cu128" ANYWHERE, "cu128" ANYWHERE },
		{ "torch-stable-ab", "stable-ab" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		struct variant v;

		parse(&v, goods[i].name);
		assert_int_equal(v.kind, VARIANT_NOARCH);
		assert_false(variant_is_arch(&v));
		assert_string_equal(v.noarch, goods[i].noarch);
		assert_int_equal(variant_is_universal(&v), i == 4);
	}
}

static void prints_as_the_reference_does(void **state)
{
	static const struct {
		const char *name;
		const char *printed; /* NULL: the name */
	} goods[] = {
		{ "torch210-cxx11-cu128" ANYWHERE, NULL },
		{ "torch-stable-abi210-rocm710" ANYWHERE, NULL },
		{ "tvm-ffi01-cann83-aarch64-linux", NULL },
		{ "torch28-tpu" ANYWHERE, NULL },
		{ "torch28-neuron" ANYWHERE, NULL },
		{ "torch28-cpu--", NULL },
		{ "torch-", NULL },
		{ "torch-cu128" ANYWHERE, NULL },
		{ "torch208-cpu" ANYWHERE, "torch28-cpu" ANYWHERE },
		{ "torch28-cu0128" ANYWHERE, "torch28-cu128" ANYWHERE },
		{ "torch", "torch-" },
		{ "torch24294967295-cu42949672950" ANYWHERE, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		char printed[PRINT_MAX];
		struct variant v;

		parse(&v, goods[i].name);
		variant_print(&v, printed);
		assert_string_equal(printed, goods[i].printed ? goods[i].printed
							      : goods[i].name);
	}
}

static void refuses_what_is_no_build(void **state)
{
	static const struct {
		const char *name;
		const char *why;
	} bads[] = {
		{ "", "neither" },
		{ "-", "neither" },
		{ "jax09-cpu" ANYWHERE, "neither" },
		{ "Torch28-cpu" ANYWHERE, "neither" },
		{ "__pycache__", "neither" },
		{ "tvm", "neither" },
		{ "tvm-", "neither" },
		{ "tvmffi01-cpu" ANYWHERE, "neither" },
		{ "torch28", "exactly" },
		{ "torch28-cxx11", "exactly" },
		{ "torch28-cxx14-cpu" ANYWHERE, "exactly" },
		{ "torch28-cpu" ANYWHERE "-gnu", "exactly" },
		{ "torch28-cxx11-cu128-x86-64-linux", "exactly" },
		{ "torch-stable-abi210-cxx11-cpu" ANYWHERE, "exactly" },
		{ "torch-stable-abi210", "exactly" },
		{ "tvm-ffi01", "exactly" },
		{ "torch28-cpu" ANYWHERE "-", "exactly" },
		{ "torch2-cpu" ANYWHERE, "digits" },
		{ "torch2.8-cpu" ANYWHERE, "digits" },
		{ "torchx-cpu" ANYWHERE, "digits" },
		{ "torch28x-cpu" ANYWHERE, "digits" },
		{ "torch-stable-abi", "digits" },
		{ "torch-stable-abi2-cpu" ANYWHERE, "digits" },
		{ "torch-stable-abix29-cpu" ANYWHERE, "digits" },
		{ "tvm-ffi1-cpu" ANYWHERE, "digits" },
		{ "tvm-ffi-cu124" ANYWHERE, "digits" },
		{ "torch24294967296-cpu" ANYWHERE, "digits" },
		{ "torch28-cu9" ANYWHERE, "unknown backend 'cu9'" },
		{ "torch28-cuda128" ANYWHERE, "backend 'cuda128'" },
		{ "torch28-cu12a" ANYWHERE, "unknown backend" },
		{ "torch28-rocm7" ANYWHERE, "unknown backend" },
		{ "torch28-cann8" ANYWHERE, "unknown backend" },
		{ "torch28-cpu0" ANYWHERE, "unknown backend" },
		{ "torch28-" ANYWHERE, "unknown backend ''" },
		{ "torch28-CPU" ANYWHERE, "unknown backend" },
		{ "torch28-cu429496729600" ANYWHERE, "unknown backend" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bads); i++) {
		struct err err = ERR_INIT;
		struct variant v = { .noarch = "untouched" };

		if (variant_parse(&v, bads[i].name, &err) != -EINVAL)
			fail_msg("'%s' is read", bads[i].name);
		assert_int_equal(err.code, EINVAL);
		assert_string_equal(v.noarch, "untouched");
		if (!strstr(err_text(&err), bads[i].why) ||
		    !strstr(err_text(&err), bads[i].name))
			fail_msg("'%s': %s", bads[i].name, err_text(&err));
	}
}

static void reads_names_as_long_as_a_folder_may_have(void **state)
{
	char name[VARIANT_NAME_MAX + 2], printed[PRINT_MAX];
	struct variant v;

	(void)state;
	memset(name, 'x', sizeof(name));
	memcpy(name, "torch-", 6);
	name[VARIANT_NAME_MAX] = '\0';
	parse(&v, name);
	variant_print(&v, printed);
	assert_string_equal(printed, name);
	memcpy(name, "torch28-cpu-", 12);
	name[VARIANT_NAME_MAX - 6] = '-';
	parse(&v, name);
	variant_print(&v, printed);
	assert_string_equal(printed, name);
	name[VARIANT_NAME_MAX] = 'x';
	name[VARIANT_NAME_MAX + 1] = '\0';
	assert_int_equal(variant_parse(&v, name, NULL), -EINVAL);
}

static void prints_a_fixed_point_of_any_text(void **state)
{
	static const char *const pieces[] = {
		"torch",
		"torch-stable-abi",
		"tvm-ffi",
		"-",
		"-",
		"-",
		"28",
		"210",
		"0",
		"cxx11",
		"cxx98",
		"cu128",
		"cu",
		"rocm72",
		"cpu",
		"xpu20253",
		"cann83",
		"metal",
		"x86_64",
		"linux",
		"universal",
		"00000000000000000000",
		"99999999999999999999",
		"torch28-cpu-",
		"torch210-cxx11-cu",
		"tvm-ffi01-",
		"-x86_64-linux",
		"-aarch64-darwin",
	};
	struct random r = { 0x6b65726e656c6673 };
	size_t read = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		char name[VARIANT_NAME_MAX + 32];
		char once[PRINT_MAX], twice[PRINT_MAX];
		struct variant v;

		random_text(&r, name, sizeof(name), pieces, COUNT(pieces));
		if (variant_parse(&v, name, NULL) < 0)
			continue;
		variant_print(&v, once);
		parse(&v, once);
		variant_print(&v, twice);
		assert_string_equal(once, twice);
		read += variant_is_arch(&v);
	}
	assert_true(read > ROUNDS / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_the_digits_of_backends_before_the_last),
		cmocka_unit_test(
			cuts_the_digits_of_frameworks_behind_the_first),
		cmocka_unit_test(reads_the_tag_of_the_abi),
		cmocka_unit_test(reads_everything_behind_torch_as_noarch),
		cmocka_unit_test(prints_as_the_reference_does),
		cmocka_unit_test(refuses_what_is_no_build),
		cmocka_unit_test(reads_names_as_long_as_a_folder_may_have),
		cmocka_unit_test(prints_a_fixed_point_of_any_text),
	};

	return cmocka_run_group_tests_name("variant", tests, NULL, NULL);
}
