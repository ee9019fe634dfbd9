/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names over time: ranges, locks, what is asked for again, and what counts
 * while a source does not answer.
 */
#include "resolver/resolve.h"

#include "base/io.h"
#include "base/text.h"
#include "resolver/lockfile.h"
#include "resolving.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#define END \
	{ \
		NULL, NULL, NULL, false \
	}

static const struct fake_ref moved[] = {
	{ "acme/relu", "v1", FAKE_C2, false },
	{ "acme/relu", "v2", FAKE_C3, false },
	{ "acme/silu", "v1", FAKE_C3, false },
	END,
};

/* ---- ranges ---- */

static void a_range_is_the_highest_tag_that_fits(void **state)
{
	static const struct fake_ref some[] = {
		{ "a/b", "v0.0.1", FAKE_C1, true },
		{ "a/b", "v0.0.2", FAKE_C2, true },
		{ "a/b", "v0.0.10", FAKE_C3, true },
		{ "a/b", "v1.0.0rc1", FAKE_C1, true },
		{ "a/b", "v0.5.0", FAKE_C1, false }, /* a branch */
		{ "a/b", "0.6.0", FAKE_C1, true },
		{ "a/b", "vnext", FAKE_C1, true },
		END,
	};
	struct world *w = *state;

	w->fake.refs = some;
	is_commit(w, "a/b@>=0.0.2,<0.1", FAKE_C3, "v0.0.10");
	is_commit(w, "a/b@>= 0.0.2, <0.1", FAKE_C3, "v0.0.10");
	is_commit(w, "a/b@<0.0.10", FAKE_C2, "v0.0.2");
	is_commit(w, "a/b@==0.*", FAKE_C3, "v0.0.10");
	is_commit(w, "a/b@!=0.0.10", FAKE_C2, "v0.0.2");
	is_commit(w, "a/b@>=0.1", FAKE_C1, "v1.0.0rc1");
	assert_int_equal(ask_commit(w, "a/b@>2", NULL), -ENOENT);
	says(w, "'a/b@>2'");
	says(w, "in that range");
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
}

/* ---- locks ---- */

#define LOCK(rows) "[" rows "]"
#define ENTRY(repo, version, commit) \
	"{\"dependency\": {\"repo-id\": \"" repo "\", \"version\": " version \
	"}, \"lock\": {\"commit\": \"" commit "\"}}"

static void use_lock(struct world *w, struct lockfile *lock, const char *text,
		     bool locked)
{
	struct err err = ERR_INIT;

	if (lockfile_parse(lock, "dir/kernels.lock", text, strlen(text), &err) <
	    0)
		fail_msg("%s", err_text(&err));
	w->options.lock = lock;
	w->options.locked = locked;
	again(w);
}

/* Nothing that it was told may outlive the lock. */
static void end_lock(struct world *w, struct lockfile *lock)
{
	w->options.lock = NULL;
	w->options.locked = false;
	again(w);
	lockfile_done(lock);
}

static void a_lock_leads_to_its_commits_and_asks_nobody(void **state)
{
	static const struct ref named[] = {
		{ .repo = { "acme", "relu" }, .kind = REV_NAME, .rev = "main" },
	};
	struct resolve_commit c = { .commit = "" };
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;

	w->options.named = named;
	w->options.named_count = 1;
	use_lock(w, &lock,
		 LOCK(ENTRY("acme/relu", "1", FAKE_C3) "," ENTRY("acme/relu",
								 "4", FAKE_C2)),
		 false);
	is_commit(w, "acme/relu", FAKE_C3, "v1");
	is_commit(w, "acme/relu@v1", FAKE_C3, "v1");
	is_commit(w, "acme/relu@1", FAKE_C3, "v1");
	is_commit(w, "acme/relu@v4", FAKE_C2, "v4");
	assert_int_equal(ask_commit(w, "acme/relu", &c), 0);
	assert_true(c.pinned);
	assert_int_equal(fake_asked_all(&w->fake), 0);
	/* what goes round it, and what it does not list */
	is_commit(w, "acme/relu@latest", FAKE_C1, "v1");
	is_commit(w, "acme/relu@main", FAKE_C2, "main");
	is_commit(w, "acme/silu", FAKE_C2, "v1");
	end_lock(w, &lock);
}

