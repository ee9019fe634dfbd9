/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/resolve.h"

#include "resolving.h"

/* ---- folders and builds ---- */

static void lists_a_folder_alone_and_a_build_whole(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "", &a), 0);
	assert_int_equal(tree_count(resolve_tree(&a)), 2);
	resolve_drop(&a);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), 0);
	assert_int_equal(tree_count(resolve_tree(&a)), 2);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	assert_true(tree_find(resolve_tree(&a), "__init__.py") != TREE_NONE);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, "none", &a), -ENOENT);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
}

static void refuses_keys_that_are_too_long(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	struct waiter waiter;
	char dir[8192];

	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	waiter_init(&waiter);
	assert_int_equal(resolve_folder(w->resolve, &relu, FAKE_C1, dir,
					&waiter.memo, &a, &w->err),
			 -ENAMETOOLONG);
	assert_int_equal(resolve_build(w->resolve, &relu, FAKE_C1, dir,
				       &waiter.memo, &a, &w->err),
			 -ENAMETOOLONG);
	assert_int_equal(
		resolve_kernels(w->resolve, dir, &waiter.memo, &a, &w->err),
		-ENAMETOOLONG);
	assert_int_equal(latch_count(&waiter.called), 0);
	assert_int_equal(fake_asked_all(&w->fake), 0);
}

/* ---- trust ---- */

static void believes_the_source_or_the_option(void **state)
{
	static const struct {
		const char *option;
		const char *source;
		bool trusted;
		unsigned asked;
	} rows[] = {
		{ NULL, "acme", true, 1 },	 { NULL, "else", false, 1 },
		{ NULL, NULL, false, 1 },	 { "*", NULL, true, 0 },
		{ "acme", NULL, true, 0 },	 { "acme/relu", NULL, true, 0 },
		{ "acme/silu", NULL, false, 1 }, { "acme/", NULL, false, 1 },
		{ "relu", NULL, false, 1 },	 { "", NULL, false, 1 },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct resolve_answer a = { 0 };
		const struct pick *p;

		stop(w);
		scratch_remove(w->folder);
		assert_int_equal(mkdir(w->folder, 0700), 0);
		w->options.trust = &rows[i].option;
		w->options.trust_count = rows[i].option != NULL;
		w->fake.trusts = rows[i].source;
		start(w);
		fake_forget(&w->fake);
		assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), 0);
		p = resolve_value(&a);
		assert_int_equal(p->refused, rows[i].trusted ? 0 : EACCES);
		resolve_drop(&a);
		assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED),
				 rows[i].asked);
		assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a),
				 rows[i].trusted ? 0 : -EACCES);
		if (!rows[i].trusted)
			says(w, "trust=acme");
		resolve_drop(&a);
		assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED),
				 rows[i].asked);
	}
}

static void fetches_nothing_of_an_untrusted_build(void **state)
{
	struct world *w = *state;

	w->fake.trusts = NULL;
	is_pick(w, &relu, FAKE_C1, NULL);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 0);
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 1);
}

/* ---- the choice ---- */

static void costs_what_was_promised(void **state)
{
	struct world *w = *state;

	is_commit(w, "acme/relu", FAKE_C1, "v1");
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(fake_asked(&w->fake, FAKE_REFS), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 2);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 1);
	assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 0);
	/* The owner's next kernel asks for trust no more. */
	is_pick(w, &silu, FAKE_C2, BEST);
	assert_int_equal(fake_asked(&w->fake, FAKE_TRUSTED), 1);
	/* Nor does another environment list anything again. */
	assert_int_equal(
		env_parse(&w->env, "torch212-cxx11-cpu-x86_64-linux", NULL), 0);
	is_pick(w, &relu, FAKE_C1, NULL); /* an incomplete upload */
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 5);
}

static void a_pinned_and_cached_kernel_asks_nothing(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	is_pick(w, &relu, FAKE_C1, BEST);
	again(w);
	for (unsigned op = 0; op < FAKE_OPS; op++)
		w->fake.fails[op] = -EIO;
	is_commit(w, "acme/relu@" FAKE_C1, FAKE_C1, FAKE_C1);
	is_pick(w, &relu, FAKE_C1, BEST);
	assert_int_equal(ask_folder(w, &relu, FAKE_C1, "build", &a), 0);
	resolve_drop(&a);
	assert_int_equal(ask_build(w, &relu, FAKE_C1, BEST, &a), 0);
	resolve_drop(&a);
	assert_int_equal(fake_asked_all(&w->fake), 0);
	/* What is not there cannot be chosen. */
	assert_int_equal(ask_pick(w, &silu, FAKE_C2, &a), -EIO);
	says(w, "told to fail");
}

