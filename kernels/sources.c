/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "source_room.h"

#include <errno.h>
#include <string.h>

/* Between the first two looks whether an address is back. */
#define PROBE_MS 2000

/* The kinds, by the beginning of their URLs. */
static const struct {
	const char *scheme;
	int (*make)(struct source **out, const char *url,
		    const struct source_options *o, struct err *err);
	bool plain; /* anybody on the way can read and change it */
} kinds[] = {
	{ "https://", source_hub_new, false },
	{ "http://", source_hub_new, true },
	{ "file://", source_dir_new, false },
	/* itself looks at what is behind the "git+" */
	{ "git+https://", source_git_new, false },
	{ "git+http://", source_git_new, false },
	{ "git+file://", source_git_new, false },
};

static int make_one(struct source **out, const char *url,
		    const struct source_options *o, struct err *err)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!text_starts(url, kinds[i].scheme))
			continue;
		if (kinds[i].plain && !o->insecure && !http_is_loopback(url))
			return err_set(err, EINVAL,
				       "source '%s': anybody on the way could "
				       "change what it says: name it with "
				       "https, or say --insecure",
				       strchr(url, '@') ? "(not shown)" : url);
		return kinds[i].make(out, url, o, err);
	}
	return err_set(err, EINVAL,
		       "source '%s': give a URL that begins with https:// "
		       "(or http://, file:///, git+https://, git+file:///)",
		       url);
}

/* Is the token, which is the user's for the Hub, for this one? The first Hub
 * that was named, at the address that was named for it. */
static void set_token(struct source *s, bool *given, bool mirror)
{
	s->silent_token = *given || mirror;
	if (!mirror && text_starts(s->url, "http"))
		*given = true;
}

static bool is_git(const char *url)
{
	return text_starts(url, "git+");
}

static int check_mirror(const struct source_spec *spec, const char *mirror,
			struct err *err)
{
	if (!text_starts(spec->url, "file://") &&
	    !text_starts(mirror, "file://") &&
	    is_git(spec->url) == is_git(mirror))
		return 0;
	return err_set(
		err, EINVAL,
		"mirror '%.300s': not of the kind of its source '%.300s'",
		strchr(mirror, '@') ? "(not shown)" : mirror,
		strchr(spec->url, '@') ? "(not shown)" : spec->url);
}

static int make_address(struct source **out, const struct source_spec *spec,
			size_t i, const struct source_options *o,
			struct err *err)
{
	int r = i ? check_mirror(spec, spec->mirrors[i - 1], err) : 0;

	if (!r)
		r = make_one(out, i ? spec->mirrors[i - 1] : spec->url, o, err);
	if (!r)
		(*out)->offline = o->offline && !(*out)->local;
	return r;
}

static void free_all(struct source **s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		source_free(s[i]);
}

/* A source, with its other addresses where it has some. */
static int make_source(struct source **out, const struct source_spec *spec,
		       bool *token, const struct source_options *o,
		       struct err *err)
{
	struct source *all[SOURCE_MEMBERS_MAX];
	size_t n = 1 + spec->mirror_count;

	if (n > SOURCE_MEMBERS_MAX)
		return err_set(err, EINVAL, "source '%s': more than %d mirrors",
			       strchr(spec->url, '@') ? "(not shown)"
						      : spec->url,
			       SOURCE_MEMBERS_MAX - 1);
	for (size_t i = 0; i < n; i++) {
		int r = make_address(&all[i], spec, i, o, err);

		if (r < 0) {
			free_all(all, i);
			return r;
		}
		set_token(all[i], token, i > 0);
	}
	if (n > 1)
		return source_mirror_new(out, all, n, PROBE_MS, err);
	*out = all[0];
	return 0;
}

int sources_new(struct source **out, const struct source_spec *specs, size_t n,
		const struct source_options *o, struct err *err)
{
	struct source *all[SOURCE_MEMBERS_MAX];
	bool token = false;

	if (n == 0 || n > SOURCE_MEMBERS_MAX)
		return err_set(err, EINVAL, "%zu sources: 1 to %d can be named",
			       n, SOURCE_MEMBERS_MAX);
	for (size_t i = 0; i < n; i++) {
		int r = make_source(&all[i], &specs[i], &token, o, err);

		if (r < 0) {
			free_all(all, i);
			return r;
		}
		for (size_t k = 0; k < i; k++) {
			if (strcmp(all[k]->url, all[i]->url) != 0)
				continue;
			r = err_set(err, EINVAL, "source '%s': named twice",
				    all[i]->url);
			free_all(all, i + 1);
			return r;
		}
	}
	return source_many_new(out, all, n, o, err);
}

/* ---- for status ---- */

static void state_of(const struct source *s, source_each_state *each, void *arg)
{
	int heard = __atomic_load_n(&s->health.heard, __ATOMIC_RELAXED);
	int64_t since_s = __atomic_load_n(&s->health.since_s, __ATOMIC_RELAXED);

	if (s->local)
		each(arg, s->url, "local", 0);
	else if (s->offline)
		each(arg, s->url, "offline", 0);
	else if (!heard)
		each(arg, s->url, "unused", 0);
	else
		each(arg, s->url, heard > 0 ? "ok" : "down", since_s);
}

void sources_each_state(struct source *s, source_each_state *each, void *arg)
{
	if (!s->member_count)
		state_of(s, each, arg);
	/* Sources at most, and addresses below each: no deeper. */
	for (size_t i = 0; i < s->member_count; i++) {
		const struct source *m = s->members[i];

		if (!m->member_count)
			state_of(m, each, arg);
		for (size_t k = 0; k < m->member_count; k++)
			state_of(m->members[k], each, arg);
	}
}
