/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/source_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fakesource.h"
#include "kernels/fact.h"
#include "kernels/store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Several sources, and several addresses of one: who is asked, and whose
 * answer counts. */

#define NEVER_MS INT64_C(100000000)

static const struct repo_id both = { "acme", "both" };
static const struct repo_id late = { "acme", "late" };
static const struct repo_id none = { "acme", "none" };

static const struct fake_ref first_refs[] = {
	{ "acme/both", "v1", FAKE_C1, false },
	{ NULL, NULL, NULL, false },
};
static const struct fake_ref later_refs[] = {
	{ "acme/both", "v1", FAKE_C2, false },
	{ "acme/late", "v1", FAKE_C3, false },
	{ NULL, NULL, NULL, false },
};
static const struct fake_file files[] = {
	{ "acme/both", FAKE_C1, "a", "hello" },
	{ NULL, NULL, NULL, NULL },
};

struct world {
	char folder[SCRATCH_MAX];
	struct store *store;
	struct fake fakes[2];
	char urls[2][32];
	struct source *source;
	struct err err;
};

static void open_source_when(struct world *w, bool mirror, bool offline)
{
	struct source_options o = { .store = w->store, .offline = offline };
	struct source *members[2];

	for (size_t i = 0; i < 2; i++)
		members[i] = &w->fakes[i].source;
	assert_int_equal(
		mirror ? source_mirror_new(&w->source, members, 2, NEVER_MS,
					   NULL)
		       : source_many_new(&w->source, members, 2, &o, NULL),
		0);
}

static void open_source(struct world *w, bool mirror)
{
	open_source_when(w, mirror, false);
}

static void world_init(struct world *w, bool mirror)
{
	memset(w, 0, sizeof(*w));
	scratch_make(w->folder);
	assert_int_equal(store_new(&w->store, w->folder, NULL), 0);
	for (int i = 0; i < 2; i++) {
		fake_init(&w->fakes[i], files, i ? later_refs : first_refs);
		(void)snprintf(w->urls[i], sizeof(w->urls[i]),
			       "https://h%d.example", i);
		w->fakes[i].source.url = w->urls[i];
	}
	open_source(w, mirror);
}

static void world_done(struct world *w)
{
	source_free(w->source);
	for (size_t i = 0; i < 2; i++)
		fake_done(&w->fakes[i]);
	store_free(w->store);
	scratch_remove(w->folder);
}

/* The first digit of v1's commit, or -errno. */
static int ask_refs(struct world *w, const struct repo_id *repo)
{
	struct source_refs refs = { .branches = NULL };
	int r;

	w->err = (struct err)ERR_INIT;
	r = w->source->ops->refs(w->source, repo, &refs, &w->err);
	if (r == 0)
		r = source_refs_branch(&refs, "v1")->commit[0] - '0';
	source_refs_done(&refs);
	return r;
}

static void assert_asked(struct world *w, unsigned first, unsigned second)
{
	assert_int_equal(fake_asked_all(&w->fakes[0]), first);
	assert_int_equal(fake_asked_all(&w->fakes[1]), second);
	fake_forget(&w->fakes[0]);
	fake_forget(&w->fakes[1]);
}

/* ---- several sources ---- */

static void the_first_that_has_it_wins(void **state)
{
	struct world w;
	struct source *home = NULL;

	(void)state;
	world_init(&w, false);
	assert_int_equal(source_home(w.source, &late, false, &home, &w.err),
			 -EAGAIN);
	assert_asked(&w, 0, 0);
	assert_int_equal(ask_refs(&w, &both), 1);
	assert_asked(&w, 1, 0);
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_asked(&w, 1, 1);
	/* Decided: the first is not asked again. */
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_asked(&w, 0, 1);
	assert_int_equal(source_home(w.source, &late, false, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[1].source);
	assert_int_equal(ask_refs(&w, &none), -ENOENT);
	assert_asked(&w, 1, 1);
	world_done(&w);
}

static void a_silent_source_ends_the_search(void **state)
{
	static const int silent[] = { EIO, ETIMEDOUT, EACCES };
	struct world w;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		world_init(&w, false);
		w.fakes[0].fails[FAKE_REFS] = -silent[i];
		assert_int_equal(ask_refs(&w, &late), -silent[i]);
		assert_asked(&w, 1, 0);
		world_done(&w);
	}
}

