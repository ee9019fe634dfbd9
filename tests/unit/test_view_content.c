/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include "viewed.h"

/* ---- links ---- */

/* "a/b" + "../c" = "a/c" */
static void join(char out[4096], const char *folder, const char *target)
{
	(void)snprintf(out, 4096, "%s", folder);
	while (!strncmp(target, "../", 3)) {
		char *slash = strrchr(out, '/');

		if (!slash)
			slash = out;
		else
			assert_true(slash > out);
		*slash = '\0';
		target += 3;
	}
	(void)snprintf(out + strlen(out), 4096 - strlen(out), "/%s", target);
}

static void links_lead_to_what_is_there(void **state)
{
	static const struct {
		const char *folder;
		const char *name;
		const char *target;
	} rows[] = {
		{ "relu", "build", "../" RELU "/build" },
		{ "my_nest", "build", "../" NEST "/build" },
		{ "acme", "relu", "relu@v1" },
		{ "acme", "my-nest", "my-nest@main" },
		{ "acme", "relu@v1", "relu@" FAKE_C1 },
		{ "acme", "relu@1", "relu@" FAKE_C1 },
		{ "acme", "relu@latest", "relu@" FAKE_C1 },
		{ RELU "/.kernelfs/variants", OTHER, "../../build/" OTHER },
		{ ".env", SPEC "+sm90+sm80", SPEC "+sm80+sm90" },
		{ ENVS, "relu", "../../" RELU "/build/" BEST },
		{ ENVS, "my_nest", "../../" NEST "/build/" BEST "/my_nest" },
		{ ENVS "/acme", "relu", "relu@v1" },
		{ ENVS "/" RELU, "README.md",
		  "../../../../" RELU "/README.md" },
		{ ENVS "/" RELU, "docs", "../../../../" RELU "/docs" },
		{ ENVS "/" RELU "/build", OTHER,
		  "../../../../../" RELU "/build/" OTHER },
		{ ENVS "/" RELU "/python", "relu",
		  "../../../../../" RELU "/build/" BEST },
		{ ENVS "/" NEST "/python", "my_nest",
		  "../../../../../" NEST "/build/" BEST "/my_nest" },
		{ ".kernelfs/owners", "acme", "../../acme" },
		{ SNAP, "README.md", "../../../../" RELU "/README.md" },
		{ SNAP, "docs", "../../../../" RELU "/docs" },
		{ SNAP "/build", BEST, "../../../../../" RELU "/build/" BEST },
		{ RELU "/build/" BEST "/sub", "again.py", "../__init__.py" },
	};
	struct fakeworld *f = *state;

	for (int round = 0; round < 2; round++) /* undecided, decided */
		for (size_t i = 0; i < N(rows); i++) {
			char path[4096];
			struct text t = TEXT_INIT(4096);
			struct view_attr a;
			struct node *n;

			(void)snprintf(path, sizeof(path), "%s/%s",
				       rows[i].folder, rows[i].name);
			n = fakeworld_at(f, path);
			if (fakeworld_readlink(f, n, &t) != 0)
				fail_msg("%s: %s", path, err_text(&f->err));
			assert_string_equal(text_str(&t), rows[i].target);
			view_attr(f->view, n, &a);
			if (a.size || round)
				assert_int_equal(a.size, t.len);
			put(f, n);
			join(path, rows[i].folder, text_str(&t));
			put(f, fakeworld_at(f, path));
			text_done(&t);
		}
}

static void is_no_link(void **state)
{
	static const char *const rows[] = { "relu", RELU "/README.md", "" };
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = fakeworld_at(f, rows[i]);
		struct text t = TEXT_INIT(64);

		assert_int_equal(fakeworld_readlink(f, n, &t), -EINVAL);
		text_done(&t);
		put(f, n);
	}
}

/* ---- content ---- */

static void holds(struct fakeworld *f, const char *path, const char *want,
		  size_t len)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(1 << 20);
	struct view_attr a;

	if (fakeworld_read(f, n, &t) != 0)
		fail_msg("%s: %s", path, err_text(&f->err));
	assert_int_equal(t.len, len);
	assert_memory_equal(text_str(&t), want, len);
	view_attr(f->view, n, &a);
	assert_int_equal(a.size, len);
	assert_true(view_is_constant(n));
	text_done(&t);
	put(f, n);
}

