/* SPDX-License-Identifier: Apache-2.0 */
#include "storing.h"

#include "base/log.h"
#include "base/text.h"
#include "kernels/ref.h"

/* A tier beside the cache; both below `dir`. */
static char cache[SCRATCH_MAX];
static char tier[SCRATCH_MAX];

static const struct repo_id repo = { .owner = "acme", .name = "relu" };

static int up(void **state)
{
	(void)storing_up(state);
	(void)snprintf(cache, sizeof(cache), "%.400s/cache", dir);
	(void)snprintf(tier, sizeof(tier), "%.400s/tier", dir);
	assert_int_equal(mkdir(cache, 0700), 0);
	assert_int_equal(mkdir(tier, 0700), 0);
	return 0;
}

#define TIER_TEST(f) cmocka_unit_test_setup_teardown(f, up, storing_down)

static struct store *store_with_tier(void)
{
	struct store *s = store_at(cache);
	struct err err = ERR_INIT;

	if (store_add_tier(s, tier, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

/* A file of the tier, its folders made. */
static void put(const char *name, const char *bytes)
{
	char path[3 * SCRATCH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", tier, name);
	for (char *p = path + strlen(tier) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(path, 0755);
		*p = '/';
	}
	scratch_put(tier, name, bytes, strlen(bytes));
}

static void hub_name(char out[SCRATCH_MAX], const struct digest *d)
{
	char hex[DIGEST_HEX_MAX];

	digest_print(d, hex);
	(void)snprintf(out, SCRATCH_MAX, "kernels--acme--relu/blobs/%s", hex);
}

static void put_in_hub(const struct digest *d, const char *bytes)
{
	char name[SCRATCH_MAX];

	hub_name(name, d);
	put(name, bytes);
}

static int verify(struct store *s, const struct digest *d, uint64_t size)
{
	return store_verify_tiers(s, &repo, d, size, NULL, NULL);
}

static void assert_reads(struct store *s, const struct digest *d,
			 const char *bytes)
{
	size_t n = strlen(bytes);
	int fd = store_open(s, &repo, d, n);
	char got[256];

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), n);
	assert_memory_equal(got, bytes, n);
	assert_true(store_has(s, &repo, d, n));
	(void)close(fd);
}

static void uses_a_hub_cache_once_it_was_verified(void **state)
{
	struct digest sha = digest_of("large file");
	struct digest git = digest_as(DIGEST_GIT, "small file", 10);
	struct store *s = store_with_tier();
	uint64_t bytes = 1;
	uint64_t blobs = 1;

	(void)state;
	put_in_hub(&sha, "large file");
	put_in_hub(&git, "small file");
	assert_int_equal(store_open(s, &repo, &sha, 10), -EAGAIN);
	assert_false(store_has(s, &repo, &sha, 10));
	assert_int_equal(store_open(s, NULL, &sha, 10), -ENOENT);
	assert_int_equal(store_open(s, &repo, &sha, 11), -ENOENT);
	assert_int_equal(verify(s, &sha, 10), 0);
	assert_int_equal(verify(s, &git, 10), 0);
	assert_reads(s, &sha, "large file");
	assert_reads(s, &git, "small file");
	/* not copied, and known after a restart too */
	assert_int_equal(store_recount(s, &bytes, &blobs), 0);
	assert_int_equal(blobs, 0);
	store_free(s);
	s = store_with_tier();
	assert_reads(s, &sha, "large file");
	store_free(s);
}

static void follows_links_into_the_shared_store_and_nowhere_else(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff"
				  "00112233445566778899aabbccddeeff";
	struct digest good = digest_of("shared");
	struct digest bad = digest_of("outside");
	struct store *s = store_with_tier();
	char target[SCRATCH_MAX];
	char name[SCRATCH_MAX];
	char path[3 * SCRATCH_MAX];

	(void)state;
	(void)snprintf(name, sizeof(name), "blobs/00/%s", hex);
	put(name, "shared");
	put("kernels--acme--relu/blobs/x", "x");
	(void)snprintf(target, sizeof(target), "../../blobs/00/%s", hex);
	hub_name(name, &good);
	(void)snprintf(path, sizeof(path), "%s/%s", tier, name);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(verify(s, &good, 6), 0);
	assert_reads(s, &good, "shared");

	scratch_put(dir, "outside", "outside", 7);
	hub_name(name, &bad);
	(void)snprintf(path, sizeof(path), "%s/%s", tier, name);
	assert_int_equal(symlink("../../../outside", path), 0);
	assert_int_equal(verify(s, &bad, 7), -ENOENT);
	assert_int_equal(store_open(s, &repo, &bad, 7), -ENOENT);
	store_free(s);
}

static void uses_a_cache_of_ours_and_its_notes(void **state)
{
	struct text note = TEXT_INIT(64);
	struct store *lower = store_at(tier);
	struct digest d = digest_of("blob");
	struct store *s;

	(void)state;
	assert_int_equal(take_in(lower, "blob", NULL), 0);
	assert_int_equal(store_note_write(lower, "trees", "k", "lent", 4, NULL),
			 0);
	assert_int_equal(store_note_write(lower, "uses", "k", "own", 3, NULL),
			 0);
	s = store_with_tier();
	assert_int_equal(store_open(s, NULL, &d, 4), -EAGAIN);
	assert_int_equal(verify(s, &d, 4), 0);
	assert_reads(s, &d, "blob");
	assert_int_equal(store_note_read(s, "trees", "k", &note, NULL), 0);
	assert_string_equal(text_str(&note), "lent");
	assert_int_equal(store_note_read(s, "uses", "k", &note, NULL), -ENOENT);
	store_free(s);
	/* whoever may write it may plant a listing, but no content */
	assert_int_equal(chmod(tier, 0777), 0);
	s = store_with_tier();
	assert_int_equal(store_note_read(s, "trees", "k", &note, NULL),
			 -ENOENT);
	assert_reads(s, &d, "blob");
	store_free(s);
	store_free(lower);
	text_done(&note);
}

static void passes_over_what_has_the_wrong_content(void **state)
{
	struct digest d = digest_of("right");
	struct store *s = store_with_tier();
	struct text log = TEXT_INIT(1 << 16);

	(void)state;
	put_in_hub(&d, "wrong");
	assert_int_equal(store_open(s, &repo, &d, 5), -EAGAIN);
	assert_int_equal(verify(s, &d, 5), -ENOENT);
	log_report(&log);
	assert_non_null(strstr(text_str(&log), "does not match its hash"));
	/* and is not asked about again */
	assert_int_equal(store_open(s, &repo, &d, 5), -ENOENT);
	/* a file that was changed is another one */
	put_in_hub(&d, "right");
	assert_int_equal(store_open(s, &repo, &d, 5), -EAGAIN);
	assert_int_equal(verify(s, &d, 5), 0);
	assert_reads(s, &d, "right");
	store_free(s);
	text_done(&log);
}

static void a_change_after_the_verdict_is_noticed(void **state)
{
	struct digest d = digest_of("right");
	struct store *s = store_with_tier();

	(void)state;
	put_in_hub(&d, "right");
	assert_int_equal(verify(s, &d, 5), 0);
	put_in_hub(&d, "wrong");
	assert_int_equal(store_open(s, &repo, &d, 5), -EAGAIN);
	assert_int_equal(verify(s, &d, 5), -ENOENT);
	store_free(s);
}

static void its_own_blob_comes_first_and_the_second_tier_last(void **state)
{
	char second[2 * SCRATCH_MAX];
	struct digest d = digest_of("own");
	struct digest e = digest_of("two");
	struct store *lower;
	struct store *s;

	(void)state;
	path_in(second, "second");
	lower = store_at(second);
	assert_int_equal(take_in(lower, "two", NULL), 0);
	s = store_with_tier();
	assert_int_equal(store_add_tier(s, second, NULL), 0);
	assert_int_equal(store_add_tier(s, second, NULL), 0); /* once */
	put_in_hub(&d, "bad");
	put_in_hub(&e, "bad");
	assert_int_equal(take_in(s, "own", NULL), 0);
	assert_reads(s, &d, "own");
	assert_int_equal(verify(s, &e, 3), 0);
	assert_reads(s, &e, "two");
	store_free(s);
	store_free(lower);
}

static void stops_when_nobody_wants_it(void **state)
{
	struct digest d = digest_of("right");
	struct store *s = store_with_tier();
	bool cancelled = true;

	(void)state;
	put_in_hub(&d, "right");
	assert_int_equal(store_verify_tiers(s, &repo, &d, 5, &cancelled, NULL),
			 -ECANCELED);
	assert_int_equal(store_open(s, &repo, &d, 5), -EAGAIN);
	store_free(s);
}

static void refuses_what_can_be_no_tier(void **state)
{
	struct store *s = store_at(cache);
	struct err err = ERR_INIT;
	char path[2 * SCRATCH_MAX];

	(void)state;
	assert_int_equal(store_add_tier(s, cache, &err), -EINVAL);
	assert_non_null(strstr(err.text, "itself"));
	path_in(path, "absent");
	assert_int_equal(store_add_tier(s, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	put("layout", "9\n");
	put("notes/x", "x");
	assert_int_equal(store_add_tier(s, tier, &err), -EPROTONOSUPPORT);
	store_free(s);
}

/* As somebody who can read both and write neither. */
static int as_a_guest(void *arg)
{
	struct digest d = digest_of("right");
	struct store *s = NULL;
	int fd;

	(void)arg;
	if (setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		return 77;
	if (store_new(&s, cache, NULL) < 0 || store_add_tier(s, tier, NULL) < 0)
		return 1;
	if (verify(s, &d, 5) != 0)
		return 2;
	fd = store_open(s, &repo, &d, 5);
	if (fd < 0)
		return 3;
	(void)close(fd);
	store_free(s);
	return 0;
}

static void remembers_a_verdict_that_it_cannot_write_down(void **state)
{
	struct digest d = digest_of("right");

	(void)state;
	if (geteuid() != 0)
		skip();
	put_in_hub(&d, "right");
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(cache, 0755), 0);
	assert_int_equal(chmod(tier, 0755), 0);
	assert_int_equal(in_child(as_a_guest, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TIER_TEST(uses_a_hub_cache_once_it_was_verified),
		TIER_TEST(follows_links_into_the_shared_store_and_nowhere_else),
		TIER_TEST(uses_a_cache_of_ours_and_its_notes),
		TIER_TEST(passes_over_what_has_the_wrong_content),
		TIER_TEST(a_change_after_the_verdict_is_noticed),
		TIER_TEST(its_own_blob_comes_first_and_the_second_tier_last),
		TIER_TEST(stops_when_nobody_wants_it),
		TIER_TEST(refuses_what_can_be_no_tier),
		TIER_TEST(remembers_a_verdict_that_it_cannot_write_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