static void with_locked_all_else_is_refused(void **state)
{
	static const char *const refused[] = {
		"acme/silu",	     "acme/silu@v1",	 "acme/relu@v2",
		"acme/relu@main",    "acme/relu@latest", "acme/relu@" FAKE_C3,
		"acme/relu@>=0.0.1",
	};
	struct resolve_answer a = { 0 };
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;

	use_lock(w, &lock, LOCK(ENTRY("acme/relu", "1", FAKE_C1)), true);
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	is_commit(w, "acme/relu@" FAKE_C1, FAKE_C1, FAKE_C1);
	for (size_t i = 0; i < N(refused); i++) {
		if (ask_commit(w, refused[i], NULL) != -EPERM)
			fail_msg("%s: %s", refused[i], err_text(&w->err));
		says(w, refused[i]);
		says(w, "dir/kernels.lock");
		says(w, "[tool.kernels.dependencies]");
		says(w, "`kernelfs lock`");
	}
	/* nor by the commit itself, whatever is asked of it */
	assert_int_equal(ask_folder(w, &silu, FAKE_C2, "build", &a), -EPERM);
	assert_int_equal(ask_build(w, &silu, FAKE_C2, BEST, &a), -EPERM);
	assert_int_equal(ask_pick(w, &silu, FAKE_C2, &a), -EPERM);
	says(w, "acme/silu@" FAKE_C2);
	assert_int_equal(fake_asked_all(&w->fake), 0);
	is_pick(w, &relu, FAKE_C1, BEST);
	end_lock(w, &lock);
}

/* A project may say "revision" where it means a version branch. */
static void a_lock_of_a_version_branch_by_its_name_holds(void **state)
{
	static const char text[] =
		"[{\"dependency\": {\"repo-id\": \"acme/relu\", "
		"\"revision\": \"v1\"}, \"lock\": {\"commit\": \"" FAKE_C3
		"\"}}]";
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;

	for (int locked = 0; locked < 2; locked++) {
		use_lock(w, &lock, text, locked);
		is_commit(w, "acme/relu", FAKE_C3, "v1");
		is_commit(w, "acme/relu@v1", FAKE_C3, "v1");
		is_commit(w, "acme/relu@1", FAKE_C3, "v1");
		assert_int_equal(fake_asked_all(&w->fake), 0);
		end_lock(w, &lock);
	}
}

static const struct fake_ref cased[] = {
	{ "Acme/Relu", "main", FAKE_C2, false },
	{ "Acme/Relu", "v1", FAKE_C1, false },
	{ "Acme/Relu", "v2", FAKE_C2, false },
	END,
};

static void is_moved_commit(struct world *w, const char *text,
			    const char *commit, const char *revision)
{
	struct resolve_commit c = { .commit = "" };

	is_commit(w, text, commit, revision);
	assert_int_equal(ask_commit(w, text, &c), 0);
	assert_true(repo_equal(&c.repo, &relu));
}

static void a_lock_holds_by_every_name_of_a_repository(void **state)
{
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;

	w->fake.refs = cased;
	w->fake.moved_to = &relu;
	use_lock(w, &lock, LOCK(ENTRY("acme/relu", "1", FAKE_C3)), false);
	is_moved_commit(w, "Acme/Relu", FAKE_C3, "v1");
	is_moved_commit(w, "Acme/Relu@v1", FAKE_C3, "v1");
	is_moved_commit(w, "Acme/Relu@v2", FAKE_C2, "v2");
	/* nor does it matter whether the source answers */
	w->fake.fails[FAKE_REFS] = -EIO;
	again(w);
	is_moved_commit(w, "Acme/Relu", FAKE_C3, "v1");
	end_lock(w, &lock);
}

static void the_config_holds_by_every_name_of_a_repository(void **state)
{
	static struct ref named[] = {
		{ .repo = { "acme", "relu" }, .kind = REV_NAME, .rev = "main" },
	};
	struct world *w = *state;

	w->fake.refs = cased;
	w->fake.moved_to = &relu;
	w->options.named = named;
	w->options.named_count = 1;
	again(w);
	is_moved_commit(w, "Acme/Relu", FAKE_C2, "main");
	is_moved_commit(w, "Acme/Relu@latest", FAKE_C2, "v2");
	named[0].kind = REV_COMMIT;
	(void)snprintf(named[0].rev, sizeof(named[0].rev), FAKE_C3);
	again(w);
	is_moved_commit(w, "Acme/Relu", FAKE_C3, FAKE_C3);
}

