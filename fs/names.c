/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/set.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 10000
#define RETRY_MAX_MS 600000

/* What one import= option asks for. */
struct want {
	bool is_owner;
	char owner[REF_PART_MAX + 1];
	struct ref ref; /* of a named repository */
	/* an owner's list: */
	struct source_names list; /* lock */
	bool have;		  /* lock: from disk or source */
	bool fresh;		  /* lock: from the source, in this mount */
	bool asking;		  /* lock */
	int64_t retry_ms;	  /* lock: when to ask again */
	int64_t wait_ms;	  /* lock: how long the next pause is */
	struct pool_job job;
	struct names *names;
};

struct names {
	struct lock lock;
	pthread_cond_t arrived;
	struct catalog *catalog; /* borrowed */
	struct pool *net;	 /* borrowed */
	struct want *wants;	 /* owned */
	size_t count;
	struct ref *named; /* owned */
	size_t named_count;
	/* "o" and "o/r" of the wants: as fast for ten as for ten thousand */
	struct set wanted;
	struct want **lists; /* owned; the wants that are owners */
	size_t list_count;
	const char **owners; /* owned; of the wants, each once */
	size_t owner_count;
	struct names_entry *entries;   /* lock, owned, by package */
	size_t entry_count;	       /* lock */
	char (*met)[REF_PART_MAX + 1]; /* lock, owned: other owners */
	size_t met_count;	       /* lock */
	struct set met_names;	       /* lock: the same */
	int64_t changed_s;	       /* lock */
	int64_t refresh_ms;	       /* 0: a list is good for ever */
	bool stopping;		       /* lock */
};

/* ---- the table ---- */

static int by_package(const void *a, const void *b)
{
	const struct names_entry *x = a, *y = b;

	return strcmp(x->package, y->package);
}

static int by_package_and_order(const void *a, const void *b)
{
	const struct names_entry *x = a, *y = b;
	int c = strcmp(x->package, y->package);

	return c ? c : x->order < y->order ? -1 : 1;
}

/* Of entries with one package the first option's stays. */
static size_t sort_and_unique(struct names_entry *e, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(e, n, sizeof(*e), by_package_and_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(e[kept - 1].package, e[i].package) != 0)
			e[kept++] = e[i];
	return kept;
}

/* Can it be imported, and without taking another module's place? */
static bool importable(const char *package)
{
	return ref_is_identifier(package) && !names_reserved(package);
}

static void add_entry(struct names_entry *e, size_t *n, const struct ref *ref,
		      bool named)
{
	char package[REF_PART_MAX + 1];

	repo_package(&ref->repo, package);
	if (!importable(package))
		return;
	(void)text_copy(e[*n].package, sizeof(e[*n].package), package);
	e[*n].ref = *ref;
	e[*n].named = named;
	e[*n].order = (uint32_t)*n;
	(*n)++;
}

static size_t upper_bound_locked(const struct names *n)
{
	size_t total = n->named_count;

	for (size_t i = 0; i < n->count; i++)
		total += n->wants[i].list.count;
	return total;
}

static void add_list(const struct want *w, struct names_entry *e, size_t *n)
{
	for (size_t k = 0; k < w->list.count; k++) {
		struct ref ref = { .kind = REV_DEFAULT };

		(void)text_copy(ref.repo.owner, sizeof(ref.repo.owner),
				w->owner);
		if (text_copy(ref.repo.name, sizeof(ref.repo.name),
			      w->list.names[k]) == 0)
			add_entry(e, n, &ref, false);
	}
}

static bool same_table(const struct names *n, const struct names_entry *e,
		       size_t count)
{
	return n->entries && n->entry_count == count &&
	       (count == 0 || !memcmp(n->entries, e, count * sizeof(*e)));
}

/* Each change has a second of its own: who lists a folder again only when
 * its time has changed (an interpreter) would miss the later of two. */
static void touch_locked(struct names *n) LOCK_REQUIRES(&n->lock)
{
	int64_t now = io_wall_s();

	n->changed_s = now > n->changed_s ? now : n->changed_s + 1;
}

static void rebuild_locked(struct names *n) LOCK_REQUIRES(&n->lock)
{
	struct names_entry *e = calloc(upper_bound_locked(n) + 1, sizeof(*e));
	size_t count = 0;

	if (!e)
		return; /* the old table stays */
	for (size_t i = 0; i < n->named_count; i++)
		add_entry(e, &count, &n->named[i], true);
	for (size_t i = 0; i < n->count; i++)
		if (n->wants[i].is_owner)
			add_list(&n->wants[i], e, &count);
	count = sort_and_unique(e, count);
	if (same_table(n, e, count)) {
		free(e);
		return;
	}
	free(n->entries);
	n->entries = e;
	n->entry_count = count;
	touch_locked(n);
}

