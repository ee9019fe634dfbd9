/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worked cases of tests/data/choose/cases, in several orders of the list,
 * and what they leave open.
 */
#include "resolver/choose.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "resolver/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES "tests/data/choose/cases"
#define LINE_MAX_BYTES 512
#define NAMES_MAX 16
#define LISTS_MAX 32
#define SHUFFLES 20

#define LINUX "-x86_64-linux"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void decide(struct decisions *d, const char *spec,
		   const char *const *names, size_t count)
{
	struct err err = ERR_INIT;
	struct env env;

	if (env_parse(&env, spec, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(choose(d, names, count, &env, NULL), 0);
}

/* ---- the worked cases ---- */

struct list {
	char name[8];
	char names[NAMES_MAX][LINE_MAX_BYTES];
	size_t count;
};

struct worked {
	char title[LINE_MAX_BYTES];
	char spec[LINE_MAX_BYTES];
	const struct list *list;
	char lines[NAMES_MAX][LINE_MAX_BYTES]; /* "+ name", "- name: why" */
	size_t count;
};

struct cases {
	struct list lists[LISTS_MAX];
	size_t list_count;
	struct worked current;
	size_t run;
};

/* A small generator of its own, so that a failure comes again. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static void shuffle(const char **names, size_t count, uint32_t *state)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = next_random(state) % i;
		const char *moved = names[i - 1];

		names[i - 1] = names[j];
		names[j] = moved;
	}
}

static void expect(const struct worked *w, const char *const *names)
{
	struct decisions d;
	size_t accepted = 0;

	decide(&d, w->spec, names, w->list->count);
	assert_int_equal(d.skipped_count, 0);
	if (d.count != w->count)
		fail_msg("case %s: %zu decisions", w->title, d.count);
	for (size_t i = 0; i < d.count; i++) {
		const struct decision *it = &d.items[i];
		char line[LINE_MAX_BYTES];

		(void)snprintf(line, sizeof(line), "%s %s%s%s",
			       it->accepted ? "+" : "-", it->name,
			       it->accepted ? "" : ": ", it->reason);
		if (strcmp(line, w->lines[i]) != 0)
			fail_msg("case %s: '%s' where '%s' is expected",
				 w->title, line, w->lines[i]);
		accepted += it->accepted;
	}
	assert_int_equal(d.accepted, accepted);
	decisions_done(&d);
}

static void run_case(struct cases *c)
{
	const struct worked *w = &c->current;
	const char *names[NAMES_MAX];
	uint32_t state = 1;

	if (!*w->title)
		return;
	assert_non_null(w->list);
	for (size_t i = 0; i < w->list->count; i++)
		names[i] = w->list->names[i];
	expect(w, names);
	for (size_t i = 0; i < w->list->count; i++)
		names[w->list->count - 1 - i] = w->list->names[i];
	expect(w, names);
	for (size_t i = 0; i < SHUFFLES; i++) {
		shuffle(names, w->list->count, &state);
		expect(w, names);
	}
	c->run++;
	memset(&c->current, 0, sizeof(c->current));
}

static const char *behind(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 ? line + n : NULL;
}

static void keep(char out[LINE_MAX_BYTES], const char *text)
{
	assert_true(snprintf(out, LINE_MAX_BYTES, "%s", text) < LINE_MAX_BYTES);
}

static void begin_list(struct cases *c, const char *name)
{
	struct list *l = &c->lists[c->list_count++];

	assert_true(c->list_count <= LISTS_MAX);
	assert_true(strlen(name) < sizeof(l->name));
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
}

static const struct list *find_list(const struct cases *c, const char *name)
{
	size_t n = strcspn(name, " "); /* "D backwards" */

	for (size_t i = 0; i < c->list_count; i++)
		if (strlen(c->lists[i].name) == n &&
		    strncmp(c->lists[i].name, name, n) == 0)
			return &c->lists[i];
	fail_msg("no list '%s'", name);
	return NULL;
}

static void read_line(struct cases *c, const char *line)
{
	struct worked *w = &c->current;
	const char *text;

	if (!*line || *line == '#')
		return;
	if ((text = behind(line, "case "))) {
		run_case(c);
		keep(w->title, text);
	} else if ((text = behind(line, "list "))) {
		begin_list(c, text);
	} else if ((text = behind(line, "\tenv "))) {
		keep(w->spec, text);
	} else if ((text = behind(line, "\tlist "))) {
		w->list = find_list(c, text);
	} else if (behind(line, "\t+ ") || behind(line, "\t- ")) {
		assert_true(w->count < NAMES_MAX);
		keep(w->lines[w->count++], line + 1);
	} else {
		struct list *l = &c->lists[c->list_count - 1];

		assert_true(*line == '\t' && c->list_count > 0 && !*w->title);
		assert_true(l->count < NAMES_MAX);
		keep(l->names[l->count++], line + 1);
	}
}

static void decides_the_worked_cases_in_any_order(void **state)
{
	AUTO(auto_free) struct cases *c = calloc(1, sizeof(*c));
	AUTO(auto_fclose) FILE *f = fopen(CASES, "re");
	char line[LINE_MAX_BYTES];

	(void)state;
	assert_non_null(c);
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *end = strchr(line, '\n');

		assert_non_null(end);
		*end = '\0';
		read_line(c, line);
	}
	run_case(c);
	assert_int_equal(c->run, 36);
}