/* The hash that the older format has for the chosen build of acme/relu. */
static void hash_of_best(struct world *w, char hex[65])
{
	struct resolve_answer a = { 0 };

	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	assert_int_equal(lock_hash_of(BEST, resolve_tree(&a), hex), 0);
	resolve_drop(&a);
}

static void old_lock(char *out, size_t room, const char *hex)
{
	(void)snprintf(out, room,
		       "[{\"repo_id\": \"acme/relu\", \"sha\": \"%s\", "
		       "\"variants\": {\"" BEST "\": {\"hash\": \"sha256-%s\", "
		       "\"hash_type\": \"git_lfs_concat\"}}}]",
		       FAKE_C1, hex);
}

static void a_build_must_be_what_an_old_lock_says(void **state)
{
	struct resolve_answer a = { 0 };
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;
	char text[1024], hex[65];

	hash_of_best(w, hex);
	old_lock(text, sizeof(text), hex);
	use_lock(w, &lock, text, true);
	is_commit(w, "acme/relu", FAKE_C1, FAKE_C1);
	is_pick(w, &relu, FAKE_C1, BEST);
	end_lock(w, &lock);

	hex[7] = hex[7] == '0' ? '1' : '0';
	old_lock(text, sizeof(text), hex);
	use_lock(w, &lock, text, true);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), -EBADMSG);
	says(w, hex);
	says(w, "dir/kernels.lock");
	assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), -EBADMSG);
	says(w, hex);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 0);
	/* one of which it says nothing */
	assert_int_equal(ask_build(w, &relu, FAKE_C1, OTHER, &a), 0);
	resolve_drop(&a);
	end_lock(w, &lock);
}

static void a_hash_that_cannot_be_compared_is_no_match(void **state)
{
	static const char text[] =
		"[{\"repo_id\": \"acme/relu\", \"sha\": \"" FAKE_C1
		"\", \"variants\": {\"tvm-ffi01-cpu-x86_64-linux\": "
		"{\"hash\": \"sha256-" FAKE_C1 "111111111111111111111111"
		"\", \"hash_type\": \"git_lfs_concat\"}}}]";
	static const struct fake_file some[] = {
		{ "acme/relu", FAKE_C1,
		  "build/tvm-ffi01-cpu-x86_64-linux/__init__.py", "x = 1" },
		{ NULL, NULL, NULL, NULL },
	};
	struct resolve_answer a = { 0 };
	struct lockfile lock = { .path = NULL };
	struct world *w = *state;

	w->fake.files = some;
	use_lock(w, &lock, text, true);
	assert_int_equal(
		ask_build(w, &relu, FAKE_C1, "tvm-ffi01-cpu-x86_64-linux", &a),
		-EBADMSG);
	says(w, "dir/kernels.lock");
	end_lock(w, &lock);
}

/* ---- asked for again ---- */

static void a_refresh_decides_anew(void **state)
{
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_commit(w, "acme/silu", FAKE_C2, "v1");
	is_commit(w, "acme/relu@" FAKE_C1, FAKE_C1, FAKE_C1);
	is_pick(w, &relu, FAKE_C1, BEST);
	w->fake.refs = moved;
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	resolve_refresh(w->resolve, &relu);
	assert_int_equal(w->fake.refreshed, 1);
	fake_forget(&w->fake);
	is_commit(w, "acme/relu", FAKE_C3, "v2");
	is_commit(w, "acme/relu@v1", FAKE_C2, "v1");
	is_commit(w, "acme/silu", FAKE_C2, "v1"); /* another repository */
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	resolve_refresh(w->resolve, NULL);
	is_commit(w, "acme/silu", FAKE_C3, "v1");
	/* What was decided of a commit stays. */
	fake_forget(&w->fake);
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

static void a_refresh_of_one_leaves_one_with_a_longer_name_alone(void **state)
{
	static const struct fake_ref before[] = {
		{ "acme/relu", "v1", FAKE_C1, false },
		{ "acme/relu-2", "v1", FAKE_C1, false },
		END,
	};
	static const struct fake_ref after[] = {
		{ "acme/relu", "v1", FAKE_C2, false },
		{ "acme/relu-2", "v1", FAKE_C2, false },
		END,
	};
	struct world *w = *state;

	w->fake.refs = before;
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_commit(w, "acme/relu-2", FAKE_C1, "v1");
	w->fake.refs = after;
	resolve_refresh(w->resolve, &relu);
	is_commit(w, "acme/relu", FAKE_C2, "v1");
	is_commit(w, "acme/relu-2", FAKE_C1, "v1");
}

static void a_refresh_forgets_failures(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	assert_int_equal(ask_commit(w, "acme/relu@later", NULL), -ENOENT);
	w->fake.fails[FAKE_TREE] = -EIO;
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), -EIO);
	w->fake.fails[FAKE_TREE] = 0;
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), -EIO);
	resolve_refresh(w->resolve, &relu);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), 0);
	resolve_drop(&a);
}

