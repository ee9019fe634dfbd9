/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/names.h"

#include "base/err.h"
#include "base/io.h"
#include "base/pool.h"
#include "fakesource.h"
#include "kernels/catalog.h"
#include "kernels/store.h"
#include "latch.h"
#include "scratch.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define LONG_MS 600000 /* longer than the test may take */

static const struct fake_file files[] = { { NULL, NULL, NULL, NULL } };

static const struct fake_ref refs[] = {
	{ "acme/relu", "main", FAKE_C1, false },
	{ "acme/my_relu", "main", FAKE_C1, false },
	{ "acme/my-relu", "main", FAKE_C1, false },
	{ "acme/torch", "main", FAKE_C1, false },
	{ "acme/2fast", "main", FAKE_C1, false },
	{ "acme/lambda", "main", FAKE_C1, false },
	{ "acme/silu.v2", "main", FAKE_C1, false },
	{ "zeta/relu", "main", FAKE_C2, false },
	{ "zeta/gelu", "main", FAKE_C2, false },
	{ NULL, NULL, NULL, false },
};

struct world {
	char folder[SCRATCH_MAX];
	struct fake fake;
	struct store *store;
	struct catalog *catalog;
	struct pool *net;
	struct names *names; /* the test's */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)alarm(LATCH_DEADLINE_S * 2); /* a wait that never ends */
	scratch_make(w->folder);
	fake_init(&w->fake, files, refs);
	assert_int_equal(store_new(&w->store, w->folder, NULL), 0);
	assert_int_equal(
		catalog_new(&w->catalog, &w->fake.source, w->store, NULL), 0);
	assert_int_equal(pool_new(&w->net, "net", 2, NULL), 0);
	*state = w;
	return 0;
}

static void forget(struct world *w)
{
	if (w->names)
		names_stop(w->names);
	fake_gate(&w->fake, false);
	pool_free(w->net);
	names_free(w->names);
	w->names = NULL;
}

/* The names of the next mount, on the same cache. */
static void again(struct world *w)
{
	forget(w);
	assert_int_equal(pool_new(&w->net, "net", 2, NULL), 0);
	fake_forget(&w->fake);
}

static int teardown(void **state)
{
	struct world *w = *state;

	forget(w);
	catalog_free(w->catalog);
	store_free(w->store);
	fake_done(&w->fake);
	scratch_remove(w->folder);
	free(w);
	(void)alarm(0);
	return 0;
}

/* Names of these options; `text` has a blank between them. */
static void make(struct world *w, const char *text)
{
	const char *imports[8];
	char copy[256], *rest = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *s = strtok_r(copy, " ", &rest); s;
	     s = strtok_r(NULL, " ", &rest))
		imports[n++] = s;
	if (names_new(&w->names, imports, n, w->catalog, w->net, &err) < 0)
		fail_msg("%s: %s", text, err_text(&err));
}

static void leads_to(struct world *w, const char *package, const char *ref)
{
	struct names_entry e;
	char text[REF_TEXT_MAX];

	if (!names_find(w->names, package, &e))
		fail_msg("'%s' is no import name", package);
	ref_print(&e.ref, text);
	assert_string_equal(text, ref);
	assert_string_equal(e.package, package);
}

static bool has(struct world *w, const char *package)
{
	struct names_entry e;

	return names_find(w->names, package, &e);
}

/* All names in their order, with a blank behind each. */
static void are(struct world *w, const char *want)
{
	char all[512] = "";
	struct names_entry e;

	for (size_t i = 0; names_at(w->names, i, &e); i++)
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all),
			       "%s ", e.package);
	assert_string_equal(all, want);
}

/* Wait until a worker has brought a name. */
static bool arrives(struct world *w, const char *package)
{
	int64_t until = io_now_ms() + LATCH_DEADLINE_S * 1000;

	while (!has(w, package) && io_now_ms() < until)
		(void)sched_yield();
	return has(w, package);
}

/* ---- options ---- */

