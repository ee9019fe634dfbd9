/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/env.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LINUX "-x86_64-linux"
#define BASE "torch213-cxx11-cu130" LINUX
#define JSON_MAX 65536

static struct env parsed(const char *spec)
{
	struct err err = ERR_INIT;
	struct env e;

	if (env_parse(&e, spec, &err) < 0)
		fail_msg("%s", err_text(&err));
	return e;
}

static void expect_version(const struct version *v, uint32_t major,
			   uint32_t minor)
{
	assert_true(v->known);
	assert_int_equal(v->major, major);
	assert_int_equal(v->minor, minor);
}

static void expect_print(const char *spec, const char *wanted)
{
	struct env e = parsed(spec);
	char out[ENV_SPEC_MAX];

	env_print(&e, out);
	assert_string_equal(out, wanted);
	e = parsed(out);
	env_print(&e, out);
	assert_string_equal(out, wanted);
}

static void expect_refusal(const char *spec, const char *why)
{
	struct err err = ERR_INIT;
	struct env e, before;

	memset(&e, 0x5a, sizeof(e));
	before = e;
	if (env_parse(&e, spec, &err) != -EINVAL)
		fail_msg("'%s' is not refused", spec);
	if (!strstr(err_text(&err), why))
		fail_msg("'%s' where '%s' is expected", err_text(&err), why);
	assert_memory_equal(&e, &before, sizeof(e));
	assert_int_equal(env_parse(&e, spec, NULL), -EINVAL);
}

/* ---- reading a spec ---- */

static void reads_all_that_a_spec_can_say(void **state)
{
	struct env e = parsed("torch210-cxx98-rocm72-aarch64-linux+gpus+anygpu"
			      "+gfx942+sm90a+ffi010+py313t+glibc2.36"
			      "+macos26.1");

	(void)state;
	expect_version(&e.torch, 2, 10);
	assert_string_equal(e.torch_text, "");
	assert_int_equal(e.abi, ABI_CXX98);
	assert_int_equal(e.backend, BACKEND_ROCM);
	expect_version(&e.backend_version, 7, 2);
	assert_string_equal(e.cpu, "aarch64");
	assert_string_equal(e.os, "linux");
	assert_true(e.host_gpus);
	assert_true(e.any_gpu);
	assert_int_equal(e.gpu_count, 2);
	assert_string_equal(e.gpus[0].arch, "sm90a");
	assert_string_equal(e.gpus[0].name, "");
	assert_string_equal(e.gpus[1].arch, "gfx942");
	expect_version(&e.ffi, 0, 10);
	expect_version(&e.python, 3, 13);
	assert_true(e.free_threaded);
	expect_version(&e.glibc, 2, 36);
	expect_version(&e.macos, 26, 1);
}

static void leaves_unknown_what_a_spec_does_not_say(void **state)
{
	struct env e = parsed("notorch-cpu-aarch64-darwin");

	(void)state;
	assert_false(e.torch.known);
	assert_int_equal(e.abi, ABI_NONE);
	assert_int_equal(e.backend, BACKEND_CPU);
	assert_false(e.backend_version.known);
	assert_false(e.ffi.known || e.python.known || e.glibc.known ||
		     e.macos.known);
	assert_false(e.free_threaded || e.host_gpus || e.any_gpu);
	assert_int_equal(e.gpu_count, 0);
}

