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
#define STABLE "torch-stable-abi210-cpu-x86_64-linux"
#define BEST "torch213-cxx11-cpu-x86_64-linux"
#define NOARCH "torch-cpu"
#define OTHER "torch212-cxx11-cpu-x86_64-linux"
#define COMMIT FAKE_C1

static const struct repo_id relu = { .owner = "acme", .name = "my-relu" };

/* ---- a world of builds, in memory ---- */

struct build {
	const char *name;
	const char *files;    /* blank between them; '/' at a folder's end */
	const char *metadata; /* NULL: none */
	int fails;	      /* -errno of its listing */
	int unread;	      /* -errno of its metadata */
};

struct world {
	struct build builds[8];
	const char *stray; /* a file in build/ */
	int no_builds;	   /* -errno instead of the names */
	int trusted;
	unsigned listed;
	char last[64]; /* the build that was listed last */
};

static struct tree *tree_of(const char *const *paths, size_t n)
{
	struct tree_builder *b = NULL;
	struct digest d = { .kind = DIGEST_GIT };
	struct tree *tree = NULL;
	void *bytes = NULL;
	size_t len = 0;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		char path[128];
		size_t end = strlen(paths[i]);
		bool folder = end && paths[i][end - 1] == '/';

		(void)snprintf(path, sizeof(path), "%.*s", (int)(end - folder),
			       paths[i]);
		assert_int_equal(
			tree_builder_add(
				b, path, folder ? TREE_FOLDER : TREE_FILE,
				folder ? 0 : 1, folder ? NULL : &d, NULL),
			0);
	}
	assert_int_equal(tree_builder_end(b, &bytes, &len, NULL), 0);
	tree_builder_free(b);
	assert_int_equal(tree_from_bytes(&tree, bytes, len, NULL), 0);
	free(bytes);
	return tree;
}

static const struct build *build_of(const struct world *w, const char *name)
{
	const struct build *b = w->builds;

	while (b->name && strcmp(b->name, name) != 0)
		b++;
	assert_non_null(b->name);
	return b;
}

static int world_builds(void *ctx, const struct pick *p, struct tree **out,
			struct err *err)
{
	const struct world *w = ctx;
	char names[9][64];
	const char *paths[9];
	size_t n = 0;

	assert_string_equal(p->commit, COMMIT);
	if (w->no_builds)
		return err_set(err, -w->no_builds, "no names today");
	for (; w->builds[n].name; n++) {
		(void)snprintf(names[n], sizeof(names[n]), "%s/",
			       w->builds[n].name);
		paths[n] = names[n];
	}
	if (w->stray)
		paths[n++] = w->stray;
	*out = tree_of(paths, n);
	return 0;
}

static int world_trusted(void *ctx, const struct pick *p, struct err *err)
{
	const struct world *w = ctx;

	assert_string_equal(p->repo.owner, "acme");
	return w->trusted < 0 ? err_set(err, -w->trusted, "no trust today")
			      : w->trusted;
}

static int world_listing(void *ctx, const struct pick *p, const char *variant,
			 struct tree **out, struct err *err)
{
	struct world *w = ctx;
	const struct build *b = build_of(w, variant);
	const char *paths[16];
	char files[256];
	char *rest = NULL;
	size_t n = 0;

	(void)p;
	w->listed++;
	(void)snprintf(w->last, sizeof(w->last), "%s", variant);
	if (b->fails)
		return err_set(err, -b->fails, "no listing today");
	(void)snprintf(files, sizeof(files), "%s", b->files);
	for (char *f = strtok_r(files, " ", &rest); f;
	     f = strtok_r(NULL, " ", &rest))
		paths[n++] = f;
	*out = tree_of(paths, n);
	return 0;
}

static int world_metadata(void *ctx, const struct pick *p, const char *variant,
			  struct tree *build, struct text *out, struct err *err)
{
	const struct build *b = build_of(ctx, variant);

	(void)p;
	assert_non_null(build);
	if (b->unread)
		return err_set(err, -b->unread, "no metadata today");
	if (!b->metadata)
		return -ENOENT;
	text_add(out, b->metadata);
	return 0;
}