static void reads_what_the_source_holds(void **state)
{
	struct fakeworld *f = *state;

	for (int round = 0; round < 2; round++) {
		holds(f, RELU "/README.md", "read me", 7);
		holds(f, RELU "/build/" BEST "/sub/_k.so", "library", 7);
		holds(f, RELU "/build/stray.txt", "no build", 8);
		holds(f, RELU "/" STRANGE, "strange", 7);
		holds(f, HUB "/refs/v1", FAKE_C1, REF_COMMIT_LEN);
		holds(f, "relu/__init__.py", door_stub()->text,
		      door_file_size(door_stub()));
		holds(f, RELU "/python/relu/__init__.py", door_stub()->text,
		      door_file_size(door_stub()));
		for (size_t i = 0; door_file_at(i); i++) {
			const struct door_file *d = door_file_at(i);
			char path[64];

			(void)snprintf(path, sizeof(path), ".kernelfs/door/%s",
				       d->name);
			holds(f, path, d->text, door_file_size(d));
		}
	}
}

static uint64_t ino_of(struct fakeworld *f, const char *path)
{
	struct node *n = fakeworld_at(f, path);
	struct view_attr a;

	view_attr(f->view, n, &a);
	put(f, n);
	return a.ino;
}

static void the_same_bytes_are_the_same_inode(void **state)
{
	struct fakeworld *f = *state;

	assert_true(ino_of(f, RELU "/README.md") ==
		    ino_of(f, BARE "/README.md"));
	assert_true(ino_of(f, RELU "/build/" BEST "/__init__.py") ==
		    ino_of(f, RELU "/build/" OTHER "/__init__.py"));
	assert_true(ino_of(f, RELU "/README.md") !=
		    ino_of(f, RELU "/docs/deep/b.txt"));
	assert_true(ino_of(f, "relu/__init__.py") ==
		    ino_of(f, "my_nest/__init__.py"));
	assert_true(ino_of(f, RELU "/docs") != ino_of(f, RELU "/docs/deep"));
}

static void never_hands_out_wrong_bytes(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, RELU "/README.md");
	struct text t = TEXT_INIT(64);

	f->fake.wrong_bytes = true;
	assert_int_equal(fakeworld_read(f, n, &t), -EBADMSG);
	assert_int_equal(t.len, 0);
	text_done(&t);
	put(f, n);
	assert_int_equal(fakeworld_walk(f, ENVS "/relu", &n), -EBADMSG);
}

static char *content(struct fakeworld *f, const char *path)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(1 << 20);

	if (fakeworld_read(f, n, &t) != 0)
		fail_msg("%s: %s", path, err_text(&f->err));
	assert_false(view_is_constant(n));
	put(f, n);
	return text_take(&t);
}

/* Of what may not be used there is nothing to supply. */
static void tells_no_door_of_what_is_refused(void **state)
{
	struct fakeworld *f = *state;
	struct node *evil = fakeworld_at(f, EVIL "/.kernelfs/depends.json");
	struct node *alien = fakeworld_at(f, ".env/" ALIEN "/" NEST
					     "/.kernelfs/depends.json");
	struct text t = TEXT_INIT(1 << 16);

	assert_int_equal(fakeworld_read(f, evil, &t), -EACCES);
	assert_non_null(strstr(err_text(&f->err), "trust=zeta"));
	assert_int_equal(fakeworld_read(f, alien, &t), -ENOENT);
	assert_non_null(strstr(err_text(&f->err), "no build fits"));
	assert_int_equal(t.len, 0);
	text_done(&t);
	put(f, evil);
	put(f, alien);
}

static void tells_its_decisions(void **state)
{
	static const struct {
		const char *path;
		const char *says[3];
	} rows[] = {
		{ RELU "/.kernelfs/decision", { "acme/relu", BEST, OTHER } },
		{ RELU "/.kernelfs/decision.json",
		  { "\"/kernels/" RELU "/build/" BEST "\"", "\"" SPEC,
		    "\"reason\"" } },
		{ NEST "/.kernelfs/decision.json",
		  { "/build/" BEST "/my_nest\"", "\"my_nest\"", "" } },
		{ NEST "/.kernelfs/decision",
		  { "needs        acme/relu@v1 -> " RELU ", " BEST, "", "" } },
		{ NEST "/.kernelfs/depends.json",
		  { "\"needs\": {\"acme/relu\": \"acme/relu@v1\"}",
		    "{\"path\": \"" RELU "/build/" BEST "\", \"id\": "
		    "\"_relu\"",
		    "\"backend\": \"cpu\"" } },
		{ ENVS "/" RELU "/.kernelfs/depends.json",
		  { "\"needs\": {}", "\"kernels\": {}", "" } },
		{ ".env/" ALIEN "/" RELU "/.kernelfs/decision",
		  { ALIEN, "none", "" } },
		{ ".env/" ALIEN "/relu.why",
		  { "acme/relu@v1: no build fits", "environment: " ALIEN,
		    BEST } },
		{ ".env/" ALIEN "/" RELU "/python/relu.why",
		  { "acme/relu@", "no build fits", BEST } },
		{ ENVS "/bare.why", { "this revision has no builds", "", "" } },
		{ ENVS "/evil.why",
		  { "'zeta' is not trusted", "trust=zeta", BEST } },
		{ EVIL "/.kernelfs/decision", { "not trusted", BEST, "" } },
		{ ".kernelfs/version", { "kernelfs ", "", "" } },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		char *s = content(f, rows[i].path);

		for (size_t k = 0; k < N(rows[i].says); k++)
			if (rows[i].says[k])
				says(s, rows[i].says[k]);
		free(s);
	}
}

