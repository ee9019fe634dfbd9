/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each file of tests/data/python describes a made-up machine and what must
 * be found on it; its name says what is tested. One word starts a line:
 *
 *	# …		a comment
 *	python P TAG	P/bin/python3 -> TAG, and TAG's standard library
 *	dir P		a folder
 *	link P TARGET	a link
 *	file P		an executable file of the lines "|…" that follow
 *	library P ABI	a libc10.so, cxx11 or cxx98
 *	var NAME VALUE	a variable of this process
 *	cwd P		where this process stands
 *	ask P		what python_find() is asked for; nothing by default
 *	expect WHAT VALUE
 *
 * "@/" is the scratch folder that stands for the root of the machine.
 */
#include "resolver/python.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "resolver/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include "madeup.h"

/* Path buffers of inlined functions would add up in one frame. */
#define OWN_FRAME __attribute__((noinline))

#define RECIPES_MAX 256
#define LINE_BYTES_MAX 4096

struct scene {
	char root[MADEUP_PATH_MAX];
	char ask[MADEUP_PATH_MAX];
	char found[PYTHON_PATH_MAX];
	struct env env;
	struct err err;
	struct text notes;
	int code;
	unsigned expected;
};

static char recipes_folder[MADEUP_PATH_MAX];

/* ---- recipes ---- */

/* `line` with the scratch folder for "@". */
static void expand(char out[LINE_BYTES_MAX], const char *root, const char *line)
{
	size_t n = 0;

	for (; *line; line++) {
		const char *piece =
			line[0] == '@' && line[1] == '/' ? root : NULL;
		int k = snprintf(out + n, LINE_BYTES_MAX - n, "%.*s",
				 piece ? MADEUP_PATH_MAX : 1,
				 piece ? piece : line);

		assert_true(k > 0 && (size_t)k < LINE_BYTES_MAX - n);
		n += (size_t)k;
	}
	out[n] = '\0';
}

/* A line without its end, "@/" replaced; false at the end of the recipe. */
OWN_FRAME static bool recipe_line(FILE *f, const char *root,
				  char out[LINE_BYTES_MAX])
{
	char line[LINE_BYTES_MAX];

	if (!fgets(line, sizeof(line), f))
		return false;
	line[strcspn(line, "\n")] = '\0';
	out[0] = '\0';
	expand(out, root, line);
	return true;
}

/* The rest of a file that a recipe writes; `line` gets the one behind it. */
OWN_FRAME static bool make_file(FILE *f, const char *root, const char *name,
				char line[LINE_BYTES_MAX])
{
	AUTO(auto_text) struct text text = TEXT_INIT(65536);
	bool more;

	while ((more = recipe_line(f, root, line)) && line[0] == '|') {
		text_add(&text, line + 1);
		text_add_char(&text, '\n');
	}
	madeup_file(root, name, text_str(&text));
	return more;
}

/* What a recipe makes; false when the word is none of these. */
static bool make(struct scene *s, const char *word, const char *name,
		 const char *value)
{
	char path[MADEUP_PATH_MAX];

	if (!strcmp(word, "python")) {
		madeup_python(s->root, name, value);
	} else if (!strcmp(word, "dir")) {
		madeup_dir(s->root, name);
	} else if (!strcmp(word, "link")) {
		madeup_link(s->root, name, value);
	} else if (!strcmp(word, "library")) {
		madeup_library(s->root, name, !strcmp(value, "cxx11"));
	} else if (!strcmp(word, "var")) {
		assert_int_equal(setenv(name, value, 1), 0);
	} else if (!strcmp(word, "cwd")) {
		madeup_path(path, s->root, name);
		assert_int_equal(chdir(path), 0);
	} else if (!strcmp(word, "ask")) {
		(void)snprintf(s->ask, sizeof(s->ask), "%s", name);
	} else {
		return false;
	}
	return true;
}

/* ---- what must be found ---- */

static void version_text(const struct version *v, char out[64])
{
	(void)snprintf(out, 64, "none");
	if (v->known)
		(void)snprintf(out, 64, "%u.%u", v->major, v->minor);
}

