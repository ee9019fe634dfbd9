/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/catalog.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "kernels/metadata.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define C1 "1111111111111111111111111111111111111111"
#define C2 "2222222222222222222222222222222222222222"
/* git's name of a blob that holds "hello" */
#define HELLO "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
#define DAY_S (24 * 3600)

static const struct repo_id relu = { .owner = "o", .name = "relu" };

/* ---- a source that is told what to say, and counts ---- */

static struct source_ref main_ref = { .name = "main", .commit = C1 };

struct fake {
	struct source source; /* first */
	int result;	      /* of everything */
	bool trusted;
	const char *body; /* of every file */
	bool twice;	  /* list one path twice */
	unsigned asked;
};

static struct fake *fake_of(struct source *s)
{
	struct fake *f = (struct fake *)s;

	__atomic_add_fetch(&f->asked, 1, __ATOMIC_RELAXED);
	return f;
}

static int fake_kernels(struct source *s, const char *owner,
			struct source_names *out, struct err *err)
{
	struct fake *f = fake_of(s);

	(void)owner;
	if (f->result)
		return err_set(err, -f->result, "told so");
	return source_names_from(out, "b\0a", 4, err);
}

static int fake_trusted(struct source *s, const struct repo_id *repo, bool *out,
			struct err *err)
{
	struct fake *f = fake_of(s);

	(void)repo;
	if (f->result)
		return err_set(err, -f->result, "told so");
	*out = f->trusted;
	return 0;
}

static int fake_refs(struct source *s, const struct repo_id *repo,
		     struct source_refs *out, struct err *err)
{
	struct fake *f = fake_of(s);

	(void)repo;
	if (f->result)
		return err_set(err, -f->result, "told so");
	memset(out, 0, sizeof(*out));
	out->branches = malloc(sizeof(*out->branches));
	assert_non_null(out->branches);
	out->branches[0] = main_ref;
	out->branch_count = 1;
	return 0;
}

static int fake_tree(struct source *s, const struct repo_id *repo,
		     const char *commit, const char *dir, bool recursive,
		     struct tree_builder *b, struct err *err)
{
	struct fake *f = fake_of(s);
	struct digest d;
	int r;

	(void)repo;
	(void)commit;
	(void)dir;
	if (f->result)
		return err_set(err, -f->result, "told so");
	(void)digest_parse(&d, HELLO);
	r = tree_builder_add(b, recursive ? "deep/file" : "file", TREE_FILE, 5,
			     &d, err);
	if (!r && f->twice)
		r = tree_builder_add(b, "deep/file", TREE_FILE, 5, &d, err);
	return r;
}

static int fake_file(struct source *s, const struct source_file *file,
		     struct http_sink *sink, struct err *err)
{
	struct fake *f = fake_of(s);
	int r;

	if (f->result)
		return err_set(err, -f->result, "told so");
	if (file->size == SOURCE_SIZE_UNKNOWN)
		assert_string_equal(file->path, "build/x/metadata.json");
	else
		assert_string_equal(file->path, "build/x/file");
	r = sink->begin(sink, 0, err);
	if (!r)
		r = sink->write(sink, "torn", 4, err);
	if (!r)
		r = sink->begin(sink, 0, err);
	return r ? r : sink->write(sink, f->body, strlen(f->body), err);
}

static void fake_free(struct source *s)
{
	(void)s;
}

static const struct source_ops fake_ops = {
	.kernels = fake_kernels,
	.trusted = fake_trusted,
	.refs = fake_refs,
	.tree = fake_tree,
	.file = fake_file,
	.free = fake_free,
};

/* ---- a cache in a folder of its own ---- */

struct world {
	char folder[PATH_MAX / 2];
	struct fake fake;
	struct store *store;
	struct catalog *catalog;
	struct err err;
};

static int world_init(void **state)
{
	static char url[] = "http://h.example";
	struct world *w = calloc(1, sizeof(*w));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(w);
	(void)snprintf(w->folder, sizeof(w->folder), "%s/catalog-XXXXXX",
		       tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->folder));
	w->fake.source.ops = &fake_ops;
	w->fake.source.url = url;
	w->fake.body = "hello";
	assert_int_equal(store_new(&w->store, w->folder, NULL), 0);
	assert_int_equal(
		catalog_new(&w->catalog, &w->fake.source, w->store, NULL), 0);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int what,
		      struct FTW *at)
{
	(void)st;
	(void)what;
	(void)at;
	return remove(path);
}