static void refuses_what_is_neither_owner_nor_repository(void **state)
{
	static const char *const rows[] = {
		"",
		"-acme",
		"ac me",
		"acme/",
		"/relu",
		"acme/relu/x",
		"acme/relu@",
		"acme/re lu",
		"acme/relu@a..b",
		"..",
		"a..b",
		"acme@v1",
		"acme/relu@>=x",
	};
	struct world *w = *state;

	for (size_t i = 0; i < N(rows); i++) {
		const char *const both[] = { "good", rows[i] };
		struct err err = ERR_INIT;
		struct names *n = NULL;

		if (names_new(&n, both, 2, w->catalog, w->net, &err) != -EINVAL)
			fail_msg("'%s' was not refused", rows[i]);
		assert_null(n);
		assert_non_null(strstr(err.text, "import="));
	}
	names_free(NULL);
}

static void named_kernels_need_no_list(void **state)
{
	struct world *w = *state;
	struct names_entry e;
	const struct ref *named;
	size_t count = 0;

	make(w, "zeta/relu@v2 acme/my-gelu acme/silu@" FAKE_C1);
	are(w, "my_gelu relu silu ");
	leads_to(w, "relu", "zeta/relu@v2");
	leads_to(w, "my_gelu", "acme/my-gelu");
	assert_true(names_find(w->names, "relu", &e));
	assert_true(e.named);
	assert_false(has(w, "my-gelu"));
	assert_false(has(w, "rel"));
	assert_false(has(w, ""));
	named = names_named(w->names, &count);
	assert_int_equal(count, 3);
	assert_int_equal(named[0].kind, REV_VERSION);
	assert_string_equal(named[1].repo.name, "my-gelu");
	/* import= with nothing but repositories lists no others. */
	names_start(w->names, LONG_MS);
	assert_int_equal(names_tick(w->names), -1);
	assert_int_equal(fake_asked_all(&w->fake), 0);
	are(w, "my_gelu relu silu ");
}

static void nothing_at_all_is_allowed(void **state)
{
	struct world *w = *state;
	char owner[REF_PART_MAX + 1];

	make(w, "");
	names_start(w->names, LONG_MS);
	are(w, "");
	assert_false(has(w, "relu"));
	assert_false(names_owner_at(w->names, 0, owner));
	assert_false(names_owner_known(w->names, "acme"));
}

/* ---- which names, and whose ---- */

static void lists_what_an_import_can_spell(void **state)
{
	struct world *w = *state;

	make(w, "acme");
	names_start(w->names, LONG_MS);
	/* neither torch nor 2fast, lambda or silu.v2 */
	are(w, "my_relu relu ");
	leads_to(w, "relu", "acme/relu");
	assert_false(has(w, "torch"));
	assert_int_equal(names_tick(w->names), -1);
	assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 1);
}