static void backend_text(const struct env *e, char out[128])
{
	static const char *const names[] = {
		[BACKEND_CPU] = "cpu",	     [BACKEND_CUDA] = "cuda",
		[BACKEND_ROCM] = "rocm",     [BACKEND_XPU] = "xpu",
		[BACKEND_CANN] = "cann",     [BACKEND_METAL] = "metal",
		[BACKEND_NEURON] = "neuron", [BACKEND_TPU] = "tpu",
	};
	char version[64];

	version_text(&e->backend_version, version);
	(void)snprintf(out, 128, "%s %s", names[e->backend], version);
}

static void expect_error(const struct scene *s, const char *value)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = {
		{ "ENOENT ", ENOENT },
		{ "EINVAL ", EINVAL },
		{ "ENOTSUP ", ENOTSUP },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (!text_starts(value, codes[i].name))
			continue;
		assert_int_equal(s->code, -codes[i].code);
		assert_int_equal(s->err.code, codes[i].code);
		value += strlen(codes[i].name);
		if (!strstr(err_text(&s->err), value))
			assert_string_equal(err_text(&s->err), value);
		return;
	}
	fail_msg("no such code: %s", value);
}

static void expect_fact(const struct scene *s, const char *what,
			const char *value)
{
	static const char *const abis[] = { "none", "cxx98", "cxx11" };
	const struct env *e = &s->env;
	char got[128];

	(void)snprintf(got, sizeof(got), "nothing");
	if (!strcmp(what, "torch"))
		(void)snprintf(got, sizeof(got), "%s",
			       e->torch.known ? e->torch_text : "none");
	else if (!strcmp(what, "version"))
		version_text(&e->torch, got);
	else if (!strcmp(what, "abi"))
		(void)snprintf(got, sizeof(got), "%s", abis[e->abi]);
	else if (!strcmp(what, "backend"))
		backend_text(e, got);
	else if (!strcmp(what, "python"))
		version_text(&e->python, got);
	else if (!strcmp(what, "free_threaded"))
		(void)snprintf(got, sizeof(got), "%s",
			       e->free_threaded ? "yes" : "no");
	else if (!strcmp(what, "ffi"))
		version_text(&e->ffi, got);
	else
		fail_msg("no such fact: %s", what);
	assert_string_equal(got, value);
}

OWN_FRAME static void expect(struct scene *s, const char *what,
			     const char *value)
{
	if (!s->expected++) {
		char where[PYTHON_PATH_MAX];

		s->code =
			python_find(where, s->ask[0] ? s->ask : NULL, &s->err);
		if (s->code == 0) {
			memcpy(s->found, where, sizeof(where));
			s->code = python_env(&s->env, s->found, &s->notes,
					     &s->err);
		}
	}
	if (!strcmp(what, "error")) {
		expect_error(s, value);
		return;
	}
	assert_string_equal(s->err.text, "");
	assert_int_equal(s->code, 0);
	assert_int_equal(s->err.code, 0);
	if (!strcmp(what, "found"))
		assert_string_equal(s->found, value);
	else if (!strcmp(what, "note") && !strstr(text_str(&s->notes), value))
		assert_string_equal(text_str(&s->notes), value);
	else if (strcmp(what, "note") != 0)
		expect_fact(s, what, value);
}

/* "WORD NAME VALUE…": three parts, the last to the end of the line. */
OWN_FRAME static void step(struct scene *s, char *line)
{
	char *name = strchr(line, ' '), *value;

	if (!line[0] || line[0] == '#')
		return;
	assert_non_null(name);
	*name++ = '\0';
	value = strchr(name, ' ');
	if (value)
		*value++ = '\0';
	if (make(s, line, name, value ? value : ""))
		return;
	if (strcmp(line, "expect") != 0 || !value)
		fail_msg("a recipe says '%s %s'", line, name);
	expect(s, name, value);
}