/* ---- the owners' lists ---- */

static void take_list_locked(struct names *n, struct want *w,
			     struct source_names *list) LOCK_REQUIRES(&n->lock)
{
	source_names_done(&w->list);
	w->list = *list;
	w->have = true;
	rebuild_locked(n);
}

static void plan_next_locked(const struct names *n, struct want *w)
	LOCK_REQUIRES(&n->lock)
{
	if (w->fresh) {
		w->retry_ms = io_now_ms() + n->refresh_ms;
		w->wait_ms = RETRY_MIN_MS;
		return;
	}
	w->retry_ms = io_now_ms() + w->wait_ms;
	w->wait_ms =
		w->wait_ms * 2 < RETRY_MAX_MS ? w->wait_ms * 2 : RETRY_MAX_MS;
}

/* That a source does not answer, and why, it has said itself. */
static void say_failure(const struct want *w, int r, const struct err *err)
{
	if (r == -ENOENT)
		log_warning("names",
			    "%s, so none of it gets an import name; "
			    "--import=OWNER names another",
			    err_text(err));
	else if (r == -ENETUNREACH && !w->have)
		log_warning("names",
			    "offline, and the list of '%s' is not in the "
			    "cache: only kernels of the lock file and of "
			    "--import=OWNER/REPO get import names",
			    w->owner);
	else if (r == -ENETUNREACH)
		log_debug("names", "list of '%s': %s", w->owner, err_text(err));
	else
		log_warning("names", "list of '%s': %s; %s", w->owner,
			    source_is_silence(r) ? "no answer" : err_text(err),
			    w->have ? "going on with the last one"
				    : "trying again");
}

static void ask_source(struct pool_job *job)
{
	struct want *w = map_item(job, struct want, job);
	struct names *n = w->names;
	struct source_names list = { 0 };
	struct err err = ERR_INIT;
	int r;

	r = catalog_kernels(n->catalog, w->owner, CATALOG_SOURCE, &list, NULL,
			    &err);
	if (r < 0 && r != -ENOSYS && r != -ECANCELED)
		say_failure(w, r, &err);
	lock_take(&n->lock);
	if (r == 0)
		take_list_locked(n, w, &list);
	w->fresh = r == 0 || r == -ENOSYS || r == -ENOENT;
	w->have = w->have || w->fresh;
	plan_next_locked(n, w);
	w->asking = false;
	(void)pthread_cond_broadcast(&n->arrived);
	lock_drop(&n->lock);
}

static void start_asking_locked(struct names *n, struct want *w)
	LOCK_REQUIRES(&n->lock)
{
	w->asking = true;
	w->job.run = ask_source;
	pool_submit(n->net, &w->job, POOL_NOW);
}

static void load_from_disk(struct names *n, struct want *w)
{
	struct source_names list = { 0 };

	if (catalog_kernels(n->catalog, w->owner, CATALOG_DISK, &list, NULL,
			    NULL) < 0)
		return;
	lock_take(&n->lock);
	take_list_locked(n, w, &list);
	lock_drop(&n->lock);
}

static bool all_have_locked(const struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->wants[i].is_owner && !n->wants[i].have &&
		    n->wants[i].asking)
			return false;
	return true;
}

void names_start(struct names *n, int64_t wait_ms)
{
	int64_t until = io_now_ms() + wait_ms;

	for (size_t i = 0; i < n->count; i++)
		if (n->wants[i].is_owner)
			load_from_disk(n, &n->wants[i]);
	lock_take(&n->lock);
	for (size_t i = 0; i < n->count; i++)
		if (n->wants[i].is_owner)
			start_asking_locked(n, &n->wants[i]);
	while (!n->stopping && !all_have_locked(n))
		if (lock_wait(&n->lock, &n->arrived, until) < 0)
			break;
	lock_drop(&n->lock);
}

int64_t names_tick(struct names *n)
{
	int64_t now = io_now_ms(), next = -1, at;

	lock_take(&n->lock);
	for (size_t i = 0; i < n->count && !n->stopping; i++) {
		struct want *w = &n->wants[i];

		if (!w->is_owner || (w->fresh && !n->refresh_ms))
			continue;
		if (!w->asking && w->retry_ms <= now)
			start_asking_locked(n, w);
		/* It may fail, and nobody else would ask again then. */
		at = w->asking ? now + RETRY_MIN_MS : w->retry_ms;
		if (next < 0 || at < next)
			next = at;
	}
	lock_drop(&n->lock);
	return next;
}