static int make(struct world *w, struct pick **out, struct err *err)
{
	const struct pick_world world = {
		.ctx = w,
		.builds = world_builds,
		.trusted = world_trusted,
		.listing = world_listing,
		.metadata = world_metadata,
	};
	struct env env;

	assert_int_equal(env_parse(&env, SPEC, NULL), 0);
	return pick_make(out, &relu, COMMIT, &env, &world, err);
}

static struct pick *made(struct world *w)
{
	struct err err = ERR_INIT;
	struct pick *p = NULL;

	if (make(w, &p, &err) != 0)
		fail_msg("no pick: %s", err_text(&err));
	assert_non_null(p);
	return p;
}

static const char *reason_of(const struct pick *p, const char *name)
{
	for (size_t i = 0; i < p->decisions.count; i++)
		if (!strcmp(p->decisions.items[i].name, name))
			return p->decisions.items[i].accepted
				       ? ""
				       : p->decisions.items[i].reason;
	fail_msg("'%s' was not decided", name);
	return NULL;
}

static void says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' does not say '%s'", text, what);
}

static void says_not(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("'%s' says '%s'", text, what);
}

/* ---- which one ---- */

#define WHOLE "__init__.py metadata.json"

static void takes_the_best_build_that_fits(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = { { NOARCH, WHOLE, FAKE_METADATA, 0, 0 },
				       { BEST, WHOLE, FAKE_METADATA, 0, 0 },
				       { OTHER, WHOLE, FAKE_METADATA, 0, 0 } },
			   .stray = "torch211-cxx11-cpu-x86_64-linux" };
	struct pick *p = made(&w);

	(void)state;
	assert_string_equal(p->variant, BEST);
	assert_int_equal(p->refused, 0);
	assert_string_equal(p->package, "my_relu");
	assert_string_equal(p->spec, SPEC);
	assert_string_equal(p->commit, COMMIT);
	assert_false(p->nested);
	assert_false(p->own.dirty);
	assert_int_equal(tree_count(p->tree), 2);
	/* Only folders are builds, and only the best was looked into. */
	assert_int_equal(p->decisions.count, 3);
	assert_int_equal(p->decisions.accepted, 2);
	assert_int_equal(w.listed, 1);
	says(reason_of(p, OTHER), "2.12");
	pick_free(p);
	pick_free(NULL);
}

static void passes_over_an_upload_without_metadata(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = {
				   { BEST, "__init__.py", NULL, 0, 0 },
				   { NOARCH, WHOLE, FAKE_METADATA, 0, 0 },
				   { OTHER, WHOLE, FAKE_METADATA, 0, 0 } } };
	struct pick *p = made(&w);

	(void)state;
	assert_string_equal(p->variant, NOARCH);
	assert_string_equal(reason_of(p, BEST),
			    "incomplete upload: no metadata.json");
	assert_int_equal(p->decisions.accepted, 1);
	assert_ptr_equal(p->variant, p->decisions.items[0].name);
	pick_free(p);
}

static void passes_over_an_upload_that_lacks_a_file(void **state)
{
	static const char lists_more[] = FAKE_METADATA_WITH(
		", \"digest\": {\"algorithm\": \"sha256\", \"files\": "
		"{\"__init__.py\": \"eA==\", \"lost.so\": \"eA==\"}}");
	struct world w = { .trusted = 1,
			   .builds = { { BEST, WHOLE, lists_more, 0, 0 },
				       { NOARCH, WHOLE " lost.so", lists_more,
					 0, 0 } } };
	struct pick *p = made(&w);

	(void)state;
	assert_string_equal(p->variant, NOARCH);
	says(reason_of(p, BEST), "incomplete upload: ");
	says(reason_of(p, BEST), "lost.so");
	pick_free(p);
}

static void passes_over_metadata_that_cannot_be_read(void **state)
{
	static const char *const bad[] = {
		"", "{", "[1, 2]", "null", "{\"name\": \"relu\"}", "\xff\xfe{}"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world w = {
			.trusted = 1,
			.builds = { { BEST, WHOLE, bad[i], 0, 0 },
				    { NOARCH, WHOLE, FAKE_METADATA, 0, 0 } },
		};
		struct pick *p = made(&w);

		assert_string_equal(p->variant, NOARCH);
		assert_true(strlen(reason_of(p, BEST)) > 5);
		says_not(reason_of(p, BEST), "incomplete");
		pick_free(p);
	}
}