OWN_FRAME static void follow_recipe(struct scene *s, FILE *f)
{
	char line[LINE_BYTES_MAX];
	bool more = recipe_line(f, s->root, line);

	while (more) {
		if (text_starts(line, "file ")) {
			char name[LINE_BYTES_MAX];

			memcpy(name, line, sizeof(name));
			more = make_file(f, s->root, name + strlen("file "),
					 line);
			continue;
		}
		step(s, line);
		more = recipe_line(f, s->root, line);
	}
}

static struct scene scene;

static int open_scene(void **state)
{
	(void)state;
	memset(&scene, 0, sizeof(scene));
	scene.notes = (struct text)TEXT_INIT(65536);
	madeup_init(scene.root);
	madeup_environment(scene.root);
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	text_done(&scene.notes);
	madeup_done(scene.root);
	return 0;
}

static void run_recipe(void **state)
{
	char path[MADEUP_PATH_MAX + 512];
	AUTO(auto_fclose) FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s.prefix", recipes_folder,
		       (const char *)*state);
	f = fopen(path, "re");
	assert_non_null(f);
	follow_recipe(&scene, f);
	assert_true(scene.expected > 0);
}

/* ---- without a recipe ---- */

static void names_this_machine_without_any_python(void **state)
{
	struct utsname u;
	struct env e;
	char glibc[64];

	(void)state;
	assert_int_equal(uname(&u), 0);
	assert_int_equal(python_no_torch(&e, NULL), 0);
	assert_string_equal(e.cpu, u.machine);
	assert_string_equal(e.os, "linux");
	version_text(&e.glibc, glibc);
	assert_true(text_starts(gnu_get_libc_version(), glibc));
	assert_false(e.torch.known);
	assert_false(e.python.known);
	assert_int_equal(e.abi, ABI_NONE);
	assert_true(e.backend == BACKEND_CPU ||
		    (e.backend == BACKEND_CUDA && e.backend_version.known));
}

static void leaves_its_output_alone_on_failure(void **state)
{
	struct err err = ERR_INIT;
	struct env e, before;

	(void)state;
	memset(&e, 0x5a, sizeof(e));
	memset(&before, 0x5a, sizeof(before));
	assert_int_equal(python_env(&e, "/nowhere/at/all", NULL, &err),
			 -ENOENT);
	assert_memory_equal(&e, &before, sizeof(e));
	assert_non_null(strstr(err_text(&err), "/nowhere/at/all"));
}

/* ---- the list of recipes ---- */

/* tests/data beside tests/unit; the program is in build/MODE/unit. */
static bool find_recipes(void)
{
	static const char tail[] = "tests/data/python";
	char self[MADEUP_PATH_MAX];
	ssize_t n;

	if (realpath(tail, recipes_folder))
		return true;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return false;
	self[n] = '\0';
	for (int i = 0; i < 4; i++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return false;
		*slash = '\0';
	}
	madeup_path(recipes_folder, self, tail);
	return access(recipes_folder, R_OK) == 0;
}

static int is_recipe(const struct dirent *e)
{
	return text_ends(e->d_name, ".prefix");
}

int main(void)
{
	static struct CMUnitTest tests[RECIPES_MAX + 2] = {
		cmocka_unit_test(names_this_machine_without_any_python),
		cmocka_unit_test(leaves_its_output_alone_on_failure),
	};
	struct dirent **names = NULL;
	size_t count = 2;
	int n, r;

	n = find_recipes()
		    ? scandir(recipes_folder, &names, is_recipe, alphasort)
		    : -1;
	if (n <= 0 || n > RECIPES_MAX) {
		(void)fprintf(stderr, "no recipes in tests/data/python\n");
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char *name = names[i]->d_name;

		name[strlen(name) - strlen(".prefix")] = '\0';
		tests[count++] = (struct CMUnitTest){
			.name = name,
			.test_func = run_recipe,
			.setup_func = open_scene,
			.teardown_func = close_scene,
			.initial_state = name,
		};
	}
	r = _cmocka_run_group_tests("python", tests, count, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}
