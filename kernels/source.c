/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void source_free(struct source *s)
{
	if (s)
		s->ops->free(s);
}

int source_home(struct source *s, const struct repo_id *repo, bool ask,
		struct source **out, struct err *err)
{
	if (s->ops->home)
		return s->ops->home(s, repo, ask, out, err);
	*out = s;
	return 0;
}

int source_each_home(struct source *s,
		     int (*each)(void *arg, struct source *home), void *arg)
{
	int r = 0;

	if (!s->ops->home)
		return each(arg, s);
	for (size_t i = 0; i < s->member_count && !r; i++)
		r = each(arg, s->members[i]);
	return r;
}

/* ---- health ---- */

bool source_is_silence(int r)
{
	return r == -EIO || r == -ETIMEDOUT || r == -ECONNREFUSED ||
	       r == -ECONNRESET || r == -ECONNABORTED || r == -EHOSTUNREACH;
}

static bool is_silent(const struct source *s)
{
	return __atomic_load_n(&s->health.heard, __ATOMIC_RELAXED) < 0;
}

/* Of several addresses: all of them. */
bool source_is_down(const struct source *s)
{
	size_t silent = 0;

	for (size_t i = 0; i < s->member_count; i++)
		silent += is_silent(s->members[i]);
	return s->member_count ? silent == s->member_count : is_silent(s);
}

/* What the connection said: behind the URL in the sentence of a failure. */
static const char *reason_of(const struct err *err)
{
	const char *at = err ? strstr(err_text(err), "://") : NULL;

	at = at ? strstr(at, ": ") : NULL;
	return at ? at + strlen(": ") : "no connection";
}

/* The thing that was asked for is not named: whoever wanted it is told, and
 * this line is about everything at that source. */
void source_heard(struct source *s, int r, const char *on,
		  const struct err *err)
{
	int now = source_is_silence(r) ? -1 : 1;
	int before;

	/* Nobody was asked, or who asked went away, or we are at fault; or it
	 * speaks, if nonsense. */
	if (r == -ECANCELED || (r == -EPROTO && !source_is_down(s)) ||
	    r == -EOPNOTSUPP || r == -ENETUNREACH || r == -EAGAIN ||
	    r == -ENOMEM || r == -ENOSPC || r == -EROFS)
		return;
	before = __atomic_exchange_n(&s->health.heard, now, __ATOMIC_RELAXED);
	if (before == now)
		return;
	__atomic_store_n(&s->health.since_s, io_wall_s(), __ATOMIC_RELAXED);
	if (now < 0)
		log_warning("source", "'%s' does not answer: %s; %s", s->url,
			    reason_of(err), on);
	else if (before < 0)
		log_info("source", "'%s' answers again", s->url);
}

/* ---- answers ---- */

void source_refs_done(struct source_refs *r)
{
	free(r->branches);
	free(r->tags);
	memset(r, 0, sizeof(*r));
}

static const struct source_ref *find(const struct source_ref *refs, size_t n,
				     const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(refs[i].name, name) == 0)
			return &refs[i];
	return NULL;
}

const struct source_ref *source_refs_branch(const struct source_refs *r,
					    const char *name)
{
	return find(r->branches, r->branch_count, name);
}

const struct source_ref *source_refs_tag(const struct source_refs *r,
					 const char *name)
{
	return find(r->tags, r->tag_count, name);
}

void source_names_done(struct source_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
	memset(n, 0, sizeof(*n));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool source_names_has(const struct source_names *n, const char *name)
{
	char *const key = (char *)(uintptr_t)name;

	return n->count &&
	       bsearch(&key, n->names, n->count, sizeof(*n->names), compare);
}

int source_names_from(struct source_names *out, const char *s, size_t n,
		      struct err *err)
{
	struct source_names names = { .names = NULL };
	size_t room = 1;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		room += s[i] == '\0';
	names.names = calloc(room, sizeof(*names.names));
	if (!names.names)
		return err_errno(err, ENOMEM, "names");
	for (size_t i = 0; i < n; i += strlen(s + i) + 1) {
		char *copy = text_dup(s + i, strlen(s + i));

		if (!copy) {
			source_names_done(&names);
			return err_errno(err, ENOMEM, "names");
		}
		names.names[names.count++] = copy;
	}
	qsort(names.names, names.count, sizeof(*names.names), compare);
	for (size_t i = 0; i < names.count; i++) {
		if (kept && strcmp(names.names[kept - 1], names.names[i]) == 0)
			free(names.names[i]);
		else
			names.names[kept++] = names.names[i];
	}
	names.count = kept;
	*out = names;
	return 0;
}