static void a_why_tells_of_the_source_too(void **state)
{
	struct fakeworld *f = *state;
	char *s;

	f->fake.fails[FAKE_REFS] = -EIO;
	s = content(f, ENVS "/relu.why");
	says(s, "told to fail");
	says(s, "acme/relu");
	says(s, SPEC);
	free(s);
}

/* ---- extended attributes ---- */

static void is_xattr(struct fakeworld *f, const char *path, const char *name,
		     const char *want)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(4096);
	char full[64];
	int r;

	(void)snprintf(full, sizeof(full), "user.kernelfs.%s", name);
	r = fakeworld_xattr(f, n, full, &t);
	if (!want && r != -ENODATA)
		fail_msg("%s of '%s': %d", name, path, r);
	if (want && (r != 0 || strcmp(text_str(&t), want) != 0))
		fail_msg("%s of '%s': %d: '%s' and not '%s'", name, path, r,
			 text_str(&t), want);
	text_done(&t);
	put(f, n);
}

static void says_of_each_node_what_it_is(void **state)
{
	static const struct {
		const char *path;
		const char *name;
		const char *want; /* NULL: none */
	} rows[] = {
		{ RELU, "repo", "acme/relu" },
		{ RELU "/README.md", "commit", FAKE_C1 },
		{ RELU "/python/relu", "source", FAKE_URL },
		{ RELU "/build/" BEST, "variant", BEST },
		{ RELU "/build/" BEST "/sub/_k.so", "variant", BEST },
		{ RELU "/build/" BEST "/sub", "reason", "chosen" },
		{ RELU, "revision", FAKE_C1 },
		{ RELU, "variant", NULL },
		{ RELU, "hash", NULL },
		{ RELU, "nothing", NULL },
		{ RELU, "", NULL },
		{ RELU "/docs", "state", NULL },
		{ RELU "/README.md", "reason", NULL },
		{ "acme", "repo", NULL },
		{ "", "repo", NULL },
		{ "relu/__init__.py", "repo", NULL },
		{ RELU "/README.md", "state", "remote" },
		{ RELU "/build/" OTHER, "state", "remote" },
	};
	struct fakeworld *f = *state;
	struct node *n;
	struct text t = TEXT_INIT(4096);

	for (size_t i = 0; i < N(rows); i++)
		is_xattr(f, rows[i].path, rows[i].name, rows[i].want);
	put(f, fakeworld_at(f, "acme/relu@v1"));
	is_xattr(f, RELU, "revision", "v1");
	holds(f, RELU "/README.md", "read me", 7);
	is_xattr(f, RELU "/README.md", "state", "verified");
	holds(f, RELU "/build/" OTHER "/__init__.py", "x = 1", 5);
	is_xattr(f, RELU "/build/" OTHER, "state", "verified");
	n = fakeworld_at(f, RELU "/build/" OTHER);
	assert_int_equal(fakeworld_xattr(f, n, "user.kernelfs.reason", &t), 0);
	says(text_str(&t), "2.12");
	text_clear(&t);
	assert_int_equal(fakeworld_xattr(f, n, "security.selinux", &t),
			 -ENODATA);
	assert_int_equal(fakeworld_xattr(f, n, "user.kernelfs", &t), -ENODATA);
	text_done(&t);
	put(f, n);
}

static void names_only_attributes_that_it_has(void **state)
{
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(there); i++) {
		struct node *n = fakeworld_at(f, there[i].path);
		struct text t = TEXT_INIT(4096);

		view_xattr_names(n, &t);
		for (size_t at = 0; at < t.len; at += strlen(t.s + at) + 1) {
			struct text value = TEXT_INIT(4096);

			if (fakeworld_xattr(f, n, t.s + at, &value) != 0 ||
			    !value.len)
				fail_msg("%s of '%s'", t.s + at, there[i].path);
			text_done(&value);
		}
		text_done(&t);
		put(f, n);
	}
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(links_lead_to_what_is_there),
		unit(is_no_link),
		unit(reads_what_the_source_holds),
		unit(the_same_bytes_are_the_same_inode),
		unit(never_hands_out_wrong_bytes),
		unit(tells_no_door_of_what_is_refused),
		unit(tells_its_decisions),
		unit(a_why_tells_of_the_source_too),
		unit(says_of_each_node_what_it_is),
		unit(names_only_attributes_that_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