static int world_done(void **state)
{
	struct world *w = *state;

	catalog_free(w->catalog);
	store_free(w->store);
	(void)nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

/* A new catalog on the same disk, as after a restart. */
static void again(struct world *w)
{
	catalog_free(w->catalog);
	assert_int_equal(
		catalog_new(&w->catalog, &w->fake.source, w->store, NULL), 0);
	w->fake.asked = 0;
}

static int (*each_note)(const char *path);

static int visit(const char *path, const struct stat *st, int what,
		 struct FTW *at)
{
	(void)at;
	if (what != FTW_F || !strstr(path, "/notes/"))
		return 0;
	(void)st;
	return each_note(path);
}

static void on_notes(struct world *w, int (*each)(const char *path))
{
	each_note = each;
	assert_int_equal(nftw(w->folder, visit, 16, FTW_PHYS), 0);
}

static int cut_note(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || truncate(path, st.st_size - 1) < 0;
}

static int old_note(const char *path)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT } };

	t[1].tv_sec = time(NULL) - DAY_S - 60;
	return utimensat(AT_FDCWD, path, t, 0);
}

/* ---- trees ---- */

static int get_tree(struct world *w, const char *commit, bool recursive,
		    enum catalog_reach reach, struct tree **out)
{
	w->err = (struct err)ERR_INIT;
	return catalog_tree(w->catalog, &relu, commit, "build", recursive,
			    reach, out, &w->err);
}

static void a_listing_is_asked_for_once(void **state)
{
	struct world *w = *state;
	struct tree *t = NULL;

	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), -EAGAIN);
	assert_int_equal(w->fake.asked, 0);
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	assert_int_not_equal(tree_find(t, "deep/file"), TREE_NONE);
	tree_unref(t);
	again(w);
	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), 0);
	assert_int_not_equal(tree_find(t, "deep/file"), TREE_NONE);
	tree_unref(t);
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	tree_unref(t);
	assert_int_equal(w->fake.asked, 0);
	/* The folder alone, and another commit, are other questions. */
	assert_int_equal(get_tree(w, C1, false, CATALOG_DISK, &t), -EAGAIN);
	assert_int_equal(get_tree(w, C2, true, CATALOG_DISK, &t), -EAGAIN);
}

static void a_damaged_listing_is_made_anew(void **state)
{
	struct world *w = *state;
	struct tree *t = NULL;

	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	tree_unref(t);
	on_notes(w, cut_note);
	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), -EAGAIN);
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	tree_unref(t);
	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), 0);
	tree_unref(t);
	assert_int_equal(w->fake.asked, 2);
}

static void an_absent_folder_is_not_remembered(void **state)
{
	struct world *w = *state;
	struct tree *t = NULL;

	w->fake.result = -ENOENT;
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), -ENOENT);
	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), -EAGAIN);
	w->fake.result = 0;
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	tree_unref(t);
}

static void a_path_listed_twice_is_the_sources_fault(void **state)
{
	struct world *w = *state;
	struct tree *t = NULL;

	w->fake.twice = true;
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), -EIO);
	assert_non_null(strstr(w->err.text, "o/relu@" C1));
	assert_non_null(strstr(w->err.text, "deep/file"));
	assert_int_equal(get_tree(w, C1, true, CATALOG_DISK, &t), -EAGAIN);
}

/* A folder that cannot be written, also not by root: a file is in its way. */
static void block_notes(struct world *w)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/notes", w->folder);
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void a_cache_that_takes_nothing_costs_only_the_next_question(
	void **state)
{
	struct world *w = *state;
	struct source_refs refs;
	struct source_names names;
	struct tree *t = NULL;
	bool yes = false;

	block_notes(w);
	w->fake.trusted = true;
	assert_int_equal(get_tree(w, C1, true, CATALOG_SOURCE, &t), 0);
	assert_int_not_equal(tree_find(t, "deep/file"), TREE_NONE);
	tree_unref(t);
	assert_int_equal(catalog_refs(w->catalog, &relu, CATALOG_SOURCE, &refs,
				      NULL, NULL),
			 0);
	source_refs_done(&refs);
	assert_int_equal(catalog_kernels(w->catalog, "o", CATALOG_SOURCE,
					 &names, NULL, NULL),
			 0);
	source_names_done(&names);
	assert_int_equal(catalog_trusted(w->catalog, &relu, false,
					 CATALOG_SOURCE, &yes, NULL),
			 0);
	assert_true(yes);
}

/* ---- refs and names ---- */

