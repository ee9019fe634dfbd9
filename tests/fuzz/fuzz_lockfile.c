/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/lockfile.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>

/* What it printed is read again as the same. */
static void check_again(const struct lockfile *l)
{
	AUTO(auto_text) struct text one = TEXT_INIT(64u << 20);
	AUTO(auto_text) struct text two = TEXT_INIT(64u << 20);
	struct lockfile again;

	lockfile_print(l, &one);
	FUZZ_CHECK(text_failed(&one) == 0);
	FUZZ_CHECK(lockfile_parse(&again, "g", text_str(&one), one.len, NULL) ==
		   0);
	FUZZ_CHECK(again.count == l->count);
	lockfile_print(&again, &two);
	FUZZ_CHECK(strcmp(text_str(&one), text_str(&two)) == 0);
	lockfile_done(&again);
}

static void check(const struct lockfile *l)
{
	bool old = false;

	for (size_t i = 0; i < l->count; i++) {
		const struct lock_entry *e = &l->entries[i];

		FUZZ_CHECK(ref_owner_valid(e->repo.owner));
		FUZZ_CHECK(ref_name_valid(e->repo.name));
		FUZZ_CHECK(text_is_hex(e->commit, REF_COMMIT_LEN));
		FUZZ_CHECK(lockfile_default(l, &e->repo));
		FUZZ_CHECK(lockfile_has_commit(l, &e->repo, e->commit));
		if (e->has_version)
			FUZZ_CHECK(lockfile_version(l, &e->repo, e->version) ==
				   e);
		else if (e->revision[0])
			FUZZ_CHECK(lockfile_revision(l, &e->repo,
						     e->revision) == e);
		old = old || (!e->has_version && !e->revision[0]);
		for (size_t k = 0; k < e->hash_count; k++)
			FUZZ_CHECK(lock_entry_hash(e, e->hashes[k].variant) ==
				   &e->hashes[k]);
	}
	if (!old)
		check_again(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lockfile l;
	int r = lockfile_parse(&l, "f", (const char *)data, size, NULL);

	FUZZ_CHECK(r == 0 || r == -EINVAL);
	if (r == 0) {
		check(&l);
		lockfile_done(&l);
	}
	return 0;
}