static void finds_the_package_within_the_build(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = { { BEST,
					 "my_relu/__init__.py "
					 "metadata.json",
					 FAKE_METADATA, 0, 0 } } };
	struct pick *p = made(&w);

	(void)state;
	assert_string_equal(p->variant, BEST);
	assert_true(p->nested);
	pick_free(p);
	/* Where both are, the build itself is the package. */
	w.builds[0].files = "__init__.py my_relu/__init__.py metadata.json";
	p = made(&w);
	assert_false(p->nested);
	pick_free(p);
}

static void passes_over_a_build_that_nobody_can_import(void **state)
{
	static const char *const files[] = {
		"metadata.json relu.py",
		"metadata.json __init__.py/x.py",
		"metadata.json my-relu/__init__.py",
		"metadata.json my_relu/__init__.py/x.py",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct world w = { .trusted = 1,
				   .builds = { { BEST, files[i], FAKE_METADATA,
						 0, 0 } } };
		struct pick *p = made(&w);

		assert_null(p->variant);
		assert_null(p->tree);
		assert_int_equal(p->refused, ENODEV);
		says(reason_of(p, BEST), "no __init__.py");
		says(reason_of(p, BEST), "my_relu");
		pick_free(p);
	}
}

/* ---- none ---- */

static void refuses_what_an_unknown_publisher_offers(void **state)
{
	struct world w = { .trusted = 0,
			   .builds = {
				   { BEST, WHOLE, FAKE_METADATA, 0, 0 },
				   { OTHER, WHOLE, FAKE_METADATA, 0, 0 } } };
	struct text t = TEXT_INIT(4096);
	struct pick *p = made(&w);

	(void)state;
	assert_int_equal(p->refused, EACCES);
	assert_null(p->variant);
	assert_null(p->tree);
	assert_int_equal(w.listed, 0); /* nothing of it was looked into */
	says(p->why, "'acme' is not trusted");
	says(p->why, "trust=acme/my-relu");
	assert_int_equal(p->decisions.count, 2); /* said all the same */
	pick_report(p, "v1", &t);
	says(text_str(&t), "fits, not used");
	says_not(text_str(&t), "chosen\n");
	text_done(&t);
	pick_free(p);
}

static void says_why_nothing_fits(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = {
				   { OTHER, WHOLE, FAKE_METADATA, 0, 0 },
				   { "junk", WHOLE, FAKE_METADATA, 0, 0 } } };
	struct pick *p = made(&w);

	(void)state;
	assert_int_equal(p->refused, ENODEV);
	assert_null(p->variant);
	assert_string_equal(p->why, "no build fits this environment");
	assert_int_equal(p->decisions.skipped_count, 1);
	assert_string_equal(p->decisions.skipped[0], "junk");
	assert_int_equal(w.listed, 0);
	pick_free(p);
}

static void takes_a_revision_without_builds_for_an_answer(void **state)
{
	struct world w = { .trusted = 1, .no_builds = -ENOENT };
	struct pick *p = made(&w);

	(void)state;
	assert_int_equal(p->refused, ENODEV);
	assert_string_equal(p->why, "this revision has no builds");
	assert_int_equal(p->decisions.count, 0);
	pick_free(p);
	w.no_builds = 0;
	p = made(&w); /* an empty build/ */
	assert_string_equal(p->why, "this revision has no builds");
	pick_free(p);
}

/* ---- a world that does not answer ---- */

static void fails(struct world *w, int want, const char *text)
{
	struct pick *const untouched = (struct pick *)(void *)w;
	struct pick *p = untouched;
	struct err err = ERR_INIT;

	assert_int_equal(make(w, &p, &err), want);
	assert_ptr_equal(p, untouched);
	assert_int_equal(err.code, -want);
	says(err.text, text);
	assert_int_equal(make(w, &p, NULL), want);
}