static void refs_are_asked_for_and_remembered(void **state)
{
	struct world *w = *state;
	struct source_refs refs;
	int64_t age = -1;

	assert_int_equal(catalog_refs(w->catalog, &relu, CATALOG_DISK, &refs,
				      NULL, NULL),
			 -EAGAIN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(catalog_refs(w->catalog, &relu, CATALOG_SOURCE,
					      &refs, &age, NULL),
				 0);
		assert_int_equal(age, 0);
		source_refs_done(&refs);
	}
	assert_int_equal(w->fake.asked, 2);
	again(w);
	on_notes(w, old_note);
	assert_int_equal(catalog_refs(w->catalog, &relu, CATALOG_DISK, &refs,
				      &age, NULL),
			 0);
	assert_true(age >= DAY_S);
	assert_int_equal(refs.branch_count, 1);
	assert_string_equal(source_refs_branch(&refs, "main")->commit, C1);
	source_refs_done(&refs);
	assert_int_equal(w->fake.asked, 0);
	on_notes(w, cut_note);
	assert_int_equal(catalog_refs(w->catalog, &relu, CATALOG_DISK, &refs,
				      NULL, NULL),
			 -EAGAIN);
}

static void names_are_asked_for_and_remembered(void **state)
{
	struct world *w = *state;
	struct source_names names;

	assert_int_equal(catalog_kernels(w->catalog, "o", CATALOG_DISK, &names,
					 NULL, NULL),
			 -EAGAIN);
	assert_int_equal(catalog_kernels(w->catalog, "o", CATALOG_SOURCE,
					 &names, NULL, NULL),
			 0);
	source_names_done(&names);
	w->fake.result = -ENOSYS;
	assert_int_equal(catalog_kernels(w->catalog, "o", CATALOG_SOURCE,
					 &names, NULL, NULL),
			 -ENOSYS);
	again(w);
	assert_int_equal(catalog_kernels(w->catalog, "o", CATALOG_DISK, &names,
					 NULL, NULL),
			 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[0], "a");
	assert_string_equal(names.names[1], "b");
	source_names_done(&names);
	assert_int_equal(w->fake.asked, 0);
}

/* ---- trust ---- */

static int ask_trust(struct world *w, bool any_age, enum catalog_reach reach,
		     bool *yes)
{
	*yes = !w->fake.trusted;
	return catalog_trusted(w->catalog, &relu, any_age, reach, yes, NULL);
}

static void a_yes_is_believed_for_a_day(void **state)
{
	struct world *w = *state;
	bool yes;

	w->fake.trusted = true;
	assert_int_equal(ask_trust(w, true, CATALOG_DISK, &yes), -EAGAIN);
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_true(yes);
	again(w);
	assert_int_equal(ask_trust(w, false, CATALOG_DISK, &yes), 0);
	assert_true(yes);
	on_notes(w, old_note);
	assert_int_equal(ask_trust(w, false, CATALOG_DISK, &yes), -EAGAIN);
	assert_int_equal(ask_trust(w, true, CATALOG_DISK, &yes), 0);
	assert_true(yes);
	assert_int_equal(w->fake.asked, 0);
	w->fake.result = -EIO;
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), -EIO);
}

static void a_no_is_believed_for_minutes_and_takes_a_yes_back(void **state)
{
	struct world *w = *state;
	bool yes;

	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_false(yes);
	w->fake.trusted = true;
	again(w);
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_false(yes);
	assert_int_equal(w->fake.asked, 0);
	on_notes(w, old_note);
	assert_int_equal(ask_trust(w, true, CATALOG_DISK, &yes), -EAGAIN);
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_true(yes);
	on_notes(w, old_note);
	w->fake.trusted = false;
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_false(yes);
	assert_int_equal(ask_trust(w, true, CATALOG_DISK, &yes), 0);
	assert_false(yes);
}

static void a_refresh_makes_every_no_an_old_one_and_no_yes(void **state)
{
	struct world *w = *state;
	bool yes;

	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_false(yes);
	w->fake.trusted = true;
	catalog_refresh(w->catalog, NULL);
	assert_int_equal(ask_trust(w, true, CATALOG_DISK, &yes), -EAGAIN);
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_true(yes);
	catalog_refresh(w->catalog, NULL);
	w->fake.asked = 0;
	assert_int_equal(ask_trust(w, false, CATALOG_SOURCE, &yes), 0);
	assert_true(yes);
	assert_int_equal(w->fake.asked, 0);
}

/* ---- small files ---- */

static int read_file(struct world *w, enum catalog_reach reach,
		     struct text *out)
{
	struct tree_entry e = {
		.path = "file", .name = "file", .kind = TREE_FILE, .size = 5
	};

	assert_int_equal(digest_parse(&e.digest, HELLO), 0);
	w->err = (struct err)ERR_INIT;
	return catalog_read(w->catalog, &relu, C1, "build/x", &e, reach, out,
			    &w->err);
}

