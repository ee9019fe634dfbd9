/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/pick.h"

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "fakesource.h"
#include "kernels/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPEC "torch213-cxx11-cpu-x86_64-linux"
#define BUILD "torch-universal"
#define NEEDS(list) FAKE_METADATA_WITH(", \"kernel-depends\": [" list "]")
#define ON(repo) "{\"repo-id\": \"" repo "\", \"version\": 1}"
#define AT(repo, rev) "{\"repo-id\": \"" repo "\", \"revision\": \"" rev "\"}"

/* Every kernel's commit is its own letter, forty times. */
struct kernel {
	const char *asked; /* "acme/a@v1" */
	char letter;
	const char *metadata;
	const char *variant; /* NULL: BUILD */
	int fails;	     /* -errno of its revision */
	int broken;	     /* -errno of its listing */
	bool untrusted;
};

static const struct kernel *kernels;
static unsigned revisions; /* asked for */

static const struct kernel *kernel_of(const struct pick *p)
{
	const struct kernel *k = kernels;

	while (k->letter != p->commit[0])
		k++;
	return k;
}

static struct tree *tree_of(const char *const *paths, size_t n,
			    enum tree_kind kind)
{
	struct digest d = { .kind = DIGEST_GIT };
	struct tree_builder *b = NULL;
	struct tree *tree = NULL;
	void *bytes = NULL;
	size_t len = 0;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			tree_builder_add(b, paths[i], kind, kind == TREE_FILE,
					 kind == TREE_FILE ? &d : NULL, NULL),
			0);
	assert_int_equal(tree_builder_end(b, &bytes, &len, NULL), 0);
	tree_builder_free(b);
	assert_int_equal(tree_from_bytes(&tree, bytes, len, NULL), 0);
	free(bytes);
	return tree;
}

static int world_builds(void *ctx, const struct pick *p, struct tree **out,
			struct err *err)
{
	const struct kernel *k = kernel_of(p);
	const char *name = k->variant ? k->variant : BUILD;

	(void)ctx;
	(void)err;
	*out = tree_of(&name, 1, TREE_FOLDER);
	return 0;
}

static int world_trusted(void *ctx, const struct pick *p, struct err *err)
{
	(void)ctx;
	(void)err;
	return !kernel_of(p)->untrusted;
}

static int world_listing(void *ctx, const struct pick *p, const char *variant,
			 struct tree **out, struct err *err)
{
	static const char *const paths[] = { "__init__.py", "metadata.json" };
	const struct kernel *k = kernel_of(p);

	(void)ctx;
	(void)variant;
	if (k->broken)
		return err_set(err, -k->broken, "no listing today");
	*out = tree_of(paths, 2, TREE_FILE);
	return 0;
}

static int world_metadata(void *ctx, const struct pick *p, const char *variant,
			  struct tree *build, struct text *out, struct err *err)
{
	(void)ctx;
	(void)variant;
	(void)build;
	(void)err;
	text_add(out, kernel_of(p)->metadata);
	return 0;
}

static int world_commit(void *ctx, const struct pick *root,
			const struct ref *ref, struct repo_id *repo,
			char commit[REF_COMMIT_LEN + 1], struct err *err)
{
	const struct kernel *k = kernels;
	char asked[REF_TEXT_MAX];

	(void)ctx;
	assert_int_equal(root->commit[0], kernels[0].letter);
	revisions++;
	ref_print(ref, asked);
	while (k->asked && strcmp(k->asked, asked) != 0)
		k++;
	if (!k->asked)
		return err_set(err, ENOENT, "nobody knows '%s'", asked);
	if (k->fails)
		return err_set(err, -k->fails, "told to fail");
	*repo = ref->repo;
	memset(commit, k->letter, REF_COMMIT_LEN);
	commit[REF_COMMIT_LEN] = '\0';
	return 0;
}

static const struct pick_world world = {
	.builds = world_builds,
	.trusted = world_trusted,
	.listing = world_listing,
	.metadata = world_metadata,
	.commit = world_commit,
};

/* The pick of the first kernel of a table. */
static int make(const struct kernel *table, struct pick **out, struct err *err)
{
	char commit[REF_COMMIT_LEN + 1] = "";
	struct ref ref;
	struct env env;

	kernels = table;
	revisions = 0;
	assert_int_equal(env_parse(&env, SPEC, NULL), 0);
	assert_int_equal(ref_parse(&ref, table->asked, NULL), 0);
	memset(commit, table->letter, REF_COMMIT_LEN);
	return pick_make(out, &ref.repo, commit, &env, &world, err);
}

static struct pick *made(const struct kernel *table)
{
	struct err err = ERR_INIT;
	struct pick *p = NULL;

	if (make(table, &p, &err) != 0)
		fail_msg("no pick: %s", err_text(&err));
	return p;
}

