/* SPDX-License-Identifier: Apache-2.0 */
#include "store_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "ref.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/*
 * Folders that are read and never written: another cache of ours, or one of
 * huggingface_hub, in which a kernel's file is
 *
 *	kernels--<owner>--<name>/blobs/<hex>
 *
 * or a link there into the store that all its repositories share,
 *
 *	../../blobs/<2 hex>/<64 hex>
 *
 * (named after another hash than ours). Both places are looked at in each.
 *
 * Their names prove nothing, so what is found is hashed, once: the verdict is
 * kept as a note under the path and everything that changes when somebody
 * writes to the file (device, inode, size, both times). The bytes stay where
 * they are. What has the wrong content is said once and passed over.
 *
 * A cache of ours lends its notes as well, when nobody but us, root, or our
 * group can have written them: nothing else vouches for a listing.
 */

#define KEY_MAX 8192
#define VERDICT_MAX 8
#define VERDICTS_MAX 65536 /* in memory; more are hashed again */

/* Room for "kernels--o--n/blobs/<hex>". */
#define HUB_NAME_MAX (2 * REF_PART_MAX + DIGEST_HEX_MAX + 32)

static const char *const lent_kinds[] = {
	"trees", "refs",    "kernels", "trust",
	"pins",	 "commits", "owners",  "homes",
};

/* ---- naming them ---- */

static bool is_same(int dir, const struct stat *st)
{
	struct stat other;

	return fstat(dir, &other) == 0 && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* 1: it was named before. */
static int judge(struct store *s, struct tier *t, struct err *err)
{
	uint64_t layout = 0;
	struct stat st;

	if (fstat(t->dir, &st) < 0)
		return err_errno(err, errno, "tier '%s'", t->path);
	for (size_t i = 0; i < s->tier_count; i++)
		if (is_same(s->tiers[i].dir, &st))
			return 1;
	if (is_same(s->dir, &st))
		return err_set(err, EINVAL, "tier '%s' is the cache itself",
			       t->path);
	if (faccessat(t->dir, "notes", F_OK, 0) < 0)
		return 0;
	if (store_layout_of(t->dir, &layout) < 0 || layout > 1)
		return err_set(err, EPROTONOSUPPORT,
			       "tier '%s' has another layout than this "
			       "kernelfs knows",
			       t->path);
	t->lends = store_folder_is_ours(&st);
	if (!t->lends)
		log_info("store",
			 "tier '%s' can be written by others: its blobs are "
			 "used when their hash is right, its listings are not",
			 t->path);
	return 0;
}

int store_add_tier(struct store *s, const char *dir, struct err *err)
{
	struct tier t = { .path = NULL };
	int r;

	if (s->tier_count == STORE_TIERS_MAX)
		return err_set(err, EINVAL, "tier '%s': more than %d tiers",
			       dir, STORE_TIERS_MAX);
	t.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t.dir < 0)
		return err_errno(err, errno, "tier '%s'", dir);
	t.path = text_dup(dir, strlen(dir));
	r = t.path ? judge(s, &t, err)
		   : err_errno(err, ENOMEM, "tier '%s'", dir);
	if (r != 0) {
		(void)close(t.dir);
		free(t.path);
		return r < 0 ? r : 0;
	}
	s->tiers[s->tier_count++] = t;
	return 0;
}

/* ---- verdicts ---- */

struct verdict {
	struct map_link link;
	bool good;
	char key[]; /* NUL-terminated */
};

static int verdict_equal(const struct map_link *l, const void *key)
{
	return !strcmp(map_item_const(l, struct verdict, link)->key, key);
}