static void settles_ties_by_option_then_by_bytes(void **state)
{
	static const struct {
		const char *options;
		const char *package;
		const char *ref;
	} rows[] = {
		{ "acme zeta", "relu", "acme/relu" },
		{ "zeta acme", "relu", "zeta/relu" },
		{ "acme", "my_relu", "acme/my-relu" },
		{ "acme zeta/relu@v1", "relu", "zeta/relu@v1" },
		{ "zeta/relu@v1 acme/relu", "relu", "zeta/relu@v1" },
		{ "acme/my_relu acme/my-relu", "my_relu", "acme/my_relu" },
		{ "acme zeta", "gelu", "zeta/gelu" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N(rows); i++) {
		again(w);
		make(w, rows[i].options);
		names_start(w->names, LONG_MS);
		leads_to(w, rows[i].package, rows[i].ref);
	}
}

static void never_shadows_what_programs_expect(void **state)
{
	static const char *const never[] = {
		"Cython",
		"abc",
		"torch",
		"numpy",
		"os",
		"sys",
		"json",
		"kernels",
		"kernelfs",
		"sitecustomize",
		"usercustomize",
		"zoneinfo",
		"typing",
		"asyncio",
		"tomllib",
		"annotationlib",
		"distutils",
		"triton",
		"transformers",
		"setuptools",
		"pip",
		"_relu",
		"__init__",
		"_",
		"safetensors",
		"huggingface_hub",
		"tvm_ffi",
		"jax",
		"site",
		"antigravity",
		"compression",
		"conftest",
		"pytest",
		"cupy",
		"re",
		"string",
		"this",
		"xml",
	};
	static const char *const fine[] = { "relu",  "Torch",	  "torchx",
					    "tor",   "zz",	  "a",
					    "Numpy", "flash_attn" };
	struct world *w = *state;

	for (size_t i = 0; i < N(never); i++)
		if (!names_reserved(never[i]))
			fail_msg("'%s' is not reserved", never[i]);
	for (size_t i = 0; i < N(fine); i++)
		if (names_reserved(fine[i]))
			fail_msg("'%s' is reserved", fine[i]);
	/* Not even when it is named. */
	make(w, "acme/torch acme/relu acme/os acme/2fast acme/class");
	are(w, "relu ");
}

static void knows_owners_in_the_order_of_the_options(void **state)
{
	static const char *const order[] = { "zeta", "acme", "third" };
	char owner[REF_PART_MAX + 1];
	struct world *w = *state;

	make(w, "zeta acme/relu zeta/relu third acme");
	for (size_t i = 0; i < N(order); i++) {
		assert_true(names_owner_at(w->names, i, owner));
		assert_string_equal(owner, order[i]);
		assert_true(names_owner_known(w->names, owner));
	}
	assert_false(names_owner_at(w->names, N(order), owner));
	assert_false(names_owner_known(w->names, "zet"));
}

static int count_one(void *arg, const struct repo_id *repo)
{
	assert_string_equal(repo->owner, "zeta");
	++*(unsigned *)arg;
	return 0;
}

static void tells_what_a_list_holds(void **state)
{
	static const struct repo_id gelu = { "zeta", "gelu" };
	static const struct repo_id none = { "zeta", "none" };
	static const struct repo_id named = { "other", "kernel" };
	struct world *w = *state;
	unsigned n = 0;

	make(w, "zeta other/kernel");
	assert_false(names_listed(w->names, &gelu));
	assert_true(names_listed(w->names, &named));
	assert_false(names_add_list(w->names, "zeta", &n, count_one));
	names_start(w->names, LONG_MS);
	assert_true(names_listed(w->names, &gelu));
	assert_false(names_listed(w->names, &none));
	assert_true(names_add_list(w->names, "zeta", &n, count_one));
	assert_int_equal(n, 2);
	assert_false(names_add_list(w->names, "other", &n, count_one));
	assert_false(names_add_list(w->names, "nobody", &n, count_one));
}

/* ---- lists that come, late or never ---- */

static void takes_a_list_that_arrives_later(void **state)
{
	struct world *w = *state;
	int64_t before;

	make(w, "acme/relu zeta");
	before = names_changed_s(w->names);
	assert_true(before <= io_wall_s());
	assert_true(before > io_wall_s() - 10 * LATCH_DEADLINE_S);
	fake_gate(&w->fake, true);
	names_start(w->names, 0);
	are(w, "relu ");
	/* It is being asked, and may fail: to be looked at again. */
	assert_true(names_tick(w->names) > io_now_ms());
	fake_gate(&w->fake, false);
	assert_true(arrives(w, "gelu"));
	leads_to(w, "relu", "acme/relu"); /* a named one stays */
	/* Also within one second the folder's time tells of it. */
	assert_true(names_changed_s(w->names) > before);
}

static void starts_from_disk_without_the_source(void **state)
{
	struct world *w = *state;

	make(w, "acme zeta");
	names_start(w->names, LONG_MS);
	assert_true(has(w, "relu") && has(w, "gelu"));
	again(w);
	fake_gate(&w->fake, true); /* a Hub that hangs */
	make(w, "acme zeta");
	names_start(w->names, LONG_MS); /* returns all the same */
	leads_to(w, "relu", "acme/relu");
	leads_to(w, "gelu", "zeta/gelu");
	again(w);
	w->fake.fails[FAKE_KERNELS] = -EIO; /* one that is broken */
	make(w, "acme zeta");
	names_start(w->names, LONG_MS);
	leads_to(w, "relu", "acme/relu");
}

static void replaces_the_list_of_the_last_mount(void **state)
{
	static const struct fake_ref later[] = {
		{ "zeta/swish", "main", FAKE_C2, false },
		{ NULL, NULL, NULL, false },
	};
	struct world *w = *state;

	make(w, "zeta");
	names_start(w->names, LONG_MS);
	are(w, "gelu relu ");
	again(w);
	w->fake.refs = later;
	make(w, "zeta");
	names_start(w->names, 0);
	assert_true(arrives(w, "swish"));
	are(w, "swish ");
}

static void waits_no_longer_than_for_an_answer(void **state)
{
	static const int failures[] = { -EIO, -ETIMEDOUT, -ENOENT, -ENOSYS };
	struct world *w = *state;

	for (size_t i = 0; i < N(failures); i++) {
		bool final = failures[i] == -ENOENT || failures[i] == -ENOSYS;
		int64_t next;

		again(w);
		w->fake.fails[FAKE_KERNELS] = failures[i];
		make(w, "acme");
		names_start(w->names, LONG_MS);
		are(w, "");
		next = names_tick(w->names);
		/* "There is none" is an answer; a failure is tried again,
		 * but not at once. */
		if (final)
			assert_int_equal(next, -1);
		else
			assert_true(next > io_now_ms());
		assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 1);
	}
}

