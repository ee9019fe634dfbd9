/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/catalog_pins.h"

#include "base/text.h"
#include "fakesource.h"
#include "kernels/catalog.h"
#include "kernels/store.h"
#include "scratch.h"

static const struct repo_id top = { .owner = "acme", .name = "top" };

struct room {
	char folder[SCRATCH_MAX];
	struct fake fake;
	struct store *store;
	struct catalog *catalog;
};

static int setup(void **state)
{
	static const struct fake_file files[] = { { NULL, NULL, NULL, NULL } };
	static const struct fake_ref refs[] = { { NULL, NULL, NULL, false } };
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	scratch_make(r->folder);
	fake_init(&r->fake, files, refs);
	assert_int_equal(store_new(&r->store, r->folder, NULL), 0);
	assert_int_equal(
		catalog_new(&r->catalog, &r->fake.source, r->store, NULL), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;

	catalog_free(r->catalog);
	store_free(r->store);
	assert_int_equal(fake_asked_all(&r->fake), 0);
	fake_done(&r->fake);
	scratch_remove(r->folder);
	free(r);
	return 0;
}

static struct catalog_pin pin_of(const char *asked, const char *at)
{
	struct catalog_pin p = { .repo = { .owner = "" } };
	struct ref ref;

	assert_int_equal(ref_parse(&p.asked, asked, NULL), 0);
	assert_int_equal(ref_parse(&ref, at, NULL), 0);
	p.repo = ref.repo;
	(void)text_copy(p.commit, sizeof(p.commit), ref.rev);
	return p;
}

static void keep(struct room *r, const char *commit, const char *asked,
		 const char *at)
{
	const struct catalog_pin p = pin_of(asked, at);

	catalog_pins_keep(r->catalog, &top, commit, &p, 1);
}

static void is_kept(struct room *r, const char *commit, const char *asked,
		    const char *owner, const char *at)
{
	struct catalog_pins pins = { 0 };
	const struct catalog_pin *p;
	struct ref ref;

	assert_int_equal(ref_parse(&ref, asked, NULL), 0);
	assert_int_equal(catalog_pins(r->catalog, &top, commit, &pins), 0);
	p = catalog_pins_find(&pins, &ref);
	if (at) {
		assert_non_null(p);
		assert_string_equal(p->commit, at);
		assert_string_equal(p->repo.owner, owner);
	} else {
		assert_null(p);
	}
	catalog_pins_done(&pins);
}

static void keeps_what_was_decided(void **state)
{
	struct catalog_pins none = { 0 };
	struct room *r = *state;

	assert_int_equal(catalog_pins(r->catalog, &top, FAKE_C1, &none),
			 -ENOENT);
	keep(r, FAKE_C1, "acme/low@v1", "moved/low@" FAKE_C2);
	keep(r, FAKE_C1, "acme/low@a%2Fb", "acme/low@" FAKE_C3);
	is_kept(r, FAKE_C1, "acme/low@v1", "moved", FAKE_C2);
	is_kept(r, FAKE_C1, "acme/low@a/b", "acme", FAKE_C3);
	is_kept(r, FAKE_C1, "acme/low@v2", NULL, NULL);
	is_kept(r, FAKE_C1, "acme/lower@v1", NULL, NULL);
	/* another commit needs what it needs */
	assert_int_equal(catalog_pins(r->catalog, &top, FAKE_C2, &none),
			 -ENOENT);
	/* the last decision counts */
	keep(r, FAKE_C1, "acme/low@v1", "acme/low@" FAKE_C3);
	is_kept(r, FAKE_C1, "acme/low@v1", "acme", FAKE_C3);
	is_kept(r, FAKE_C1, "acme/low@a/b", "acme", FAKE_C3);
}

static void a_damaged_note_is_none(void **state)
{
	static const char *const lines[] = {
		"acme/low@v1\n",
		"acme/low@v1 acme/low@v2\n",
		"acme/low@v1 acme/low@" FAKE_C2 " x\n",
		"../low@v1 acme/low@" FAKE_C2 "\n",
		" acme/low@" FAKE_C2 "\n",
		"\n",
	};
	static const char key[] = FAKE_URL " acme/top@" FAKE_C1;
	struct catalog_pins pins = { 0 };
	struct room *r = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char note[512];

		(void)snprintf(note, sizeof(note), "kernelfs pins 1\n%send 1\n",
			       lines[i]);
		assert_int_equal(store_note_write(r->store, "pins", key, note,
						  strlen(note), NULL),
				 0);
		if (catalog_pins(r->catalog, &top, FAKE_C1, &pins) != -ENOENT)
			fail_msg("'%s' was believed", lines[i]);
	}
	/* and the next decision mends it */
	keep(r, FAKE_C1, "acme/low@v1", "acme/low@" FAKE_C2);
	is_kept(r, FAKE_C1, "acme/low@v1", "acme", FAKE_C2);
}

static void keeps_no_more_than_it_reads(void **state)
{
	static struct catalog_pin pins[CATALOG_PINS_MAX];
	struct room *r = *state;
	char asked[64];

	for (unsigned i = 0; i < CATALOG_PINS_MAX; i++) {
		(void)snprintf(asked, sizeof(asked), "acme/n%u@v1", i);
		pins[i] = pin_of(asked, "acme/n@" FAKE_C2);
	}
	catalog_pins_keep(r->catalog, &top, FAKE_C1, pins, CATALOG_PINS_MAX);
	is_kept(r, FAKE_C1, asked, "acme", FAKE_C2);
	keep(r, FAKE_C1, "acme/new@v1", "acme/new@" FAKE_C3);
	is_kept(r, FAKE_C1, "acme/new@v1", "acme", FAKE_C3);
	is_kept(r, FAKE_C1, "acme/n0@v1", "acme", FAKE_C2);
	is_kept(r, FAKE_C1, asked, NULL, NULL);
}

#define unit(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit(keeps_what_was_decided),
		unit(a_damaged_note_is_none),
		unit(keeps_no_more_than_it_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