static void hands_the_worlds_failures_through(void **state)
{
	static const int codes[] = { -EAGAIN, -EIO, -ETIMEDOUT, -EACCES,
				     -ECANCELED };
	static const struct world good = {
		.trusted = 1,
		.builds = { { BEST, WHOLE, FAKE_METADATA, 0, 0 },
			    { NOARCH, WHOLE, FAKE_METADATA, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct world w = good;

		w.no_builds = codes[i];
		fails(&w, codes[i], "no names today");
		w = good;
		w.trusted = codes[i];
		fails(&w, codes[i], "no trust today");
		w = good;
		w.builds[0].fails = codes[i];
		fails(&w, codes[i], "no listing today");
		w = good;
		w.builds[0].unread = codes[i];
		fails(&w, codes[i], "no metadata today");
		/* It is not the next build's turn then. */
		assert_string_equal(w.last, BEST);
	}
}

static void a_build_that_cannot_be_listed_is_no_missing_one(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = { { BEST, WHOLE, FAKE_METADATA, -ENOENT,
					 0 } } };

	(void)state;
	fails(&w, -ENOENT, "no listing today");
}

/* ---- reports ---- */

static const char dirty[] = FAKE_METADATA_WITH(
	", \"provenance\": {\"kernel-builder\": {\"version\": \"1\"}, "
	"\"kernel\": {\"commit\": "
	"\"0123456789012345678901234567890123456789\", \"dirty\": true}}");

static void reports_the_choice_and_the_reasons(void **state)
{
	struct world w = {
		.trusted = 1,
		.builds = { { BEST, "my_relu/__init__.py metadata.json", dirty,
			      0, 0 },
			    { NOARCH, WHOLE, FAKE_METADATA, 0, 0 },
			    { OTHER, WHOLE, FAKE_METADATA, 0, 0 },
			    { "junk", WHOLE, FAKE_METADATA, 0, 0 } },
	};
	struct text t = TEXT_INIT(8192);
	struct pick *p = made(&w);

	(void)state;
	pick_report(p, "v2", &t);
	says(text_str(&t), "acme/my-relu@v2\n");
	says(text_str(&t), COMMIT);
	says(text_str(&t), SPEC);
	says(text_str(&t), "build        " BEST "\n");
	says(text_str(&t), "package      " BEST "/my_relu\n");
	says(text_str(&t), "uncommitted");
	says(text_str(&t), "chosen\n");
	says(text_str(&t), "fits too\n");
	says(text_str(&t), reason_of(p, OTHER));
	says(text_str(&t), "junk");
	text_clear(&t);
	pick_report(p, "", &t);
	says(text_str(&t), "acme/my-relu\n");
	text_done(&t);
	pick_free(p);
}

/* What was said of a build that is then refused is not said of the kernel. */
static void does_not_call_a_refused_build_dirty(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = {
				   { BEST, "metadata.json", dirty, 0, 0 } } };
	struct text t = TEXT_INIT(8192);
	struct pick *p = made(&w);

	(void)state;
	assert_null(p->variant);
	assert_false(p->own.dirty);
	assert_false(p->nested);
	pick_report(p, "", &t);
	says_not(text_str(&t), "uncommitted");
	text_done(&t);
	pick_free(p);
}

static void tells_the_door_all_of_it(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = {
				   { BEST, WHOLE, NULL, 0, 0 },
				   { OTHER, WHOLE, FAKE_METADATA, 0, 0 } } };
	struct text t = TEXT_INIT(8192);
	struct pick *p = made(&w);

	(void)state;
	pick_why(p, "v2", &t);
	says(text_str(&t), "acme/my-relu@v2: no build fits this environment\n");
	says(text_str(&t), "environment: " SPEC "\n");
	says(text_str(&t), "commit: " COMMIT "\n");
	says(text_str(&t), reason_of(p, OTHER));
	says(text_str(&t), "incomplete upload");
	text_done(&t);
	pick_free(p);
}

static struct json *json_of(const struct pick *p, const char *revision,
			    const char *mountpoint)
{
	struct text t = TEXT_INIT(1 << 16);
	struct err err = ERR_INIT;
	struct json *j = NULL;

	pick_json(p, revision, mountpoint, &t);
	assert_int_equal(text_failed(&t), 0);
	if (json_parse(&j, text_str(&t), t.len, &err) < 0)
		fail_msg("%s: %s", err_text(&err), text_str(&t));
	text_done(&t);
	return j;
}