void names_refresh(struct names *n)
{
	lock_take(&n->lock);
	for (size_t i = 0; i < n->count && !n->stopping; i++)
		if (n->wants[i].is_owner && !n->wants[i].asking)
			start_asking_locked(n, &n->wants[i]);
	lock_drop(&n->lock);
}

void names_refresh_every(struct names *n, int64_t ms)
{
	n->refresh_ms = ms; /* before anything was started */
}

void names_stop(struct names *n)
{
	lock_take(&n->lock);
	n->stopping = true;
	for (size_t i = 0; i < n->count; i++)
		if (n->wants[i].asking &&
		    pool_withdraw(n->net, &n->wants[i].job))
			n->wants[i].asking = false;
	(void)pthread_cond_broadcast(&n->arrived);
	lock_drop(&n->lock);
}

/* ---- life ---- */

/* Said once, of what somebody asked for by name. */
static void warn_unless_importable(const struct ref *ref)
{
	char package[REF_PART_MAX + 1];

	repo_package(&ref->repo, package);
	if (!importable(package))
		log_warning("names", "'%s/%s' gets no import name: '%s' %s",
			    ref->repo.owner, ref->repo.name, package,
			    names_reserved(package)
				    ? "would shadow another module"
				    : "is no identifier");
}

static int parse_want(struct names *n, const char *text, struct err *err)
{
	struct want *w = &n->wants[n->count];

	w->names = n;
	w->wait_ms = RETRY_MIN_MS;
	w->is_owner = !strchr(text, '/');
	if (!w->is_owner) {
		int r = ref_parse(&w->ref, text, err);

		if (r < 0)
			return err_wrap(err, r, "import=%s", text);
		n->named[n->named_count++] = w->ref;
		warn_unless_importable(&w->ref);
	} else if (!ref_owner_valid(text)) {
		return err_set(err, EINVAL,
			       "import=%s: neither an owner nor "
			       "owner/repo[@rev]",
			       text);
	} else {
		(void)text_copy(w->owner, sizeof(w->owner), text);
	}
	n->count++;
	return 0;
}

static const char *want_owner(const struct want *w)
{
	return w->is_owner ? w->owner : w->ref.repo.owner;
}

/* Never changes after birth: no lock. */
static bool is_wanted(const struct names *n, const char *owner)
{
	return set_has(&n->wanted, owner);
}

static int add_wanted(struct names *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct want *w = &n->wants[i];
		char full[2 * REF_PART_MAX + 2];
		int r = set_add(&n->wanted, want_owner(w));

		if (r == 1)
			n->owners[n->owner_count++] = want_owner(w);
		if (w->is_owner)
			n->lists[n->list_count++] = w;
		(void)snprintf(full, sizeof(full), "%s/%s", w->ref.repo.owner,
			       w->ref.repo.name);
		if (r >= 0 && !w->is_owner)
			r = set_add(&n->wanted, full);
		if (r < 0)
			return r;
	}
	return 0;
}

int names_new(struct names **out, const char *const *imports, size_t count,
	      struct catalog *catalog, struct pool *net, struct err *err)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return err_errno(err, ENOMEM, "import names");
	lock_init(&n->lock, LOCK_VIEW);
	lock_cond_init(&n->arrived);
	set_init(&n->wanted);
	set_init(&n->met_names);
	n->catalog = catalog;
	n->net = net;
	n->wants = calloc(count + 1, sizeof(*n->wants));
	n->named = calloc(count + 1, sizeof(*n->named));
	n->owners = calloc(count + 1, sizeof(*n->owners));
	n->lists = calloc(count + 1, sizeof(*n->lists));
	if (!n->wants || !n->named || !n->owners || !n->lists) {
		names_free(n);
		return err_errno(err, ENOMEM, "import names");
	}
	for (size_t i = 0; i < count; i++) {
		int r = parse_want(n, imports[i], err);

		if (r < 0) {
			names_free(n);
			return r;
		}
	}
	if (add_wanted(n) < 0) {
		names_free(n);
		return err_errno(err, ENOMEM, "import names");
	}
	lock_take(&n->lock);
	rebuild_locked(n);
	lock_drop(&n->lock);
	*out = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; n->wants && i < n->count; i++)
		source_names_done(&n->wants[i].list);
	free(n->wants);
	free(n->named);
	free(n->owners);
	free(n->entries);
	free(n->met);
	free(n->lists);
	set_done(&n->wanted);
	set_done(&n->met_names);
	(void)pthread_cond_destroy(&n->arrived);
	lock_done(&n->lock);
	free(n);
}