/* "a@v1 b@v2": what a pick needs, in order. */
static void is_order(const struct pick *p, const char *names)
{
	struct text t = TEXT_INIT(1 << 16);

	for (size_t i = 0; i < p->depend_count; i++)
		text_printf(&t, "%s%s@%s", i ? " " : "",
			    p->depends[i].repo.name, p->depends[i].asked.rev);
	assert_string_equal(text_str(&t), names);
	text_done(&t);
}

static void is_refused(const struct kernel *table, int code, const char *why)
{
	struct pick *p = made(table);

	assert_int_equal(p->refused, code);
	if (!strstr(p->why, why))
		fail_msg("'%s' does not say '%s'", p->why, why);
	assert_null(p->variant);
	assert_null(p->tree);
	assert_int_equal(p->depend_count, 0);
	assert_int_equal(p->own.need_count, 0);
	pick_free(p);
}

/* ---- what is decided ---- */

static void a_kernel_comes_before_who_needs_it(void **state)
{
	static const struct kernel t[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b") ", " ON("k/c")), NULL, 0, 0,
		  false },
		{ "k/b@v1", 'b', NEEDS(ON("k/d")), NULL, 0, 0, false },
		{ "k/c@v1", 'c', NEEDS(ON("k/d") ", " ON("k/b")), NULL, 0, 0,
		  false },
		{ "k/d@v1", 'd', FAKE_METADATA, NULL, 0, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	struct pick *p = made(t);

	(void)state;
	is_order(p, "d@v1 b@v1 c@v1");
	assert_int_equal(revisions, 3); /* each is asked for once */
	assert_int_equal(p->own.need_count, 2);
	assert_int_equal(p->own.needs[0], 1);
	assert_int_equal(p->own.needs[1], 2);
	assert_int_equal(p->depends[0].own.need_count, 0);
	assert_int_equal(p->depends[1].own.needs[0], 0);
	assert_int_equal(p->depends[2].own.need_count, 2);
	assert_int_equal(p->depends[2].own.needs[0], 0);
	assert_int_equal(p->depends[2].own.needs[1], 1);
	assert_string_equal(p->depends[0].variant, BUILD);
	assert_int_equal(p->depends[0].commit[39], 'd');
	assert_int_equal(tree_count(p->depends[0].tree), 2);
	assert_string_equal(p->depends[0].own.id, "_relu");
	assert_string_equal(p->variant, BUILD);
	pick_free(p);
}

static void one_repository_may_be_needed_twice(void **state)
{
	static const struct kernel t[] = {
		{ "k/a@v1", 'a',
		  NEEDS(ON("k/b") ", " AT("k/b", "x/y") ", " ON("k/b")), NULL,
		  0, 0, false },
		{ "k/b@v1", 'b', FAKE_METADATA, NULL, 0, 0, false },
		{ "k/b@x%2Fy", 'c', FAKE_METADATA, NULL, 0, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	struct text out = TEXT_INIT(1 << 16);
	struct pick *p = made(t);
	struct json *j = NULL;

	(void)state;
	is_order(p, "b@v1 b@x/y");
	assert_int_equal(p->own.need_count, 3);
	pick_depends_json(p, &out);
	assert_int_equal(json_parse(&j, text_str(&out), out.len, NULL), 0);
	assert_int_equal(json_count(json_get(j, "needs")), 1);
	assert_string_equal(json_get_string(json_get(j, "needs"), "k/b"),
			    "k/b@v1");
	assert_non_null(json_get(json_get(j, "kernels"), "k/b@x%2Fy"));
	json_free(j);
	text_done(&out);
	pick_free(p);
}

/* ---- what refuses it ---- */

static void refuses_a_circle_of_any_length(void **state)
{
	static const struct kernel three[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', NEEDS(ON("k/c")), NULL, 0, 0, false },
		{ "k/c@v1", 'c', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	static const struct kernel one[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/a")), NULL, 0, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};

	(void)state;
	is_refused(three, ENODEV,
		   "needs k/b@v1, which needs k/c@v1, which needs k/b@v1: "
		   "cyclic kernel dependency detected");
	is_refused(one, ENODEV, "needs k/a@v1: cyclic");
}

static void refuses_what_cannot_be_had(void **state)
{
	static const struct {
		int fails, refused;
	} rows[] = { { -ENOENT, ENOENT },
		     { -EACCES, EACCES },
		     { -EPERM, EPERM } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct kernel t[] = {
			{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
			{ "k/b@v1", 'b', FAKE_METADATA, NULL, rows[i].fails, 0,
			  false },
			{ NULL, 0, NULL, NULL, 0, 0, false },
		};

		is_refused(t, rows[i].refused, "needs k/b@v1: told to fail");
	}
}

static void refuses_an_untrusted_publisher_below(void **state)
{
	static const struct kernel t[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', NEEDS(ON("x/c")), NULL, 0, 0, false },
		{ "x/c@v1", 'c', FAKE_METADATA, NULL, 0, 0, true },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};

	(void)state;
	is_refused(t, EACCES,
		   "needs k/b@v1, which needs x/c@v1: publisher 'x' is not "
		   "trusted");
}

static void tells_the_builds_of_the_one_that_has_none(void **state)
{
	static const struct kernel t[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', FAKE_METADATA,
		  "torch212-cxx11-cpu-x86_64-linux", 0, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	struct text out = TEXT_INIT(1 << 16);
	struct pick *p = made(t);

	(void)state;
	assert_int_equal(p->refused, ENODEV);
	assert_string_equal(p->lacking, "k/b@v1");
	assert_int_equal(p->lacks.count, 1);
	assert_int_equal(p->decisions.count, 1);
	pick_why(p, "v1", &out);
	assert_non_null(strstr(text_str(&out), "k/b@v1:\n"));
	assert_non_null(strstr(text_str(&out), p->lacks.items[0].reason));
	text_done(&out);
	pick_free(p);
}

static void refuses_names_that_are_none(void **state)
{
	static const char *const rows[] = {
		NEEDS(ON("")),		NEEDS(ON("k")),
		NEEDS(ON("k/b/c")),	NEEDS(ON("../k")),
		NEEDS(AT("k/b", "")),	NEEDS(AT("k/b", "../x")),
		NEEDS(ON("k/\\u001b")),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct kernel t[] = {
			{ "k/a@v1", 'a', rows[i], NULL, 0, 0, false },
			{ NULL, 0, NULL, NULL, 0, 0, false },
		};

		is_refused(t, ENODEV, "needs '");
		assert_int_equal(revisions, 0);
	}
}

static void a_failure_is_no_decision(void **state)
{
	static const struct kernel ask[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', FAKE_METADATA, NULL, -ETIMEDOUT, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	static const struct kernel list[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', FAKE_METADATA, NULL, 0, -EIO, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	static const struct kernel later[] = {
		{ "k/a@v1", 'a', NEEDS(ON("k/b")), NULL, 0, 0, false },
		{ "k/b@v1", 'b', FAKE_METADATA, NULL, -EAGAIN, 0, false },
		{ NULL, 0, NULL, NULL, 0, 0, false },
	};
	struct err err = ERR_INIT;
	struct pick *p = NULL;

	(void)state;
	assert_int_equal(make(ask, &p, &err), -ETIMEDOUT);
	assert_string_equal(err.text, "needs k/b@v1: told to fail");
	assert_int_equal(make(list, &p, &err), -EIO);
	assert_string_equal(err.text, "needs k/b@v1: no listing today");
	assert_int_equal(make(later, &p, NULL), -EAGAIN);
	assert_null(p);
}

/* As wide as one may be, and one more. */
static void bounds_how_many_are_needed(void **state)
{
	static char names[PICK_DEPENDS_MAX + 2][16];
	static struct kernel t[PICK_DEPENDS_MAX + 3];
	struct text m = TEXT_INIT(1 << 20);
	struct pick *p;

	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		unsigned n = PICK_DEPENDS_MAX + over;

		text_clear(&m);
		for (unsigned i = 0; i < n; i++) {
			(void)snprintf(names[i], sizeof(names[i]), "k/n%u@v1",
				       i);
			/* all at one commit: builds and metadata the same */
			t[i + 1] = (struct kernel){ .asked = names[i],
						    .letter = 'b',
						    .metadata = FAKE_METADATA };
			text_printf(&m,
				    "%s{\"repo-id\": \"k/n%u\", "
				    "\"version\": 1}",
				    i ? ", " : "", i);
		}
		t[n + 1] = (struct kernel){ .asked = NULL };
		struct text all = TEXT_INIT(1 << 20);

		text_printf(&all, "%.*s, \"kernel-depends\": [%s]}",
			    (int)(sizeof(FAKE_METADATA) - 2), FAKE_METADATA,
			    text_str(&m));
		t[0] = (struct kernel){ .asked = "k/a@v1",
					.letter = 'a',
					.metadata = text_str(&all) };
		p = made(t);
		assert_int_equal(p->refused, over ? ENODEV : 0);
		assert_int_equal(p->depend_count, over ? 0 : PICK_DEPENDS_MAX);
		pick_free(p);
		text_done(&all);
	}
	text_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_comes_before_who_needs_it),
		cmocka_unit_test(one_repository_may_be_needed_twice),
		cmocka_unit_test(refuses_a_circle_of_any_length),
		cmocka_unit_test(refuses_what_cannot_be_had),
		cmocka_unit_test(refuses_an_untrusted_publisher_below),
		cmocka_unit_test(tells_the_builds_of_the_one_that_has_none),
		cmocka_unit_test(refuses_names_that_are_none),
		cmocka_unit_test(a_failure_is_no_decision),
		cmocka_unit_test(bounds_how_many_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