static void what_lies_on_disk_never_waits_for_the_source(void **state)
{
	struct resolve_answer a = { 0 };
	struct waiter stuck[8], waiter;
	struct world *w = *state;
	int r;

	is_pick(w, &relu, FAKE_C1, BEST);
	again(w);
	fake_gate(&w->fake, true);
	for (unsigned i = 0; i < N(stuck); i++) {
		char name[32];
		struct ref ref;

		waiter_init(&stuck[i]);
		(void)snprintf(name, sizeof(name), "acme/stuck-%u", i);
		assert_int_equal(ref_parse(&ref, name, NULL), 0);
		assert_int_equal(resolve_commit(w->resolve, &ref,
						&stuck[i].memo, &a, NULL),
				 -EINPROGRESS);
	}
	assert_true(fake_await(&w->fake, 2)); /* all workers hang */
	waiter_init(&waiter);
	r = resolve_pick(w->resolve, &relu, FAKE_C1, &w->env, &waiter.memo, &a,
			 NULL);
	assert_int_equal(r, -EINPROGRESS);
	assert_true(latch_wait(&waiter.called, 1));
	assert_int_equal(waiter.result, 0);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env, NULL,
				      &a, NULL),
			 0);
	resolve_drop(&a);
	fake_gate(&w->fake, false);
	for (unsigned i = 0; i < N(stuck); i++) {
		assert_true(latch_wait(&stuck[i].called, 1));
		assert_int_equal(stuck[i].result, -ENOENT);
	}
}

static void a_revision_without_builds_is_an_answer(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	const struct pick *p;

	assert_int_equal(ask_pick(w, &bare, FAKE_C3, &a), 0);
	p = resolve_value(&a);
	assert_int_equal(p->refused, ENODEV);
	assert_string_equal(p->why, "this revision has no builds");
	resolve_drop(&a);
	/* A commit that is not there is a failure. */
	assert_true(ask_pick(w, &bare, FAKE_C1, &a) < 0);
	says(w, "no such folder");
}

static void metadata_with_other_bytes_is_a_failure(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	w->fake.wrong_bytes = true;
	assert_int_equal(ask_pick(w, &relu, FAKE_C1, &a), -EBADMSG);
	says(w, "does not match its hash");
}

static void asks_once_for_all_who_ask_at_once(void **state)
{
	static struct waiter waiters[32];
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	fake_gate(&w->fake, true);
	for (unsigned i = 0; i < N(waiters); i++) {
		waiter_init(&waiters[i]);
		assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1,
					      &w->env, &waiters[i].memo, &a,
					      NULL),
				 -EINPROGRESS);
	}
	fake_gate(&w->fake, false);
	for (unsigned i = 0; i < N(waiters); i++) {
		assert_true(latch_wait(&waiters[i].called, 1));
		assert_int_equal(waiters[i].result, 0);
	}
	assert_int_equal(fake_asked(&w->fake, FAKE_TREE), 2);
	assert_int_equal(fake_asked(&w->fake, FAKE_FILE), 1);
	is_pick(w, &relu, FAKE_C1, BEST);
}

static void starts_nothing_for_who_does_not_wait(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	struct ref ref;

	assert_int_equal(ref_parse(&ref, "acme/relu", NULL), 0);
	assert_int_equal(resolve_commit(w->resolve, &ref, NULL, &a, NULL),
			 -EINPROGRESS);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env, NULL,
				      &a, NULL),
			 -EINPROGRESS);
	assert_int_equal(resolve_kernels(w->resolve, "acme", NULL, &a, NULL),
			 -EINPROGRESS);
	resolve_drop(&a);
	stop(w); /* whatever was queued is done or dropped */
	assert_int_equal(fake_asked_all(&w->fake), 0);
	start(w);
}

static void takes_a_waiter_back(void **state)
{
	struct waiter gone, stays;
	struct resolve_answer a = { 0 };
	struct world *w = *state;

	waiter_init(&gone);
	waiter_init(&stays);
	fake_gate(&w->fake, true);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      &gone.memo, &a, NULL),
			 -EINPROGRESS);
	assert_int_equal(resolve_pick(w->resolve, &relu, FAKE_C1, &w->env,
				      &stays.memo, &a, NULL),
			 -EINPROGRESS);
	assert_true(resolve_cancel(w->resolve, &gone.memo));
	assert_false(resolve_cancel(w->resolve, &gone.memo));
	fake_gate(&w->fake, false);
	assert_true(latch_wait(&stays.called, 1));
	assert_int_equal(latch_count(&gone.called), 0);
	assert_false(resolve_cancel(w->resolve, &stays.memo));
}

