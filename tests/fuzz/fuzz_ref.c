/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/ref.h"

#include "base/cleanup.h"

static void same(const struct ref *a, const struct ref *b)
{
	FUZZ_CHECK(repo_equal(&a->repo, &b->repo));
	FUZZ_CHECK(a->kind == b->kind && a->version == b->version);
	FUZZ_CHECK(strcmp(a->rev, b->rev) == 0);
}

/* Printing and parsing are each other's inverse, and what is printed can
 * stand in a path and in a log. */
static void check(const struct ref *r)
{
	char text[REF_TEXT_MAX], step[REF_TEXT_MAX];
	char package[REF_PART_MAX + 1];
	struct ref again;

	FUZZ_CHECK(ref_owner_valid(r->repo.owner));
	FUZZ_CHECK(ref_name_valid(r->repo.name));
	ref_print(r, text);
	FUZZ_CHECK(fuzz_is_plain(text));
	FUZZ_CHECK(strchr(text, '/') == strrchr(text, '/'));
	FUZZ_CHECK(ref_parse(&again, text, NULL) == 0);
	same(r, &again);
	ref_print_step(r, step);
	FUZZ_CHECK(!strchr(step, '/') && strcmp(step, "..") != 0);
	FUZZ_CHECK(ref_parse_step(&again, r->repo.owner, step, NULL) == 0);
	same(r, &again);
	repo_package(&r->repo, package);
	(void)ref_is_identifier(package);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	struct repo_id repo;
	struct ref r;

	if (ref_parse(&r, s, NULL) == 0)
		check(&r);
	if (ref_parse_step(&r, "owner", s, NULL) == 0)
		check(&r);
	if (ref_parse_repo(&repo, s, NULL) == 0)
		FUZZ_CHECK(ref_parse(&r, s, NULL) == 0 &&
			   r.kind == REV_DEFAULT);
	return 0;
}