static void a_small_file_is_fetched_once(void **state)
{
	struct world *w = *state;
	struct text t = TEXT_INIT(100);

	assert_int_equal(read_file(w, CATALOG_DISK, &t), -EAGAIN);
	text_add(&t, "<");
	assert_int_equal(read_file(w, CATALOG_SOURCE, &t), 0);
	assert_string_equal(text_str(&t), "<hello");
	again(w);
	text_clear(&t);
	assert_int_equal(read_file(w, CATALOG_DISK, &t), 0);
	assert_string_equal(text_str(&t), "hello");
	assert_int_equal(w->fake.asked, 0);
	text_done(&t);
}

static void a_small_file_of_a_tier_is_read_without_asking(void **state)
{
	struct world *w = *state;
	struct text t = TEXT_INIT(3 * SCRATCH_MAX);
	char tier[SCRATCH_MAX];
	char repo[2 * SCRATCH_MAX];

	scratch_make(tier);
	(void)snprintf(repo, sizeof(repo), "%s/kernels--%s--%s", tier,
		       relu.owner, relu.name);
	assert_int_equal(mkdir(repo, 0755), 0);
	scratch_put(tier, "CACHEDIR.TAG", "", 0);
	text_printf(&t, "%s/blobs", repo);
	assert_int_equal(mkdir(text_str(&t), 0755), 0);
	scratch_put(text_str(&t), HELLO, "hello", 5);
	text_clear(&t);
	assert_int_equal(store_add_tier(w->store, tier, &w->err), 0);
	w->fake.asked = 0;
	assert_int_equal(read_file(w, CATALOG_DISK, &t), 0);
	assert_string_equal(text_str(&t), "hello");
	assert_int_equal(w->fake.asked, 0);
	text_done(&t);
	scratch_remove(tier);
}

static void a_file_that_does_not_match_is_not_served(void **state)
{
	struct world *w = *state;
	struct text t = TEXT_INIT(100);

	w->fake.body = "hullo";
	assert_int_equal(read_file(w, CATALOG_SOURCE, &t), -EBADMSG);
	assert_non_null(strstr(w->err.text, "build/x/file"));
	assert_non_null(strstr(w->err.text, HELLO));
	assert_string_equal(text_str(&t), "");
	assert_int_equal(read_file(w, CATALOG_DISK, &t), -EAGAIN);
	text_done(&t);
}

static void a_file_over_the_readers_limit_is_not_asked_for(void **state)
{
	struct world *w = *state;
	struct text t = TEXT_INIT(4);

	assert_int_equal(read_file(w, CATALOG_SOURCE, &t), -EFBIG);
	assert_int_equal(w->fake.asked, 0);
	text_done(&t);
}

/* ---- metadata by its path ---- */

static const char meta[] =
	"{\"name\": \"relu\", \"id\": \"_relu\", \"version\": 1, "
	"\"license\": \"MIT\", \"python-depends\": [], \"backend\": "
	"{\"type\": \"cpu\"}, \"kernel-depends\": [{\"repo-id\": "
	"\"o/base\", \"version\": 3}]}";

static int read_meta(struct world *w, enum catalog_reach reach)
{
	struct metadata m = { .depend_count = 0 };
	int r;

	w->err = (struct err)ERR_INIT;
	r = catalog_metadata(w->catalog, &relu, C1, "x", reach, &m, &w->err);
	if (r == 0) {
		assert_int_equal(m.depend_count, 1);
		assert_string_equal(m.depends[0].repo_id, "o/base");
		assert_int_equal(m.depends[0].version, 3);
	}
	metadata_done(&m);
	return r;
}

static void metadata_is_asked_for_once_without_a_listing(void **state)
{
	struct world *w = *state;

	w->fake.body = meta;
	assert_int_equal(read_meta(w, CATALOG_DISK), -EAGAIN);
	assert_int_equal(w->fake.asked, 0);
	assert_int_equal(read_meta(w, CATALOG_SOURCE), 0);
	assert_int_equal(w->fake.asked, 1);
	again(w);
	assert_int_equal(read_meta(w, CATALOG_DISK), 0);
	assert_int_equal(w->fake.asked, 0);
}