static void print_key(struct text *key, const struct tier *t,
		      const struct digest *d, const struct stat *st)
{
	char hex[DIGEST_HEX_MAX];

	digest_print(d, hex);
	text_printf(key, "%s %s %llu:%llu %lld %lld.%09ld %lld.%09ld", t->path,
		    hex, (unsigned long long)st->st_dev,
		    (unsigned long long)st->st_ino, (long long)st->st_size,
		    (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		    (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

static struct verdict *find_locked(struct store *s, const char *key)
	LOCK_REQUIRES(&s->mu)
{
	struct map_link *l = s->verdicts.equal
				     ? map_find(&s->verdicts,
						map_hash(key, strlen(key)), key)
				     : NULL;

	return l ? map_item(l, struct verdict, link) : NULL;
}

/* Where no note can be written it is known until the program ends. */
static void remember(struct store *s, const char *key, bool good)
{
	size_t n = strlen(key);
	struct verdict *v = calloc(1, sizeof(*v) + n + 1);

	if (!v)
		return;
	v->good = good;
	memcpy(v->key, key, n + 1);
	lock_take(&s->mu);
	if (!s->verdicts.equal)
		map_init(&s->verdicts, verdict_equal);
	if (find_locked(s, key) || s->verdicts.count >= VERDICTS_MAX ||
	    map_add(&s->verdicts, &v->link, map_hash(key, n)) < 0) {
		lock_drop(&s->mu);
		free(v);
		return;
	}
	lock_drop(&s->mu);
}

static void keep_verdict(struct store *s, const char *key, bool good)
{
	const char *word = good ? "good\n" : "bad\n";

	if (store_note_write(s, "tiers", key, word, strlen(word), NULL) < 0)
		remember(s, key, good);
}

/* 1 good, 0 bad, -EAGAIN unknown */
static int verdict_of(struct store *s, const char *key)
{
	AUTO(auto_text) struct text note = TEXT_INIT(VERDICT_MAX);
	const struct verdict *v;
	int r = -EAGAIN;

	if (store_note_read(s, "tiers", key, &note, NULL) == 0) {
		if (!strcmp(text_str(&note), "good\n"))
			return 1;
		if (!strcmp(text_str(&note), "bad\n"))
			return 0;
	}
	lock_take(&s->mu);
	v = find_locked(s, key);
	if (v)
		r = v->good;
	lock_drop(&s->mu);
	return r;
}

void store_tiers_done(struct store *s)
{
	struct map_link *l;

	while (s->tier_count > 0) {
		struct tier *t = &s->tiers[--s->tier_count];

		auto_close(&t->dir);
		free(t->path);
	}
	if (!s->verdicts.equal)
		return;
	while ((l = map_next(&s->verdicts, NULL))) {
		map_remove(&s->verdicts, l);
		free(map_item(l, struct verdict, link));
	}
	map_done(&s->verdicts);
}

/* ---- finding a file ---- */

/* Does the text say exactly "../../blobs/<2 hex>/<64 hex>", the first being
 * those of the second? Then it may be followed below the tier. */
static bool leads_to_shared(const char *target)
{
	const char *hex = target + strlen("../../blobs/xx/");

	return strlen(target) == strlen("../../blobs/xx/") + 64 &&
	       text_starts(target, "../../blobs/") && hex[-1] == '/' &&
	       text_is_hex(hex, 64) && hex[-3] == hex[0] && hex[-2] == hex[1];
}

static int open_in_hub(const struct tier *t, const struct repo_id *repo,
		       const char *hex)
{
	char name[HUB_NAME_MAX];
	char target[128];
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "kernels--%s--%s/blobs/%s",
		       repo->owner, repo->name, hex);
	fd = store_open_below(t->dir, name);
	if (fd != -ENOENT)
		return fd;
	n = readlinkat(t->dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return -ENOENT;
	target[n] = '\0';
	if (!leads_to_shared(target))
		return -ENOENT;
	return store_open_below(t->dir, target + strlen("../../"));
}

/* What a tier has under this name and in this size: fd, or -errno. */
static int open_in_tier(const struct tier *t, const struct repo_id *repo,
			const struct digest *d, uint64_t size, struct stat *st)
{
	AUTO(auto_close) int fd = -1;
	char name[STORE_NAME_MAX];
	char folder[STORE_NAME_MAX];
	char hex[DIGEST_HEX_MAX];

	store_blob_name(d, folder, name);
	fd = store_open_below(t->dir, name);
	if (fd < 0 && repo) {
		digest_print(d, hex);
		fd = open_in_hub(t, repo, hex);
	}
	if (fd < 0)
		return fd;
	/* its own cleaner need not be told twice, nor waited for */
	(void)flock(fd, LOCK_SH | LOCK_NB);
	if (fstat(fd, st) < 0)
		return -errno;
	if ((uint64_t)st->st_size != size)
		return -ENOENT;
	return take_fd(&fd);
}

int store_tier_open(struct store *s, const struct repo_id *repo,
		    const struct digest *d, uint64_t size)
{
	int r = -ENOENT;

	for (size_t i = 0; i < s->tier_count; i++) {
		AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
		struct stat st;
		AUTO(auto_close)
		int fd = open_in_tier(&s->tiers[i], repo, d, size, &st);
		int known;

		if (fd < 0)
			continue;
		print_key(&key, &s->tiers[i], d, &st);
		known = verdict_of(s, text_str(&key));
		if (known == 1)
			return take_fd(&fd);
		if (known < 0)
			r = -EAGAIN;
	}
	return r;
}

/* ---- verifying ---- */

/* 0 it is right, -EBADMSG it is not, -errno nobody knows. */
static int verify_file(struct store *s, const struct tier *t, int fd,
		       const struct digest *d, const struct stat *before,
		       const bool *cancelled, int64_t *progress_ms)
{
	AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
	char hex[DIGEST_HEX_MAX];
	struct digest got;
	struct stat st;
	bool good;
	int r;

	r = store_hash_file(fd, (enum digest_kind)d->kind,
			    (uint64_t)before->st_size, &got, cancelled,
			    progress_ms);
	if (r < 0)
		return r;
	good = digest_equal(&got, d);
	print_key(&key, t, d, before);
	/* written to meanwhile: the verdict would be on other bytes */
	if (text_failed(&key) || fstat(fd, &st) < 0 ||
	    st.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	    st.st_mtim.tv_nsec != before->st_mtim.tv_nsec ||
	    st.st_size != before->st_size)
		return -EAGAIN;
	keep_verdict(s, text_str(&key), good);
	if (good)
		return 0;
	digest_print(d, hex);
	log_warning("store",
		    "tier '%s': the content of %s does not match its hash; it "
		    "is not used",
		    t->path, hex);
	return -EBADMSG;
}

int store_verify_tiers(struct store *s, const struct repo_id *repo,
		       const struct digest *d, uint64_t size,
		       const bool *cancelled, int64_t *progress_ms)
{
	for (size_t i = 0; i < s->tier_count; i++) {
		const struct tier *t = &s->tiers[i];
		AUTO(auto_text) struct text key = TEXT_INIT(KEY_MAX);
		struct stat st;
		AUTO(auto_close) int fd = open_in_tier(t, repo, d, size, &st);
		int r;

		if (fd < 0)
			continue;
		print_key(&key, t, d, &st);
		r = verdict_of(s, text_str(&key));
		if (r == 1)
			return 0;
		if (r == 0)
			continue;
		r = verify_file(s, t, fd, d, &st, cancelled, progress_ms);
		if (r == 0 || r == -ECANCELED)
			return r;
		if (r != -EBADMSG)
			log_debug("store", "tier '%s': %s", t->path,
				  strerrordesc_np(-r));
	}
	return -ENOENT;
}

/* ---- lending notes ---- */

int store_tier_note(struct store *s, const char *kind, const char *name)
{
	bool lent = false;

	for (size_t i = 0; i < sizeof(lent_kinds) / sizeof(*lent_kinds); i++)
		lent = lent || !strcmp(kind, lent_kinds[i]);
	for (size_t i = 0; lent && i < s->tier_count; i++) {
		int fd = s->tiers[i].lends
				 ? store_open_below(s->tiers[i].dir, name)
				 : -ENOENT;

		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}