/* ---- what they leave open ---- */

static void expect_names(const char *spec, const char *const *names,
			 const char *const *wanted, size_t count)
{
	struct decisions d;

	decide(&d, spec, names, count);
	assert_int_equal(d.count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(d.items[i].name, wanted[i]);
	decisions_done(&d);
}

static void breaks_ties_by_family_and_then_by_name(void **state)
{
	static const char *const names[] = {
		"torch-universal",
		"torch-cuda",
		"tvm-ffi01-cu120" LINUX,
		"torch-stable-abi29-cu120" LINUX,
		"torch213-cxx11-cu110" LINUX,
		"torch212-cxx11-cu120" LINUX,
	};
	static const char *const wanted[] = {
		"torch-cuda",
		"torch-universal",
		"torch-stable-abi29-cu120" LINUX,
		"torch212-cxx11-cu120" LINUX,
		"torch213-cxx11-cu110" LINUX,
		"tvm-ffi01-cu120" LINUX,
	};

	(void)state;
	expect_names("torch213-cxx11-cu130" LINUX, names, wanted, COUNT(names));
}

static void prefers_the_newer_major_of_the_stable_abi(void **state)
{
	static const char *const names[] = { "torch-stable-abi29-cpu" LINUX,
					     "torch-stable-abi30-cpu" LINUX };
	static const char *const wanted[] = { "torch-stable-abi30-cpu" LINUX,
					      "torch-stable-abi29-cpu" LINUX };

	(void)state;
	expect_names("torch31-cpu" LINUX, names, wanted, COUNT(names));
}

static void puts_universal_behind_every_name(void **state)
{
	static const char *const names[] = { "torch-universal", "torch-xpu",
					     ("tvm-ffi01-xpu20260" LINUX) };
	static const char *const wanted[] = { ("tvm-ffi01-xpu20260" LINUX),
					      "torch-xpu", "torch-universal" };

	(void)state;
	expect_names("torch213-xpu20260" LINUX "+ffi01", names, wanted,
		     COUNT(names));
}

static void prefers_the_family_to_the_backend(void **state)
{
	static const char *const names[] = {
		"tvm-ffi01-cu129" LINUX,
		"torch213-cxx11-cu128" LINUX,
		"torch213-cu126" LINUX,
		"torch-stable-abi29-cu129" LINUX,
		"torch-stable-abi210-cu121" LINUX,
		"torch-cuda",
		"torch213-cu124" LINUX,
	};
	static const char *const wanted[] = {
		"torch-stable-abi210-cu121" LINUX,
		"torch-stable-abi29-cu129" LINUX,
		"torch213-cu126" LINUX,
		"torch213-cu124" LINUX,
		"torch213-cxx11-cu128" LINUX,
		"tvm-ffi01-cu129" LINUX,
		"torch-cuda",
	};

	(void)state;
	expect_names("torch213-cxx11-cu129" LINUX "+ffi01", names, wanted,
		     COUNT(names));
}

static void prefers_the_newest_stable_abi(void **state)
{
	static const char *const names[] = {
		"torch-stable-abi214-cu130" LINUX,
		"torch-stable-abi29-cu130" LINUX,
		"torch-cuda",
		"torch-stable-abi30-cu130" LINUX,
	};
	static const char *const wanted[] = {
		"torch-stable-abi30-cu130" LINUX,
		"torch-stable-abi214-cu130" LINUX,
		"torch-stable-abi29-cu130" LINUX,
		"torch-cuda",
	};

	(void)state;
	expect_names("torch31-cxx11-cu130" LINUX, names, wanted, COUNT(names));
}

static void sets_aside_what_is_no_name_of_a_build(void **state)
{
	static const char *const names[] = {
		"torch-cpu",
		"zzz",
		"__pycache__",
		"torch213-cpu" LINUX "-gnu",
		("torch213-cu12a8" LINUX),
	};
	struct decisions d;

	(void)state;
	decide(&d, "torch213-cxx11-cpu" LINUX, names, COUNT(names));
	assert_int_equal(d.count, 1);
	assert_int_equal(d.accepted, 1);
	assert_string_equal(d.items[0].name, "torch-cpu");
	assert_int_equal(d.skipped_count, 4);
	assert_string_equal(d.skipped[0], "__pycache__");
	assert_string_equal(d.skipped[1], "torch213-cpu" LINUX "-gnu");
	assert_string_equal(d.skipped[2], "torch213-cu12a8" LINUX);
	assert_string_equal(d.skipped[3], "zzz");
	decisions_done(&d);
	assert_int_equal(d.count, 0);
	assert_null(d.items);
}

static void decides_an_empty_list(void **state)
{
	struct decisions d;

	(void)state;
	decide(&d, "torch213-cxx11-cpu" LINUX, NULL, 0);
	assert_int_equal(d.count, 0);
	assert_int_equal(d.accepted, 0);
	assert_int_equal(d.skipped_count, 0);
	decisions_done(&d);
}

static void keeps_the_name_of_the_folder(void **state)
{
	static const char *const names[] = { "torch0213-cpu" LINUX,
					     "torch208-cpu" LINUX };
	struct decisions d;

	(void)state;
	decide(&d, "torch28-cxx11-cpu" LINUX, names, COUNT(names));
	assert_string_equal(d.items[0].name, "torch208-cpu" LINUX);
	assert_true(d.items[0].accepted);
	assert_string_equal(d.items[1].name, "torch0213-cpu" LINUX);
	assert_string_equal(d.items[1].reason,
			    "Torch version (0.213) does not match "
			    "environment Torch version (2.8)");
	decisions_done(&d);
}

static void gives_the_whole_reason_for_the_longest_name(void **state)
{
	char name[256] = "torch-", wanted[CHOOSE_REASON_MAX];
	const char *const names[] = { name };
	struct decisions d;

	(void)state;
	memset(name + 6, 'x', 249);
	decide(&d, "notorch-neuron" LINUX, names, 1);
	(void)snprintf(wanted, sizeof(wanted),
		       "backend (%s) does not match "
		       "system backend (neuron) and is not universal",
		       name + 6);
	assert_string_equal(d.items[0].reason, wanted);
	assert_string_equal(wanted + strlen(wanted) - 9, "universal");
	decisions_done(&d);
}

/* Both kinds of build on a Python; how many are accepted. */
static size_t accepted_on(const char *extra)
{
	static const char *const names[] = { "torch-cpu",
					     "torch213-cpu" LINUX };
	char spec[LINE_MAX_BYTES];
	struct decisions d;
	size_t n;

	(void)snprintf(spec, sizeof(spec), "torch213-cxx11-cpu" LINUX "%s",
		       extra);
	decide(&d, spec, names, COUNT(names));
	n = d.accepted;
	if (n == 1) {
		assert_string_equal(d.items[0].name, "torch-cpu");
		assert_string_equal(d.items[1].reason,
				    "arch kernel not supported on "
				    "free-threaded Python <3.15");
	}
	decisions_done(&d);
	return n;
}

static void refuses_arch_builds_on_an_old_free_threaded_python(void **state)
{
	(void)state;
	assert_int_equal(accepted_on("+py313t"), 1);
	assert_int_equal(accepted_on("+py314t"), 1);
	assert_int_equal(accepted_on("+py315t"), 2);
	assert_int_equal(accepted_on("+py40t"), 2);
	assert_int_equal(accepted_on("+py314"), 2);
	assert_int_equal(accepted_on(""), 2);
}

static void takes_an_unknown_free_threaded_python_for_an_old_one(void **state)
{
	static const char *const names[] = { "torch213-cpu" LINUX };
	struct decisions d;
	struct env env;

	(void)state;
	assert_int_equal(env_parse(&env, "torch213-cpu" LINUX, NULL), 0);
	env.free_threaded = true;
	assert_int_equal(choose(&d, names, 1, &env, NULL), 0);
	assert_int_equal(d.accepted, 0);
	assert_string_equal(d.items[0].reason, "arch kernel not supported on "
					       "free-threaded Python <3.15");
	decisions_done(&d);
}

static void wants_to_know_the_macos_for_metal(void **state)
{
	static const char *const names[] = { "torch212-metal-aarch64-darwin" };
	struct decisions d;

	(void)state;
	decide(&d, "torch212-metal-aarch64-darwin", names, 1);
	assert_string_equal(d.items[0].reason,
			    "Metal kernels require macOS "
			    "26.0 or later, system macOS version is None");
	decisions_done(&d);
	decide(&d, "torch212-metal-aarch64-darwin+macos26.0", names, 1);
	assert_true(d.items[0].accepted);
	decisions_done(&d);
}

static void moves_a_refused_build_to_its_place(void **state)
{
	static const char *const names[] = {
		"torch-stable-abi29-cu130" LINUX,
		"torch213-cu130" LINUX,
		"torch-cuda",
		"torch-universal",
		"torch-stable-abi214-cu130" LINUX,
		"torch214-cu130" LINUX,
		"torch-cpu",
	};
	static const char *const wanted[] = {
		"torch-universal",
		"torch-stable-abi214-cu130" LINUX,
		"torch-stable-abi29-cu130" LINUX,
		"torch213-cu130" LINUX,
		"torch214-cu130" LINUX,
		"torch-cpu",
		"torch-cuda",
	};
	struct decisions d;

	(void)state;
	decide(&d, "torch213-cxx11-cu130" LINUX, names, COUNT(names));
	assert_int_equal(d.accepted, 4);
	decisions_refuse(&d, 0, "first");
	decisions_refuse(&d, 0, "second");
	decisions_refuse(&d, 0, "third");
	assert_int_equal(d.accepted, 1);
	assert_int_equal(d.count, COUNT(names));
	for (size_t i = 0; i < d.count; i++) {
		assert_string_equal(d.items[i].name, wanted[i]);
		assert_int_equal(d.items[i].accepted, i == 0);
	}
	assert_string_equal(d.items[2].reason, "first");
	assert_string_equal(d.items[3].reason, "second");
	assert_string_equal(d.items[6].reason, "third");
	decisions_refuse(&d, 0, "fourth");
	assert_int_equal(d.accepted, 0);
	assert_string_equal(d.items[6].name, "torch-universal");
	decisions_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_the_worked_cases_in_any_order),
		cmocka_unit_test(breaks_ties_by_family_and_then_by_name),
		cmocka_unit_test(prefers_the_newer_major_of_the_stable_abi),
		cmocka_unit_test(puts_universal_behind_every_name),
		cmocka_unit_test(prefers_the_family_to_the_backend),
		cmocka_unit_test(prefers_the_newest_stable_abi),
		cmocka_unit_test(sets_aside_what_is_no_name_of_a_build),
		cmocka_unit_test(decides_an_empty_list),
		cmocka_unit_test(keeps_the_name_of_the_folder),
		cmocka_unit_test(gives_the_whole_reason_for_the_longest_name),
		cmocka_unit_test(
			refuses_arch_builds_on_an_old_free_threaded_python),
		cmocka_unit_test(
			takes_an_unknown_free_threaded_python_for_an_old_one),
		cmocka_unit_test(wants_to_know_the_macos_for_metal),
		cmocka_unit_test(moves_a_refused_build_to_its_place),
	};

	return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