static void a_note_leads_past_a_silent_source(void **state)
{
	struct world w;
	struct source *home = NULL;

	(void)state;
	world_init(&w, false);
	assert_int_equal(ask_refs(&w, &late), 3);
	source_free(w.source);
	/* The next mount. */
	open_source(&w, false);
	fake_forget(&w.fakes[0]);
	fake_forget(&w.fakes[1]);
	assert_int_equal(source_home(w.source, &late, false, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[1].source);
	assert_asked(&w, 0, 0);
	w.fakes[0].fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_asked(&w, 1, 1);
	/* What no note knows is not looked for behind it. */
	assert_int_equal(ask_refs(&w, &none), -EIO);
	assert_asked(&w, 1, 0);
	world_done(&w);
}

static void a_silent_home_is_not_asked_twice(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false);
	assert_int_equal(ask_refs(&w, &both), 1);
	source_free(w.source);
	open_source(&w, false);
	fake_forget(&w.fakes[0]);
	w.fakes[0].fails[FAKE_REFS] = -ETIMEDOUT;
	assert_int_equal(ask_refs(&w, &both), -ETIMEDOUT);
	assert_asked(&w, 1, 0);
	world_done(&w);
}

/* "This is what is called acme/both now" is no word of a later source. */
static void a_later_source_gives_no_name_away(void **state)
{
	struct world w;
	struct source *home = NULL;

	(void)state;
	world_init(&w, false);
	w.fakes[1].moved_to = &both;
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_int_equal(source_home(w.source, &both, true, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[0].source);
	world_done(&w);
}

/* What nobody could be asked about does not change who had it. */
static void offline_a_home_stays_where_it_was(void **state)
{
	struct world w;
	struct source *home = NULL;

	(void)state;
	world_init(&w, false);
	assert_int_equal(ask_refs(&w, &both), 1);
	source_free(w.source);
	open_source_when(&w, false, true);
	w.fakes[0].fails[FAKE_REFS] = -ENETUNREACH;
	assert_int_equal(ask_refs(&w, &both), -ENETUNREACH);
	assert_int_equal(source_home(w.source, &both, false, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[0].source);
	/* Of what nobody knows, the later one is believed, for now. */
	assert_int_equal(ask_refs(&w, &late), 3);
	source_free(w.source);
	open_source(&w, false);
	assert_int_equal(source_home(w.source, &late, false, &home, &w.err),
			 -EAGAIN);
	world_done(&w);
}

/* As catalog_index() leaves it when that source was the only one. */
static void write_commits(struct world *w, size_t member, const char *name)
{
	AUTO(auto_text) struct text key = TEXT_INIT(256);
	AUTO(auto_text) struct text note = TEXT_INIT(256);

	text_printf(&key, "%s acme", w->urls[member]);
	fact_begin(&note, "commits");
	text_printf(&note, "other " FAKE_C1 "\n%s " FAKE_C2 "\n", name);
	fact_end(&note);
	assert_int_equal(store_note_write(w->store, "commits", text_str(&key),
					  text_str(&note), note.len, NULL),
			 0);
}

static void what_was_the_firsts_when_it_was_alone_is_not_searched(void **state)
{
	struct source_options offline = { .offline = true };
	struct source *members[2];
	struct source *home = NULL;
	struct world w;

	(void)state;
	world_init(&w, false);
	write_commits(&w, 0, "both");
	write_commits(&w, 1, "late");
	assert_int_equal(source_home(w.source, &both, false, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[0].source);
	/* of the second: the first may have it by now */
	assert_int_equal(source_home(w.source, &late, false, &home, NULL),
			 -EAGAIN);
	assert_int_equal(source_home(w.source, &none, false, &home, NULL),
			 -EAGAIN);
	assert_asked(&w, 0, 0);
	/* its refs decide it all the same */
	assert_int_equal(ask_refs(&w, &both), 1);
	assert_asked(&w, 1, 0);
	/* offline nobody can say so */
	source_free(w.source);
	offline.store = w.store;
	for (size_t i = 0; i < 2; i++)
		members[i] = &w.fakes[i].source;
	assert_int_equal(source_many_new(&w.source, members, 2, &offline, NULL),
			 0);
	assert_int_equal(source_home(w.source, &late, false, &home, NULL), 0);
	assert_ptr_equal(home, &w.fakes[1].source);
	assert_asked(&w, 0, 0);
	world_done(&w);
}

static void a_refresh_searches_again(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false);
	assert_int_equal(ask_refs(&w, &late), 3);
	w.fakes[0].refs = later_refs;
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_asked(&w, 1, 2);
	w.source->ops->refresh(w.source, &late);
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_asked(&w, 1, 0);
	world_done(&w);
}

static void names_are_those_of_all(void **state)
{
	struct world w;
	struct source_names names = { .names = NULL };

	(void)state;
	world_init(&w, false);
	assert_int_equal(w.source->ops->kernels(w.source, "acme", &names, NULL),
			 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[1], "late");
	source_names_done(&names);
	/* A silent one has what it had. */
	w.fakes[1].fails[FAKE_KERNELS] = -EIO;
	assert_int_equal(w.source->ops->kernels(w.source, "acme", &names, NULL),
			 0);
	assert_int_equal(names.count, 2);
	source_names_done(&names);
	w.fakes[0].fails[FAKE_KERNELS] = -EIO;
	assert_int_equal(
		w.source->ops->kernels(w.source, "no-one", &names, &w.err),
		-EIO);
	world_done(&w);
}

/* ---- several addresses ---- */

static void a_dead_address_is_left_alone(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true);
	assert_true(w.fakes[0].source.hasty && w.fakes[1].source.hasty);
	w.fakes[0].fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_refs(&w, &both), 2);
	assert_asked(&w, 1, 1);
	assert_true(source_is_down(&w.fakes[0].source));
	/* The last that is good has the patience of a single one. */
	assert_false(w.fakes[1].source.hasty);
	assert_int_equal(ask_refs(&w, &both), 2);
	assert_asked(&w, 0, 1);
	/* Both: each is asked, in order, and who answers is good again. */
	w.fakes[1].fails[FAKE_REFS] = -EIO;
	assert_false(source_is_down(w.source));
	assert_int_equal(ask_refs(&w, &both), -EIO);
	assert_asked(&w, 0, 1);
	assert_true(source_is_down(w.source));
	w.fakes[0].fails[FAKE_REFS] = 0;
	assert_int_equal(ask_refs(&w, &both), 1);
	assert_asked(&w, 1, 0);
	assert_false(source_is_down(&w.fakes[0].source));
	world_done(&w);
}

