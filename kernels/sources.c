/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "base/err.h"
#include "base/text.h"
#include "http.h"

#include <errno.h>
#include <string.h>

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
				       "https, or mount with insecure",
				       strchr(url, '@') ? "(not shown)" : url);
		return kinds[i].make(out, url, o, err);
	}
	return err_set(err, EINVAL,
		       "source '%s': give a URL that begins with https:// "
		       "(or http://, file:///, git+https://, git+file:///)",
		       url);
}

int sources_new(struct source **out, const struct source_spec *specs, size_t n,
		const struct source_options *o, struct err *err)
{
	int r;

	if (n != 1 || specs[0].mirror_count)
		return err_set(err, ENOSYS, "only one source");
	r = make_one(out, specs[0].url, o, err);
	if (r == 0)
		(*out)->offline = o->offline && !(*out)->local;
	return r;
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
