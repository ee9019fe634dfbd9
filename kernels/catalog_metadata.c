/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "metadata.h"
#include "store.h"

#include <errno.h>

/* A note that is damaged is as good as none. */
static int from_note(struct catalog *c, const char *key, struct metadata *out)
{
	AUTO(auto_text) struct text note = TEXT_INIT(METADATA_BYTES_MAX);
	int r = store_note_read(c->store, "metadata", key, &note, NULL);

	return r < 0 ? r : metadata_parse(out, text_str(&note), note.len, NULL);
}

static int ask(struct catalog *c, const struct source_file *f, const char *key,
	       struct metadata *out, struct err *err)
{
	AUTO(auto_text) struct text bytes = TEXT_INIT(METADATA_BYTES_MAX);
	int r = catalog_fetch(c, f, &bytes, err);

	if (r < 0)
		return r;
	r = metadata_parse(out, text_str(&bytes), bytes.len, err);
	if (r == 0)
		catalog_note(c, "metadata", key, &bytes);
	return r < 0 ? err_wrap(err, r, "'%s'", f->path) : 0;
}

int catalog_metadata(struct catalog *c, const struct repo_id *repo,
		     const char *commit, const char *variant,
		     enum catalog_reach reach, struct metadata *out,
		     struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(CATALOG_KEY_MAX);
	AUTO(auto_text) struct text path = TEXT_INIT(CATALOG_KEY_MAX);
	struct source_file f = { .repo = repo,
				 .commit = commit,
				 .size = SOURCE_SIZE_UNKNOWN };
	struct source *home;
	int r = source_home(c->source, repo, reach == CATALOG_SOURCE, &home,
			    err);

	if (r < 0)
		return r;
	text_printf(&key, "%s %s/%s@%s:%s", home->url, repo->owner, repo->name,
		    commit, variant);
	text_printf(&path, "build/%s/metadata.json", variant);
	if (text_failed(&key) || text_failed(&path))
		return err_errno(err, ENAMETOOLONG, "metadata of '%s'",
				 variant);
	if (from_note(c, text_str(&key), out) == 0)
		return 0;
	f.path = text_str(&path);
	if (reach == CATALOG_DISK)
		return err_set(err, EAGAIN, "'%s' is not in the cache", f.path);
	return ask(c, &f, text_str(&key), out, err);
}