/* ---- lists and reports ---- */

static void lists_an_owners_kernels(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	const struct source_names *n;

	assert_int_equal(resolve_kernels_blocking(w->resolve, "acme", &a, NULL),
			 0);
	n = resolve_value(&a);
	assert_int_equal(n->count, 3);
	assert_string_equal(n->names[0], "bare");
	assert_string_equal(n->names[2], "silu");
	assert_true(resolve_kernels_has(&a, "relu"));
	assert_false(resolve_kernels_has(&a, "rel"));
	resolve_drop(&a);
	assert_int_equal(
		resolve_kernels_blocking(w->resolve, "nobody", &a, &w->err),
		-ENOENT);
	says(w, "'nobody'");
}

static void lists_what_it_knows_when_the_source_does_not_say(void **state)
{
	static const struct {
		int fails;
		int result;
		size_t count;
	} rows[] = {
		{ -ENOSYS, 0, 1 }, /* what is cached */
		{ -ENOENT, 0, 1 },
		{ -EIO, 0, 3 }, /* the last list, and what is cached */
	};
	struct world *w = *state;
	struct resolve_answer a = { 0 };

	is_pick(w, &relu, FAKE_C1, BEST); /* cached */
	for (size_t i = 0; i < N(rows); i++) {
		const struct source_names *n;

		if (rows[i].fails == -EIO) {
			w->fake.fails[FAKE_KERNELS] = 0;
			again(w);
			assert_int_equal(resolve_kernels_blocking(
						 w->resolve, "acme", &a, NULL),
					 0);
			resolve_drop(&a);
		}
		w->fake.fails[FAKE_KERNELS] = rows[i].fails;
		again(w);
		assert_int_equal(
			resolve_kernels_blocking(w->resolve, "acme", &a, NULL),
			rows[i].result);
		n = resolve_value(&a);
		assert_int_equal(n->count, rows[i].count);
		assert_true(resolve_kernels_has(&a, "relu"));
		resolve_drop(&a);
	}
	/* Nothing known and nothing said is a failure. */
	assert_int_equal(
		resolve_kernels_blocking(w->resolve, "else", &a, &w->err),
		-EIO);
	says(w, "told to fail");
}

static int count_picks(void *arg, const struct pick *p)
{
	assert_string_equal(p->spec, SPEC);
	++*(unsigned *)arg;
	return 0;
}

static int count_commits(void *arg, const struct ref *ref,
			 const struct resolve_commit *c)
{
	assert_string_equal(ref->repo.owner, "acme");
	assert_string_equal(c->commit,
			    strcmp(ref->repo.name, "relu") ? FAKE_C2 : FAKE_C1);
	++*(unsigned *)arg;
	return 0;
}

static int stop_at_once(void *arg, const struct pick *p)
{
	(void)p;
	++*(unsigned *)arg;
	return 7;
}

static void tells_what_is_known(void **state)
{
	struct resolve_answer a = { 0 };
	struct world *w = *state;
	unsigned n = 0;

	is_commit(w, "acme/relu@v1", FAKE_C1, "v1");
	is_commit(w, "acme/silu", FAKE_C2, "v1");
	(void)ask_commit(w, "acme/none", NULL); /* a failure is not known */
	is_pick(w, &relu, FAKE_C1, BEST);
	is_pick(w, &silu, FAKE_C2, BEST);
	assert_int_equal(resolve_each_pick(w->resolve, count_picks, &n), 0);
	assert_int_equal(n, 2);
	n = 0;
	assert_int_equal(resolve_each_commit(w->resolve, count_commits, &n), 0);
	assert_int_equal(n, 2);
	n = 0;
	assert_int_equal(resolve_each_pick(w->resolve, stop_at_once, &n), 7);
	assert_int_equal(n, 1);
	resolve_drop(&a); /* empty */
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(lists_a_folder_alone_and_a_build_whole),
		unit(refuses_keys_that_are_too_long),
		unit(believes_the_source_or_the_option),
		unit(fetches_nothing_of_an_untrusted_build),
		unit(costs_what_was_promised),
		unit(a_pinned_and_cached_kernel_asks_nothing),
		unit(what_lies_on_disk_never_waits_for_the_source),
		unit(a_revision_without_builds_is_an_answer),
		unit(metadata_with_other_bytes_is_a_failure),
		unit(asks_once_for_all_who_ask_at_once),
		unit(starts_nothing_for_who_does_not_wait),
		unit(takes_a_waiter_back),
		unit(lists_an_owners_kernels),
		unit(lists_what_it_knows_when_the_source_does_not_say),
		unit(tells_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