static void only_the_preferred_one_says_no(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true);
	assert_int_equal(ask_refs(&w, &late), -ENOENT);
	assert_asked(&w, 1, 0);
	w.fakes[0].fails[FAKE_REFS] = -ETIMEDOUT;
	assert_int_equal(ask_refs(&w, &none), -EIO);
	assert_non_null(strstr(w.err.text, "'https://h0.example' does not"));
	assert_asked(&w, 1, 1);
	world_done(&w);
}

/* Nobody's "yes" is taken back by an address that knows less. */
static void a_mirror_s_no_is_no_distrust(void **state)
{
	struct source_names names = { .names = NULL };
	struct world w;
	bool yes = false;

	(void)state;
	world_init(&w, true);
	w.fakes[0].fails[FAKE_TRUSTED] = -EIO;
	assert_int_equal(w.source->ops->trusted(w.source, &both, &yes, NULL),
			 -EIO);
	w.fakes[1].trusts = "acme";
	assert_int_equal(w.source->ops->trusted(w.source, &both, &yes, NULL),
			 0);
	assert_true(yes);
	w.fakes[1].fails[FAKE_KERNELS] = -ENOSYS;
	assert_int_equal(w.source->ops->kernels(w.source, "acme", &names, NULL),
			 -ENOSYS);
	world_done(&w);
}

static int begin(struct http_sink *s, uint64_t from, struct err *err)
{
	(void)s;
	(void)from;
	return err_set(err, EIO, "the disk is broken");
}

static void a_sink_that_refuses_is_no_fault_of_the_address(void **state)
{
	struct http_sink sink = { .begin = begin };
	const struct source_file f = {
		.repo = &both, .commit = FAKE_C1, .path = "a", .size = 5
	};
	struct world w;

	(void)state;
	world_init(&w, true);
	assert_int_equal(w.source->ops->file(w.source, &f, &sink, &w.err),
			 -EIO);
	assert_string_equal(w.err.text, "the disk is broken");
	assert_asked(&w, 1, 0);
	assert_false(source_is_down(&w.fakes[0].source));
	world_done(&w);
}

/* Nor is it an occasion to ask the next one. */
static void that_parts_are_not_to_be_had_is_an_answer(void **state)
{
	struct http_sink sink = { .begin = begin };
	const struct source_file f = { .repo = &both,
				       .commit = FAKE_C1,
				       .path = "a",
				       .size = 5,
				       .until = 2 };
	struct world w;

	(void)state;
	world_init(&w, true);
	w.fakes[0].fails[FAKE_FILE] = -EOPNOTSUPP;
	assert_int_equal(w.source->ops->file(w.source, &f, &sink, &w.err),
			 -EOPNOTSUPP);
	assert_asked(&w, 1, 0);
	/* It has said nothing yet that anybody could have heard. */
	assert_int_equal(w.fakes[0].source.health.heard, 0);
	world_done(&w);
}