static void prints_the_decision_as_json(void **state)
{
	struct world w = { .trusted = 1,
			   .builds = {
				   { BEST, WHOLE, FAKE_METADATA, 0, 0 },
				   { OTHER, WHOLE, FAKE_METADATA, 0, 0 } } };
	struct pick *p = made(&w);
	struct json *j = json_of(p, "v1", "/kernels");
	const struct json *d = json_get(j, "decisions");

	(void)state;
	assert_string_equal(json_get_string(j, "repo"), "acme/my-relu");
	assert_string_equal(json_get_string(j, "revision"), "v1");
	assert_string_equal(json_get_string(j, "commit"), COMMIT);
	assert_string_equal(json_get_string(j, "package"), "my_relu");
	assert_string_equal(json_get_string(j, "variant"), BEST);
	assert_string_equal(json_get_string(j, "path"),
			    "/kernels/acme/my-relu@" COMMIT "/build/" BEST);
	assert_null(json_get(j, "refused"));
	assert_string_equal(json_get_string(json_get(j, "environment"), "cpu"),
			    "x86_64");
	assert_int_equal(json_count(d), 2);
	d = json_first(d);
	assert_string_equal(json_get_string(d, "variant"), BEST);
	assert_true(json_bool(json_get(d, "accepted"), false));
	assert_string_equal(json_get_string(d, "reason"), "");
	d = json_next(d);
	assert_false(json_bool(json_get(d, "accepted"), true));
	assert_string_equal(json_get_string(d, "reason"), reason_of(p, OTHER));
	json_free(j);
	pick_free(p);
}

static void prints_null_where_nothing_fits(void **state)
{
	struct world w = { .trusted = 1, .no_builds = -ENOENT };
	struct pick *p = made(&w);
	struct json *j = json_of(p, "", "/kernels");

	(void)state;
	assert_true(json_is_null(json_get(j, "variant")));
	assert_true(json_is_null(json_get(j, "path")));
	assert_string_equal(json_get_string(j, "refused"),
			    "this revision has no builds");
	assert_int_equal(json_count(json_get(j, "decisions")), 0);
	json_free(j);
	pick_free(p);
}

/* A tree holds any bytes but control bytes in a name. */
static void prints_valid_json_for_hostile_names(void **state)
{
	struct world w = {
		.trusted = 1,
		.builds = { { "a\"b\\c", WHOLE, NULL, 0, 0 },
			    { "\xff\xfe\xc3", WHOLE, NULL, 0, 0 },
			    { "%s%n<b>", WHOLE, NULL, 0, 0 },
			    { "torch213-cxx11-cpu-x86_64-li\"nux", WHOLE, NULL,
			      0, 0 } },
	};
	struct pick *p = made(&w);
	struct json *j = json_of(p, "\"quoted\"\n", NULL);
	struct text t = TEXT_INIT(8192);

	(void)state;
	assert_int_equal(p->decisions.count + p->decisions.skipped_count, 4);
	assert_int_equal(json_count(json_get(j, "decisions")) +
				 json_count(json_get(j, "skipped")),
			 4);
	assert_string_equal(json_get_string(j, "revision"), "\"quoted\"\n");
	json_free(j);
	pick_report(p, "", &t);
	says(text_str(&t), "%s%n<b>");
	text_done(&t);
	pick_free(p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_best_build_that_fits),
		cmocka_unit_test(passes_over_an_upload_without_metadata),
		cmocka_unit_test(passes_over_an_upload_that_lacks_a_file),
		cmocka_unit_test(passes_over_metadata_that_cannot_be_read),
		cmocka_unit_test(finds_the_package_within_the_build),
		cmocka_unit_test(passes_over_a_build_that_nobody_can_import),
		cmocka_unit_test(refuses_what_an_unknown_publisher_offers),
		cmocka_unit_test(says_why_nothing_fits),
		cmocka_unit_test(takes_a_revision_without_builds_for_an_answer),
		cmocka_unit_test(hands_the_worlds_failures_through),
		cmocka_unit_test(
			a_build_that_cannot_be_listed_is_no_missing_one),
		cmocka_unit_test(reports_the_choice_and_the_reasons),
		cmocka_unit_test(does_not_call_a_refused_build_dirty),
		cmocka_unit_test(tells_the_door_all_of_it),
		cmocka_unit_test(prints_the_decision_as_json),
		cmocka_unit_test(prints_null_where_nothing_fits),
		cmocka_unit_test(prints_valid_json_for_hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