struct stopper {
	struct world *world;
	pid_t starter;
	bool slept;
};

static void *stop_when_it_waits(void *arg)
{
	struct stopper *s = arg;

	s->slept = fake_await(&s->world->fake, 2) && latch_sleeps(s->starter);
	names_stop(s->world->names);
	return NULL;
}

struct last_job {
	struct pool_job job; /* first */
	struct latch ran;
};

static void run_last(struct pool_job *job)
{
	latch_raise(&((struct last_job *)job)->ran);
}

static void stops_waiting_when_told_to(void **state)
{
	struct world *w = *state;
	struct stopper s = { .world = w, .starter = gettid() };
	struct last_job last = { .job = { .run = run_last },
				 .ran = LATCH_INIT };
	pthread_t thread;

	make(w, "acme zeta third"); /* two workers: one job stays queued */
	fake_gate(&w->fake, true);
	assert_int_equal(pthread_create(&thread, NULL, stop_when_it_waits, &s),
			 0);
	names_start(w->names, LONG_MS);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(s.slept);
	assert_int_equal(names_tick(w->names), -1);
	fake_gate(&w->fake, false);
	pool_submit(w->net, &last.job, POOL_NOW); /* behind what is queued */
	assert_true(latch_wait(&last.ran, 1));
	pool_free(w->net); /* what ran is done */
	w->net = NULL;
	assert_int_equal(fake_asked(&w->fake, FAKE_KERNELS), 2);
}

/* ---- threads ---- */

struct reader {
	struct names *names;
	bool odd;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;

	for (unsigned i = 0; i < 20000; i++) {
		struct names_entry e;

		/* Old table or new: what is named is in both. */
		if (!names_find(r->names, "mine", &e) ||
		    strcmp(e.ref.repo.owner, "own") != 0)
			r->odd = true;
		if (names_at(r->names, 0, &e) && !e.package[0])
			r->odd = true;
		(void)names_changed_s(r->names);
	}
	return NULL;
}

static void readers_see_the_old_table_or_the_new(void **state)
{
	struct world *w = *state;
	pthread_t threads[2];
	struct reader r[2];

	make(w, "own/mine acme zeta");
	fake_gate(&w->fake, true);
	names_start(w->names, 0);
	for (size_t i = 0; i < N(threads); i++) {
		r[i] = (struct reader){ .names = w->names };
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_on, &r[i]), 0);
	}
	fake_gate(&w->fake, false);
	for (size_t i = 0; i < N(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(r[i].odd);
	}
	assert_true(arrives(w, "gelu") && arrives(w, "my_relu"));
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(refuses_what_is_neither_owner_nor_repository),
		unit(named_kernels_need_no_list),
		unit(nothing_at_all_is_allowed),
		unit(lists_what_an_import_can_spell),
		unit(settles_ties_by_option_then_by_bytes),
		unit(never_shadows_what_programs_expect),
		unit(knows_owners_in_the_order_of_the_options),
		unit(tells_what_a_list_holds),
		unit(takes_a_list_that_arrives_later),
		unit(starts_from_disk_without_the_source),
		unit(replaces_the_list_of_the_last_mount),
		unit(waits_no_longer_than_for_an_answer),
		unit(stops_waiting_when_told_to),
		unit(readers_see_the_old_table_or_the_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