static int part_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	(void)s;
	(void)from;
	(void)err;
	return 0;
}

static int part_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	(void)s;
	(void)p;
	(void)n;
	(void)err;
	return 0;
}

static struct source_file cut_asks[2];

/* Gives two bytes of the part and is silent, then is content. */
static int cut_file(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err)
{
	int r = fake_enter(s, FAKE_FILE, err);

	assert_true(r >= -EIO);
	cut_asks[r ? 0 : 1] = *f;
	if (!r)
		return 0;
	assert_int_equal(sink->begin(sink, f->from, err), 0);
	assert_int_equal(sink->write(sink, "xx", 2, err), 0);
	return r;
}

static void a_cut_part_goes_on_at_the_next_address(void **state)
{
	struct http_sink sink = { .begin = part_begin, .write = part_write };
	struct text place = TEXT_INIT(10);
	const struct source_file f = { .repo = &both,
				       .commit = FAKE_C1,
				       .path = "a",
				       .size = 9,
				       .from = 3,
				       .until = 7,
				       .place = &place,
				       .apart = true };
	struct source_ops ops;
	struct world w;

	(void)state;
	world_init(&w, true);
	ops = *w.fakes[0].source.ops;
	ops.file = cut_file;
	w.fakes[0].source.ops = &ops;
	w.fakes[1].source.ops = &ops;
	w.fakes[0].fails[FAKE_FILE] = -EIO;
	assert_int_equal(w.source->ops->file(w.source, &f, &sink, &w.err), 0);
	assert_int_equal(cut_asks[0].from, 3);
	assert_int_equal(cut_asks[1].from, 5);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(cut_asks[i].until, 7);
		assert_ptr_equal(cut_asks[i].place, &place);
		assert_true(cut_asks[i].apart);
	}
	world_done(&w);
}

static void a_mirror_s_no_does_not_lead_to_the_next_source(void **state)
{
	struct source_options o = { .store = NULL };
	struct source *all[2];
	struct fake third;
	char url[] = "https://third.example";
	struct source *many = NULL;
	struct world w;

	(void)state;
	world_init(&w, true);
	fake_init(&third, files, later_refs);
	third.source.url = url;
	all[0] = w.source;
	all[1] = &third.source;
	assert_int_equal(source_many_new(&many, all, 2, &o, NULL), 0);
	w.source = many;
	w.fakes[1].refs = first_refs; /* it lags behind */
	w.fakes[0].fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_refs(&w, &late), -EIO);
	assert_int_equal(fake_asked_all(&third), 0);
	/* The preferred one itself may say so. */
	w.fakes[0].fails[FAKE_REFS] = 0;
	w.fakes[1].fails[FAKE_REFS] = -EIO;
	assert_int_equal(ask_refs(&w, &none), -EIO);
	assert_int_equal(ask_refs(&w, &late), 3);
	assert_int_equal(fake_asked(&third, FAKE_REFS), 1);
	world_done(&w);
	fake_done(&third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_has_it_wins),
		cmocka_unit_test(a_silent_source_ends_the_search),
		cmocka_unit_test(a_note_leads_past_a_silent_source),
		cmocka_unit_test(a_silent_home_is_not_asked_twice),
		cmocka_unit_test(a_later_source_gives_no_name_away),
		cmocka_unit_test(offline_a_home_stays_where_it_was),
		cmocka_unit_test(
			what_was_the_firsts_when_it_was_alone_is_not_searched),
		cmocka_unit_test(a_refresh_searches_again),
		cmocka_unit_test(names_are_those_of_all),
		cmocka_unit_test(a_dead_address_is_left_alone),
		cmocka_unit_test(only_the_preferred_one_says_no),
		cmocka_unit_test(a_mirror_s_no_is_no_distrust),
		cmocka_unit_test(
			a_sink_that_refuses_is_no_fault_of_the_address),
		cmocka_unit_test(that_parts_are_not_to_be_had_is_an_answer),
		cmocka_unit_test(a_cut_part_goes_on_at_the_next_address),
		cmocka_unit_test(
			a_mirror_s_no_does_not_lead_to_the_next_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