/* A backend's digits are cut where a real machine's version can stand. */
static void cuts_digits_as_a_real_machine_means_them(void **state)
{
	static const struct {
		const char *text;
		uint32_t major, minor;
	} rows[] = {
		{ "cu130", 13, 0 },
		{ "cu118", 11, 8 },
		{ "cu90", 9, 0 },
		{ "cu1210", 12, 10 },
		{ "cu1310", 13, 10 },
		{ "rocm72", 7, 2 },
		{ "rocm710", 7, 10 },
		{ "xpu20253", 2025, 3 },
		{ "xpu20260", 2026, 0 },
		{ "xpu202510", 2025, 10 },
		{ "cann83", 8, 3 },
		{ "cann810", 8, 10 },
		/* what follows would not be printed again otherwise */
		{ "cu1300", 130, 0 },
		{ "rocm100", 10, 0 },
		{ "rocm701", 70, 1 },
		{ "xpu202600", 20260, 0 },
		{ "rocm100", 10, 0 },
		{ "cu1201", 120, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char spec[ENV_SPEC_MAX], out[ENV_WORD_MAX];
		struct env e;

		(void)snprintf(spec, sizeof(spec), "torch212-%s" LINUX,
			       rows[i].text);
		e = parsed(spec);
		expect_version(&e.backend_version, rows[i].major,
			       rows[i].minor);
		env_backend_print(&e, out);
		assert_string_equal(out, rows[i].text);
		expect_print(spec, spec);
	}
}

/* The text of a backend is never dotted: it is compared with a build's. */
static void spells_every_version_so_that_it_reads_back(void **state)
{
	static const uint32_t numbers[] = { 0,		1,    2,    7,	  9,
					    10,		11,   12,   13,	  71,
					    99,		100,  121,  710,  999,
					    1000,	2025, 2026, 9999, 10000,
					    4294967295u };
	static const enum backend backends[] = { BACKEND_CUDA, BACKEND_ROCM,
						 BACKEND_XPU, BACKEND_CANN };

	(void)state;
	for (size_t b = 0; b < COUNT(backends); b++) {
		for (size_t i = 0; i < COUNT(numbers) * COUNT(numbers); i++) {
			struct env e = parsed(BASE), again;
			char spec[ENV_SPEC_MAX], one[ENV_WORD_MAX],
				two[ENV_WORD_MAX];
			struct version v = { true, numbers[i / COUNT(numbers)],
					     numbers[i % COUNT(numbers)] };

			e.backend = backends[b];
			e.backend_version = v;
			e.torch = e.ffi = e.python = v;
			e.glibc = e.macos = v;
			env_print(&e, spec);
			again = parsed(spec);
			expect_version(&again.backend_version, v.major,
				       v.minor);
			expect_version(&again.torch, v.major, v.minor);
			expect_version(&again.ffi, v.major, v.minor);
			expect_version(&again.python, v.major, v.minor);
			expect_version(&again.glibc, v.major, v.minor);
			expect_version(&again.macos, v.major, v.minor);
			env_backend_print(&e, one);
			env_backend_print(&again, two);
			assert_string_equal(one, two);
			assert_null(strchr(one, '.'));
		}
	}
}

static void prints_extras_in_one_order(void **state)
{
	static const struct {
		const char *spec, *wanted;
	} rows[] = {
		{ BASE, BASE },
		{ "torch28-metal-aarch64-darwin+macos26.0",
		  "torch28-metal-aarch64-darwin+macos26.0" },
		{ "notorch-neuron" LINUX, "notorch-neuron" LINUX },
		{ "torch211-tpu" LINUX, "torch211-tpu" LINUX },
		{ "torch208-cpu" LINUX, "torch28-cpu" LINUX },
		{ BASE "+macos1.2+glibc2.36+py311+ffi01+sm90+anygpu+gpus",
		  BASE "+gpus+anygpu+sm90+ffi01+py311+glibc2.36+macos1.2" },
		{ BASE "+gfx1100+sm120+gfx90a+sm90a+sm75+sm100f+sm90+gfx942",
		  BASE "+sm75+sm90+sm90a+sm100f+sm120+gfx90a+gfx942"
		       "+gfx1100" },
		{ BASE "+sm90+sm90+sm80+sm90", BASE "+sm80+sm90" },
		{ BASE "+py314t", BASE "+py314t" },
		{ BASE "+py3.14t", BASE "+py314t" },
		{ BASE "+ffi0.1", BASE "+ffi01" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect_print(rows[i].spec, rows[i].wanted);
}

static void sorts_the_gpus_of_a_value_only_in_print(void **state)
{
	struct env e = parsed(BASE "+sm80+sm90");
	char out[ENV_SPEC_MAX];

	(void)state;
	(void)snprintf(e.gpus[0].arch, sizeof(e.gpus[0].arch), "sm120");
	(void)snprintf(e.gpus[0].name, sizeof(e.gpus[0].name), "one");
	e.gpus[2] = e.gpus[0];
	e.gpu_count = 3;
	env_print(&e, out);
	assert_string_equal(out, BASE "+sm90+sm120");
	assert_string_equal(e.gpus[0].arch, "sm120");
}

/* What the system calls itself is not checked before it is printed. */
static void prints_odd_words_so_that_they_read_back(void **state)
{
	struct env e = parsed(BASE);
	char out[ENV_SPEC_MAX];

	(void)state;
	(void)snprintf(e.cpu, sizeof(e.cpu), "x/86-\n+64");
	e.os[0] = '\0';
	env_print(&e, out);
	e = parsed(out);
	assert_string_equal(e.cpu, "x_86___64");
	assert_string_equal(e.os, "unknown");
}

/* Words of a value come from uname and from probes. */
static void prints_nothing_that_a_spec_cannot_hold(void **state)
{
	struct env e = parsed(BASE "+sm80+sm90");
	char out[ENV_SPEC_MAX];

	(void)state;
	(void)snprintf(e.cpu, sizeof(e.cpu), "../a-b c+d");
	e.os[0] = '\0';
	(void)snprintf(e.gpus[0].arch, sizeof(e.gpus[0].arch), "gfx90a:x-");
	env_print(&e, out);
	assert_string_equal(out, "torch213-cxx11-cu130-.._a_b_c_d-unknown"
				 "+sm90");
	(void)parsed(out);
}

static void says_a_free_threaded_python_of_unknown_version(void **state)
{
	struct env e = parsed(BASE);
	char out[ENV_SPEC_MAX];

	(void)state;
	e.free_threaded = true;
	env_print(&e, out);
	e = parsed(out);
	assert_true(e.free_threaded);
	assert_false(e.python.known);
}

static void has_room_for_the_longest_environment(void **state)
{
	struct env e = parsed(BASE), again;
	struct version big = { true, 4294967295u, 4294967295u };
	char out[ENV_SPEC_MAX], back[ENV_SPEC_MAX];

	(void)state;
	e.torch = e.ffi = e.python = e.glibc = e.macos = big;
	e.backend = BACKEND_CANN;
	e.backend_version = big;
	e.host_gpus = e.any_gpu = e.free_threaded = true;
	memset(e.cpu, 'c', sizeof(e.cpu) - 1);
	memset(e.os, 'o', sizeof(e.os) - 1);
	for (e.gpu_count = 0; e.gpu_count < ENV_GPUS_MAX; e.gpu_count++)
		(void)snprintf(e.gpus[e.gpu_count].arch, sizeof(e.gpus[0].arch),
			       "gfx%06zu", 100000 + e.gpu_count);
	env_print(&e, out);
	again = parsed(out);
	assert_int_equal(again.gpu_count, ENV_GPUS_MAX);
	expect_version(&again.macos, big.major, big.minor);
	env_print(&again, back);
	assert_string_equal(out, back);
}

/* ---- refusing a spec ---- */

static void names_what_is_wrong_in_a_spec(void **state)
{
	static const struct {
		const char *spec, *why;
	} rows[] = {
		{ "", "begins neither with a torch" },
		{ "torch-cuda", "begins neither with a torch" },
		{ "torch2-cpu" LINUX, "begins neither with a torch" },
		{ "Torch213-cpu" LINUX, "begins neither with a torch" },
		{ "torch21x-cpu" LINUX, "begins neither with a torch" },
		{ "torch-stable-abi29-cpu" LINUX, "" },
		{ "tvm-ffi01-cpu" LINUX, "begins neither with a torch" },
		{ "torch213", "needs exactly a backend, a CPU and an OS" },
		{ "torch213-cpu-x86_64", "needs exactly a backend" },
		{ "torch213-cxx11-cpu-x86_64", "needs exactly a backend" },
		{ "torch213-cpu" LINUX "-gnu", "needs exactly a backend" },
		{ "notorch-cxx11-cpu" LINUX, "needs exactly a backend" },
		{ "torch213-cxx14-cpu" LINUX, "needs exactly a backend" },
		{ "torch213-cxx11-cpu" LINUX "-gnu", "more between its '-'" },
		{ "torch213-cuda" LINUX, "unknown backend 'cuda'" },
		{ "torch213-cu9" LINUX, "unknown backend 'cu9'" },
		{ "torch213-cpu1" LINUX, "unknown backend 'cpu1'" },
		{ "torch213-" LINUX, "unknown backend" },
		{ "torch213-cu999999999999" LINUX, "unknown backend" },
		{ "torch213-cpu--linux", "its CPU '' is no word" },
		{ "torch213-cpu-x86_64-", "its OS '' is no word" },
		{ "torch213-cpu-aaaaaaaabbbbbbbbccccccccdddddddd-linux",
		  "is no word" },
		{ BASE "+", "unknown extra '+'" },
		{ BASE "+sm90+", "unknown extra '+'" },
		{ BASE "+gpu", "unknown extra '+gpu'" },
		{ BASE "+SM90", "unknown extra '+SM90'" },
		{ BASE "+sm", "'+sm' is no GPU" },
		{ BASE "+sm9", "'+sm9' is no GPU" },
		{ BASE "+sm90b", "'+sm90b' is no GPU" },
		{ BASE "+sm90af", "'+sm90af' is no GPU" },
		{ BASE "+sm090", "'+sm090' is no GPU" },
		{ BASE "+sm9.0", "'+sm9.0' is no GPU" },
		{ BASE "+sm12345", "'+sm12345' is no GPU" },
		{ BASE "+gfx", "'+gfx' is no GPU" },
		{ BASE "+gfx94", "'+gfx94' is no GPU" },
		{ BASE "+gfx0900", "'+gfx0900' is no GPU" },
		{ BASE "+gfxa00", "'+gfxa00' is no GPU" },
		{ BASE "+gfx90A", "'+gfx90A' is no GPU" },
		{ BASE "+gfx90z", "'+gfx90z' is no GPU" },
		{ BASE "+gfx12345678901234567890", "is no GPU" },
		{ BASE "+py", "is no Python" },
		{ BASE "+py3", "is no Python" },
		{ BASE "+pyx", "is no Python" },
		{ BASE "+py311tt", "is no Python" },
		{ BASE "+ffi", "is no tvm-ffi" },
		{ BASE "+ffi1", "is no tvm-ffi" },
		{ BASE "+glibc236", "is no version" },
		{ BASE "+glibc2.", "is no version" },
		{ BASE "+macos26", "is no version" },
		{ BASE "+macos26.1.2", "is no version" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect_refusal(rows[i].spec, rows[i].why);
}

static void refuses_to_be_told_a_thing_twice(void **state)
{
	(void)state;
	expect_refusal(BASE "+py311+py311", "'+py' stands there twice");
	expect_refusal(BASE "+pyt+py312", "'+py' stands there twice");
	expect_refusal(BASE "+pyt+py312", "'+py' stands there twice");
	expect_refusal(BASE "+py311t+py312", "'+py' stands there twice");
	expect_refusal(BASE "+ffi01+gpus+ffi02", "'+ffi' stands there twice");
	expect_refusal(BASE "+glibc2.1+glibc2.1", "'+glibc' stands there");
	expect_refusal(BASE "+macos2.1+macos2.1", "'+macos' stands there");
	expect_refusal(BASE "+gpus+gpus", "'+gpus' stands there twice");
	expect_refusal(BASE "+anygpu+anygpu", "'+anygpu' stands there twice");
}

static void refuses_bytes_that_no_spec_has(void **state)
{
	char spec[] = BASE "+x";

	(void)state;
	for (unsigned c = 1; c < 256; c++) {
		char at = (char)c;

		if (strchr("+-._", at) || (at >= '0' && at <= '9') ||
		    (at >= 'a' && at <= 'z') || (at >= 'A' && at <= 'Z'))
			continue;
		spec[sizeof(spec) - 2] = at;
		expect_refusal(spec, "stands in none");
	}
	expect_refusal("../" BASE, "stands in none");
}

static void bounds_what_it_reads(void **state)
{
	char spec[2 * ENV_SPEC_MAX] = BASE;
	size_t n = strlen(spec);

	(void)state;
	for (unsigned i = 0; i < ENV_GPUS_MAX; i++, n += 5)
		(void)snprintf(spec + n, sizeof(spec) - n, "+sm%02u", 10 + i);
	assert_int_equal(parsed(spec).gpu_count, ENV_GPUS_MAX);
	(void)snprintf(spec + n, sizeof(spec) - n, "+sm10");
	assert_int_equal(parsed(spec).gpu_count, ENV_GPUS_MAX);
	(void)snprintf(spec + n, sizeof(spec) - n, "+sm99");
	expect_refusal(spec, "more than 64 kinds of GPU");
	n = strlen(BASE);
	while (n < ENV_SPEC_MAX - 1)
		n += (size_t)snprintf(spec + n, sizeof(spec) - n, "+sm90");
	assert_int_equal(n, ENV_SPEC_MAX - 1);
	assert_int_equal(parsed(spec).gpu_count, 1);
	(void)snprintf(spec + n - 5, sizeof(spec) - n + 5, "+sm100");
	expect_refusal(spec, "more than 1023 bytes");
}

/* ---- backends ---- */

static void knows_backends_by_their_names(void **state)
{
	static const char *const names[] = { "cpu",  "cuda",  "rocm",	"xpu",
					     "cann", "metal", "neuron", "tpu" };
	enum backend b;

	(void)state;
	assert_int_equal(COUNT(names), ENV_BACKENDS);
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(env_backend_parse(&b, names[i]), 0);
		assert_int_equal(b, i);
		assert_string_equal(env_backend_name(b), names[i]);
	}
	b = BACKEND_XPU;
	assert_int_equal(env_backend_parse(&b, "npu"), -EINVAL);
	assert_int_equal(env_backend_parse(&b, "cu130"), -EINVAL);
	assert_int_equal(env_backend_parse(&b, ""), -EINVAL);
	assert_int_equal(b, BACKEND_XPU);
}

static void selects_cpu_or_what_is_there(void **state)
{
	struct env e = parsed("torch213-cxx11-cu130" LINUX);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(env_select_backend(&e, "rocm", &err), -EINVAL);
	assert_string_equal(err_text(&err), "Invalid backend 'rocm', system "
					    "supported backends: cpu, cuda");
	assert_int_equal(env_select_backend(&e, "cuda", NULL), 0);
	expect_version(&e.backend_version, 13, 0);
	assert_int_equal(env_select_backend(&e, "cpu", NULL), 0);
	assert_int_equal(e.backend, BACKEND_CPU);
	assert_false(e.backend_version.known);
	assert_int_equal(env_select_backend(&e, "cuda", &err), -EINVAL);
	assert_string_equal(err_text(&err), "Invalid backend 'cuda', system "
					    "supported backends: cpu");
	e = parsed("torch28-cann83" LINUX);
	assert_int_equal(env_select_backend(&e, "npu", &err), -EINVAL);
	assert_string_equal(err_text(&err), "Invalid backend 'npu', system "
					    "supported backends: cann, cpu");
	assert_int_equal(e.backend, BACKEND_CANN);
}

/* ---- any bytes ---- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

#define EXTRAS 10

/* Pieces that often fit, and bytes that do not. */
static void make_spec(char *out, size_t room, uint32_t *state)
{
	static const char *const pieces[] = {
		"+gpus",      "+anygpu",    "+sm90",	"+sm100f",
		"+gfx90a",    "+gfx1100",   "+py313t",	"+ffi01",
		"+glibc2.36", "+macos26.1", /* EXTRAS */
		"torch",      "notorch",    "213",	"-cxx11",
		"-cxx98",     "-cu130",	    "-rocm710", "-xpu20253",
		"-cann8.10",  "-cpu",	    "-metal",	"-x86_64",
		"-linux",     "+",	    "+sm",	"90",
		"a",	      "+py",	    "-",	".",
		"0",	      "t",	    "/",	"\n",
		"\xff",
	};
	size_t n = 0, count = next_random(state) % 8;

	if (next_random(state) % 2)
		n = (size_t)snprintf(out, room, "torch2%u-cu1%u%u" LINUX,
				     next_random(state) % 20,
				     next_random(state) % 9,
				     next_random(state) % 20);
	else
		out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t kinds = next_random(state) % 3 ? EXTRAS : COUNT(pieces);
		const char *p = pieces[next_random(state) % kinds];

		n += (size_t)snprintf(out + n, room - n, "%s", p);
	}
	if (n && next_random(state) % 4 == 0)
		out[next_random(state) % n] =
			(char)(1 + next_random(state) % 255);
}

static void prints_what_reads_back_for_any_bytes(void **state)
{
	uint32_t random = 7;
	size_t read = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char spec[ENV_SPEC_MAX], one[ENV_SPEC_MAX], two[ENV_SPEC_MAX];
		AUTO(auto_text) struct text json = TEXT_INIT(JSON_MAX);
		struct env e, again;

		make_spec(spec, sizeof(spec), &random);
		if (env_parse(&e, spec, NULL) < 0)
			continue;
		read++;
		env_print(&e, one);
		again = parsed(one);
		env_print(&again, two);
		assert_string_equal(one, two);
		env_json(&e, &json);
		assert_int_equal(
			env_from_json(&again, text_str(&json), json.len, NULL),
			0);
		env_print(&again, two);
		assert_string_equal(one, two);
	}
	assert_in_range(read, 10000, 90000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_that_a_spec_can_say),
		cmocka_unit_test(leaves_unknown_what_a_spec_does_not_say),
		cmocka_unit_test(cuts_digits_as_a_real_machine_means_them),
		cmocka_unit_test(spells_every_version_so_that_it_reads_back),
		cmocka_unit_test(prints_extras_in_one_order),
		cmocka_unit_test(sorts_the_gpus_of_a_value_only_in_print),
		cmocka_unit_test(prints_odd_words_so_that_they_read_back),
		cmocka_unit_test(prints_nothing_that_a_spec_cannot_hold),
		cmocka_unit_test(
			says_a_free_threaded_python_of_unknown_version),
		cmocka_unit_test(has_room_for_the_longest_environment),
		cmocka_unit_test(names_what_is_wrong_in_a_spec),
		cmocka_unit_test(refuses_to_be_told_a_thing_twice),
		cmocka_unit_test(refuses_bytes_that_no_spec_has),
		cmocka_unit_test(bounds_what_it_reads),
		cmocka_unit_test(knows_backends_by_their_names),
		cmocka_unit_test(selects_cpu_or_what_is_there),
		cmocka_unit_test(prints_what_reads_back_for_any_bytes),
	};

	return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