static void what_moves_is_asked_for_again_when_it_is_too_old(void **state)
{
	const int64_t deadline = io_now_ms() + 60000;
	struct resolve_commit c = { .commit = FAKE_C1 };
	struct world *w = *state;

	w->options.refresh_ms = 1;
	again(w);
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_commit(w, "acme/relu@" FAKE_C1, FAKE_C1, FAKE_C1);
	w->fake.refs = moved;
	while (!strcmp(c.commit, FAKE_C1) && io_now_ms() < deadline)
		assert_int_equal(ask_commit(w, "acme/relu", &c), 0);
	assert_string_equal(c.commit, FAKE_C3);
	assert_true(w->fake.refreshed > 0);
}

/* ---- a source that does not answer ---- */

static void a_moving_name_keeps_its_last_known_commit(void **state)
{
	static const int silent[] = { -EIO, -ETIMEDOUT, -ENETUNREACH };
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	w->fake.refs = moved;
	for (size_t i = 0; i < N(silent); i++) {
		struct resolve_commit c = { .commit = "" };

		w->fake.fails[FAKE_REFS] = silent[i];
		again(w);
		assert_int_equal(ask_commit(w, "acme/relu", &c), 0);
		assert_string_equal(c.commit, FAKE_C1);
		assert_string_equal(c.revision, "v1");
		assert_true(c.last_known);
		is_commit(w, "acme/relu@main", FAKE_C2, "main");
		/* nothing is known of these */
		assert_int_equal(ask_commit(w, "acme/silu", NULL), silent[i]);
		assert_int_equal(ask_commit(w, "acme/relu@v9", NULL),
				 silent[i]);
	}
	/* It is no decision: back again, the source is asked. */
	w->fake.fails[FAKE_REFS] = 0;
	resolve_refresh(w->resolve, NULL);
	is_commit(w, "acme/relu", FAKE_C3, "v2");
}

static void no_other_failure_is_taken_for_silence(void **state)
{
	static const int answers[] = { -ENOENT, -EACCES, -EBADMSG };
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	for (size_t i = 0; i < N(answers); i++) {
		w->fake.fails[FAKE_REFS] = answers[i];
		again(w);
		assert_int_equal(ask_commit(w, "acme/relu", NULL), answers[i]);
	}
}

static void a_former_name_leads_to_the_present_one_without_a_source(
	void **state)
{
	static const struct repo_id now = { .owner = "new", .name = "name" };
	struct resolve_commit c = { .commit = "" };
	struct world *w = *state;

	w->fake.moved_to = &now;
	is_commit(w, "acme/relu", FAKE_C1, "v1");
	w->fake.fails[FAKE_REFS] = -EIO;
	again(w);
	assert_int_equal(ask_commit(w, "acme/relu", &c), 0);
	assert_true(repo_equal(&c.repo, &now));
}

static void an_owners_list_is_the_last_known_one(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a, NULL),
			 0);
	resolve_drop(&a);
	w->fake.fails[FAKE_KERNELS] = -ENETUNREACH;
	again(w);
	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a, NULL),
			 0);
	assert_true(resolve_kernels_has(&a, "relu"));
	assert_false(resolve_kernels_has(&a, "gelu"));
	resolve_drop(&a);
}

/* ---- trust ---- */

static int refused(struct world *w)
{
	struct resolve_answer a = { 0 };
	int r;

	assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), 0);
	r = ((const struct pick *)resolve_value(&a))->refused;
	resolve_drop(&a);
	return r;
}

