/* SPDX-License-Identifier: Apache-2.0 */
#include "decided.h"

#include "base/err.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX (2 * REF_PART_MAX + REF_COMMIT_LEN + 3)

struct entry {
	struct map_link link;
	char *revision; /* in `key`, behind the key's NUL */
	char key[];	/* "owner/repo@commit" */
};

struct decided {
	struct lock lock;
	struct map table; /* lock */
};

static int is_equal(const struct map_link *l, const void *key)
{
	return !strcmp(map_item_const(l, struct entry, link)->key, key);
}

int decided_new(struct decided **out, struct err *err)
{
	struct decided *d = calloc(1, sizeof(*d));

	if (!d)
		return err_errno(err, ENOMEM, "decided names");
	lock_init(&d->lock, LOCK_MEMO);
	map_init(&d->table, is_equal);
	*out = d;
	return 0;
}

void decided_free(struct decided *d)
{
	struct map_link *l;

	if (!d)
		return;
	while ((l = map_next(&d->table, NULL))) {
		map_remove(&d->table, l);
		free(map_item(l, struct entry, link));
	}
	map_done(&d->table);
	lock_done(&d->lock);
	free(d);
}

static void print_key(char out[KEY_MAX], const struct repo_id *repo,
		      const char *commit)
{
	(void)snprintf(out, KEY_MAX, "%s/%s@%.40s", repo->owner, repo->name,
		       commit);
}

static struct entry *find_locked(struct decided *d, const char *key)
	LOCK_REQUIRES(&d->lock)
{
	struct map_link *l =
		map_find(&d->table, map_hash(key, strlen(key)), key);

	return l ? map_item(l, struct entry, link) : NULL;
}

void decided_add(struct decided *d, const struct repo_id *repo,
		 const char *commit, const char *revision)
{
	size_t n = strlen(revision) + 1, k;
	struct entry *e;
	char key[KEY_MAX];
	bool added = false;

	print_key(key, repo, commit);
	k = strlen(key) + 1;
	e = malloc(sizeof(*e) + k + n);
	if (!e)
		return; /* it is asked for again, and that is all */
	memcpy(e->key, key, k);
	e->revision = e->key + k;
	memcpy(e->revision, revision, n);
	lock_take(&d->lock);
	if (d->table.count < DECIDED_MAX && !find_locked(d, key))
		added = map_add(&d->table, &e->link, map_hash(key, k - 1)) == 0;
	lock_drop(&d->lock);
	if (!added)
		free(e);
}

bool decided_find(struct decided *d, const struct repo_id *repo,
		  const char *commit, char revision[REF_REV_MAX + 1])
{
	const struct entry *e;
	char key[KEY_MAX];

	print_key(key, repo, commit);
	lock_take(&d->lock);
	e = find_locked(d, key);
	if (e && revision)
		(void)text_copy(revision, REF_REV_MAX + 1, e->revision);
	lock_drop(&d->lock);
	return e != NULL;
}