/* ---- questions ---- */

const struct ref *names_named(const struct names *n, size_t *count)
{
	*count = n->named_count;
	return n->named;
}

bool names_find(struct names *n, const char *package, struct names_entry *out)
{
	struct names_entry key;
	const struct names_entry *e = NULL;

	if (text_copy(key.package, sizeof(key.package), package) < 0)
		return false;
	lock_take(&n->lock);
	if (n->entry_count)
		e = bsearch(&key, n->entries, n->entry_count, sizeof(key),
			    by_package);
	if (e)
		*out = *e;
	lock_drop(&n->lock);
	return e != NULL;
}

bool names_at(struct names *n, size_t i, struct names_entry *out)
{
	bool there;

	lock_take(&n->lock);
	there = i < n->entry_count;
	if (there)
		*out = n->entries[i];
	lock_drop(&n->lock);
	return there;
}

int64_t names_changed_s(struct names *n)
{
	int64_t s;

	lock_take(&n->lock);
	s = n->changed_s;
	lock_drop(&n->lock);
	return s;
}

static bool met_at(struct names *n, size_t i, char out[REF_PART_MAX + 1])
{
	bool there;

	lock_take(&n->lock);
	there = i < n->met_count &&
		text_copy(out, REF_PART_MAX + 1, n->met[i]) == 0;
	lock_drop(&n->lock);
	return there;
}

bool names_owner_at(struct names *n, size_t i, char out[REF_PART_MAX + 1])
{
	if (i >= n->owner_count)
		return met_at(n, i - n->owner_count, out);
	return text_copy(out, REF_PART_MAX + 1, n->owners[i]) == 0;
}

bool names_owner_known(struct names *n, const char *owner)
{
	bool met;

	if (is_wanted(n, owner))
		return true;
	lock_take(&n->lock);
	met = set_has(&n->met_names, owner);
	lock_drop(&n->lock);
	return met;
}

static void add_met_locked(struct names *n, const char *owner)
	LOCK_REQUIRES(&n->lock)
{
	void *more = reallocarray(n->met, n->met_count + 1, sizeof(*n->met));

	if (!more)
		return; /* it is asked for again, and that is all */
	n->met = more;
	if (text_copy(n->met[n->met_count], sizeof(*n->met), owner) < 0 ||
	    set_add(&n->met_names, owner) < 0)
		return;
	n->met_count++;
	if (!ref_is_identifier(owner)) /* the root lists it from now on */
		touch_locked(n);
}

void names_owner_met(struct names *n, const char *owner)
{
	if (names_owner_known(n, owner))
		return;
	lock_take(&n->lock);
	if (n->met_count < NAMES_OWNERS_MAX && !set_has(&n->met_names, owner))
		add_met_locked(n, owner);
	lock_drop(&n->lock);
}

bool names_listed(struct names *n, const struct repo_id *repo)
{
	char full[2 * REF_PART_MAX + 2];
	bool found;

	(void)snprintf(full, sizeof(full), "%s/%s", repo->owner, repo->name);
	found = set_has(&n->wanted, full);
	lock_take(&n->lock);
	for (size_t k = 0; k < n->list_count && !found; k++)
		found = !strcmp(n->lists[k]->owner, repo->owner) &&
			source_names_has(&n->lists[k]->list, repo->name);
	lock_drop(&n->lock);
	return found;
}

bool names_add_list(struct names *n, const char *owner, void *arg,
		    int (*each)(void *arg, const struct repo_id *repo))
{
	bool found = false;

	lock_take(&n->lock);
	for (size_t k = 0; k < n->list_count && !found; k++) {
		const struct want *w = n->lists[k];
		struct repo_id repo;

		if (!w->have || strcmp(w->owner, owner) != 0)
			continue;
		found = true;
		(void)text_copy(repo.owner, sizeof(repo.owner), owner);
		for (size_t i = 0; i < w->list.count; i++)
			if (text_copy(repo.name, sizeof(repo.name),
				      w->list.names[i]) == 0)
				(void)each(arg, &repo);
	}
	lock_drop(&n->lock);
	return found;
}
