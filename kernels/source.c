/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int source_new(struct source **out, const char *url, struct http *http,
	       struct err *err)
{
	if (text_starts(url, "https://") || text_starts(url, "http://"))
		return source_hub_new(out, url, http, err);
	return err_set(err, EINVAL,
		       "source '%s': give a URL that begins with https:// "
		       "(or http://)",
		       url);
}

void source_free(struct source *s)
{
	if (s)
		s->ops->free(s);
}

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
