/* SPDX-License-Identifier: Apache-2.0 */
#include "gitodb.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "gitlib.h"
#include "gitwire.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A repository of this machine, opened in place. Nothing of it is run: hooks,
 * filters and programs of its configuration belong to commands that we do not
 * use. Its names are written as a server would say them, and read by the
 * reader of those: one place checks names.
 */

static void add_line(struct text *out, const char *hex, const char *name)
{
	text_printf(out, "%04zx%s %s\n", strlen(hex) + strlen(name) + 6, hex,
		    name);
}

/* A name that leads to no commit (or nowhere) is none of ours. */
static void add_name(const struct gitlib *g, const git_reference *ref,
		     struct text *out)
{
	const char *name = g->reference_name(ref);
	git_object *object = NULL;
	char hex[41];

	if (!text_starts(name, "refs/heads/") &&
	    !text_starts(name, "refs/tags/"))
		return;
	if (strlen(name) > 1024 ||
	    g->reference_peel(&object, ref, GIT_OBJECT_COMMIT) < 0) {
		g->error_clear();
		return;
	}
	gitobj_print_id(g->object_id(object)->id, hex);
	g->object_free(object);
	add_line(out, hex, name);
}

static int read_names(const struct gitlib *g, git_repository *repo,
		      const char *path, struct source_refs *out,
		      struct err *err)
{
	AUTO(auto_text) struct text said = TEXT_INIT(GITWIRE_REFS_BYTES);
	git_reference_iterator *all = NULL;
	git_reference *ref = NULL;
	int r = g->reference_iterator_new(&all, repo);

	if (r < 0)
		return gitlib_fail(g, r, path, err);
	text_add(&said, "001e# service=git-upload-pack\n0000");
	while ((r = g->reference_next(&ref, all)) == 0) {
		add_name(g, ref, &said);
		g->reference_free(ref);
	}
	g->reference_iterator_free(all);
	if (r != GIT_ITEROVER)
		return gitlib_fail(g, r, path, err);
	g->error_clear();
	text_add(&said, "0000");
	if (text_failed(&said))
		return err_errno(err, -text_failed(&said), "names of '%s'",
				 path);
	r = gitwire_refs(text_str(&said), said.len, out, err);
	return r < 0 ? err_wrap(err, r, "'%s'", path) : 0;
}

int gitodb_repository(const char *path, struct text *dir,
		      struct source_refs *out, struct err *err)
{
	const struct gitlib *g;
	git_repository *repo = NULL;
	int r;

	if (access(path, F_OK) < 0)
		return err_errno(err, errno, "'%s'", path);
	g = gitlib_load(err);
	if (!g)
		return -EIO;
	r = g->repository_open_ext(&repo, path, GIT_REPOSITORY_OPEN_NO_SEARCH,
				   NULL);
	if (r < 0)
		return gitlib_fail(g, r, path, err);
	text_add(dir, g->repository_commondir(repo));
	r = text_failed(dir);
	if (r < 0)
		(void)err_errno(err, -r, "'%s'", path);
	else if (out)
		r = read_names(g, repo, path, out, err);
	g->repository_free(repo);
	return r;
}