static void metadata_that_is_broken_is_not_kept(void **state)
{
	struct world *w = *state;

	w->fake.body = "{";
	assert_int_equal(read_meta(w, CATALOG_SOURCE), -EINVAL);
	assert_non_null(strstr(w->err.text, "build/x/metadata.json"));
	w->fake.body = meta;
	assert_int_equal(read_meta(w, CATALOG_DISK), -EAGAIN);
	assert_int_equal(read_meta(w, CATALOG_SOURCE), 0);
	w->fake.result = -ENOENT;
	again(w);
	assert_int_equal(read_meta(w, CATALOG_SOURCE), 0);
}

/* ---- the index ---- */

struct seen {
	char text[1000];
};

static int see(void *arg, const struct repo_id *repo, const char *commit)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s/%s@%.1s ",
		       repo->owner, repo->name, commit);
	return 0;
}

static void knows_what_is_cached(void **state)
{
	const struct repo_id other = { .owner = "p", .name = "x" };
	struct world *w = *state;
	struct tree *t = NULL;
	struct seen s = { "" };

	assert_int_equal(catalog_cached(w->catalog, NULL, see, &s), 0);
	assert_string_equal(s.text, "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get_tree(w, C1, i, CATALOG_SOURCE, &t), 0);
		tree_unref(t);
	}
	assert_int_equal(get_tree(w, C2, true, CATALOG_SOURCE, &t), 0);
	tree_unref(t);
	assert_int_equal(catalog_tree(w->catalog, &other, C1, "", false,
				      CATALOG_SOURCE, &t, NULL),
			 0);
	tree_unref(t);
	again(w);
	assert_int_equal(catalog_cached(w->catalog, NULL, see, &s), 0);
	assert_string_equal(s.text, "o/relu@1 o/relu@2 p/x@1 ");
	s.text[0] = '\0';
	assert_int_equal(catalog_cached(w->catalog, "p", see, &s), 0);
	assert_string_equal(s.text, "p/x@1 ");
	s.text[0] = '\0';
	assert_int_equal(catalog_cached(w->catalog, "../q", see, &s), 0);
	on_notes(w, cut_note);
	assert_int_equal(catalog_cached(w->catalog, NULL, see, &s), 0);
	assert_string_equal(s.text, "");
	assert_int_equal(w->fake.asked, 0);
}

struct lister {
	pthread_t thread;
	struct world *w;
	struct repo_id repo;
	int r;
};

static void *list_one(void *arg)
{
	struct lister *l = arg;
	struct tree *t = NULL;

	l->r = catalog_tree(l->w->catalog, &l->repo, C1, "build", true,
			    CATALOG_SOURCE, &t, NULL);
	tree_unref(t);
	return NULL;
}

static void the_index_loses_nobody(void **state)
{
	struct lister all[8];
	struct seen s = { "" };

	for (size_t i = 0; i < 8; i++) {
		all[i].w = *state;
		(void)snprintf(all[i].repo.owner, sizeof(all[i].repo.owner),
			       "o");
		(void)snprintf(all[i].repo.name, sizeof(all[i].repo.name),
			       "r%zu", i);
		assert_int_equal(
			pthread_create(&all[i].thread, NULL, list_one, &all[i]),
			0);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(all[i].thread, NULL), 0);
		assert_int_equal(all[i].r, 0);
	}
	assert_int_equal(catalog_cached(all[0].w->catalog, "o", see, &s), 0);
	for (size_t i = 0; i < 8; i++) {
		char line[120];

		(void)snprintf(line, sizeof(line), "o/%s@1 ", all[i].repo.name);
		assert_non_null(strstr(s.text, line));
	}
}

#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(a_listing_is_asked_for_once),
		IN_WORLD(a_damaged_listing_is_made_anew),
		IN_WORLD(an_absent_folder_is_not_remembered),
		IN_WORLD(a_path_listed_twice_is_the_sources_fault),
		IN_WORLD(
			a_cache_that_takes_nothing_costs_only_the_next_question),
		IN_WORLD(refs_are_asked_for_and_remembered),
		IN_WORLD(names_are_asked_for_and_remembered),
		IN_WORLD(a_yes_is_believed_for_a_day),
		IN_WORLD(a_no_is_believed_for_minutes_and_takes_a_yes_back),
		IN_WORLD(a_refresh_makes_every_no_an_old_one_and_no_yes),
		IN_WORLD(a_small_file_is_fetched_once),
		IN_WORLD(a_small_file_of_a_tier_is_read_without_asking),
		IN_WORLD(a_file_that_does_not_match_is_not_served),
		IN_WORLD(a_file_over_the_readers_limit_is_not_asked_for),
		IN_WORLD(metadata_is_asked_for_once_without_a_listing),
		IN_WORLD(metadata_that_is_broken_is_not_kept),
		IN_WORLD(knows_what_is_cached),
		IN_WORLD(the_index_loses_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