static void a_no_is_asked_for_again_after_a_refresh(void **state)
{
	struct world *w = *state;

	w->fake.trusts = "nobody";
	assert_int_equal(refused(w), EACCES);
	w->fake.trusts = "acme";
	assert_int_equal(refused(w), EACCES);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	/* it is kept for the next mount too */
	again(w);
	assert_int_equal(refused(w), EACCES);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 0);
	resolve_refresh(w->resolve, &relu);
	assert_int_equal(refused(w), 0);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	/* A yes stays. */
	fake_forget(&w->fake);
	resolve_refresh(w->resolve, NULL);
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

static int make_old(const char *path, const struct stat *st, int type,
		    struct FTW *at)
{
	static const struct timespec then[2] = { { .tv_sec = 1000000000 },
						 { .tv_sec = 1000000000 } };

	(void)st;
	(void)at;
	return type == FTW_F ? utimensat(AT_FDCWD, path, then, 0) : 0;
}

/* The next mount, a long time later. */
static void much_later(struct world *w)
{
	char notes[SCRATCH_MAX + 32];

	(void)snprintf(notes, sizeof(notes), "%s/notes/trust", w->folder);
	assert_int_equal(nftw(notes, make_old, 8, FTW_PHYS), 0);
	again(w);
}

/* Everything of a build, into the cache. */
static void fetch_best(struct world *w)
{
	struct resolve_answer a = { 0 };
	struct tree *t;

	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	t = resolve_tree(&a);
	for (uint32_t i = 0; i < tree_count(t); i++) {
		struct text bytes = TEXT_INIT(1 << 20);
		struct tree_entry e;

		tree_get(t, i, &e);
		assert_int_equal(catalog_read(w->catalog, &relu, FAKE_C1,
					      "build/" BEST, &e, CATALOG_SOURCE,
					      &bytes, NULL),
				 0);
		text_done(&bytes);
	}
	resolve_drop(&a);
}

static void an_old_yes_is_asked_for_again_before_a_byte_comes(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	is_pick(w, &relu, FAKE_C1, BEST); /* and its metadata.json is there */
	much_later(w);
	w->fake.trusts = "nobody";
	assert_int_equal(refused(w), EACCES);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), -EACCES);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	assert_int_equal(fake_asked_all(&w->fake), 1);
}

static void an_old_yes_is_good_for_what_is_there(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	is_pick(w, &relu, FAKE_C1, BEST);
	fetch_best(w);
	much_later(w);
	w->fake.trusts = "nobody";
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	resolve_drop(&a);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

/* Part of it is there, and can be used while there is nobody to ask. */
static void an_old_yes_holds_while_the_source_is_silent(void **state)
{
	static const int silent[] = { -EIO, -ETIMEDOUT, -ENETUNREACH };
	struct world *w = *state;

	is_pick(w, &relu, FAKE_C1, BEST);
	for (size_t i = 0; i < N(silent); i++) {
		w->fake.fails[FAKE_TRUSTED] = silent[i];
		much_later(w);
		is_pick(w, &relu, FAKE_C1, BEST);
	}
}

static void trust_that_nobody_has_heard_of_is_no_refusal(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	w->fake.fails[FAKE_TRUSTED] = -ENETUNREACH;
	assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), -ENETUNREACH);
	resolve_drop(&a);
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(a_range_is_the_highest_tag_that_fits),
		unit(a_lock_leads_to_its_commits_and_asks_nobody),
		unit(with_locked_all_else_is_refused),
		unit(a_lock_of_a_version_branch_by_its_name_holds),
		unit(a_lock_holds_by_every_name_of_a_repository),
		unit(the_config_holds_by_every_name_of_a_repository),
		unit(a_build_must_be_what_an_old_lock_says),
		unit(a_hash_that_cannot_be_compared_is_no_match),
		unit(a_refresh_decides_anew),
		unit(a_refresh_of_one_leaves_one_with_a_longer_name_alone),
		unit(a_refresh_forgets_failures),
		unit(what_moves_is_asked_for_again_when_it_is_too_old),
		unit(a_moving_name_keeps_its_last_known_commit),
		unit(no_other_failure_is_taken_for_silence),
		unit(a_former_name_leads_to_the_present_one_without_a_source),
		unit(an_owners_list_is_the_last_known_one),
		unit(a_no_is_asked_for_again_after_a_refresh),
		unit(an_old_yes_is_asked_for_again_before_a_byte_comes),
		unit(an_old_yes_is_good_for_what_is_there),
		unit(an_old_yes_holds_while_the_source_is_silent),
		unit(trust_that_nobody_has_heard_of_is_no_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
