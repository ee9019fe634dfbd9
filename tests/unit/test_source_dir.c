/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/source.h"

#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/dir/dir_scan.h"
#include "kernels/http/http.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>
#include <sys/time.h>

#define BUILD "build/torch-universal"
#define LARGE (1u << 20)

struct bed {
	char dir[SCRATCH_MAX];
	struct store *store;
	struct source *source;
	struct err err;
};

/* ---- files of a scratch folder ---- */

static void put(const char *dir, const char *path, const char *bytes)
{
	char copy[2 * SCRATCH_MAX];

	(void)snprintf(copy, sizeof(copy), "%s/%s", dir, path);
	for (char *p = copy + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		assert_true(mkdir(copy, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
	scratch_put(dir, path, bytes, strlen(bytes));
}

static void join(char out[2 * SCRATCH_MAX], const char *dir, const char *path)
{
	(void)snprintf(out, 2 * SCRATCH_MAX, "%s/%s", dir, path);
}

static void put_link(const char *dir, const char *path, const char *target)
{
	char at[2 * SCRATCH_MAX];

	join(at, dir, path);
	assert_int_equal(symlink(target, at), 0);
}

static void move(const char *dir, const char *from, const char *to)
{
	char a[2 * SCRATCH_MAX], b[2 * SCRATCH_MAX];

	join(a, dir, from);
	join(b, dir, to);
	assert_int_equal(rename(a, b), 0);
}

static void put_large(const char *dir, const char *path, char fill)
{
	char *bytes = malloc(LARGE);

	assert_non_null(bytes);
	memset(bytes, fill, LARGE);
	scratch_put(dir, path, bytes, LARGE);
	free(bytes);
}

/* ---- questions ---- */

static void open_source(struct bed *b, const char *below)
{
	const struct source_options o = { .store = b->store };
	char url[2 * SCRATCH_MAX];

	source_free(b->source);
	b->source = NULL;
	(void)snprintf(url, sizeof(url), "file://%s/%s", b->dir, below);
	if (source_dir_new(&b->source, url, &o, &b->err) < 0)
		fail_msg("%s", err_text(&b->err));
}

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	char cache[2 * SCRATCH_MAX];

	assert_non_null(b);
	scratch_make(b->dir);
	join(cache, b->dir, "cache");
	assert_int_equal(store_new(&b->store, cache, NULL), 0);
	put(b->dir, "src/acme/relu/README.md", "read me");
	put(b->dir, "src/acme/relu/" BUILD "/__init__.py", "x = 1");
	put(b->dir, "src/acme/relu/" BUILD "/deep/a.txt", "deep");
	open_source(b, "src");
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	source_free(b->source);
	store_free(b->store);
	scratch_remove(b->dir);
	free(b);
	return 0;
}

static struct repo_id id(const char *text)
{
	struct repo_id repo;

	assert_int_equal(ref_parse_repo(&repo, text, NULL), 0);
	return repo;
}

/* "name" -> the first 40 bytes of `commit`; "" when there is none. */
static int commit_of(struct bed *b, const char *repo, const char *name,
		     char commit[REF_COMMIT_LEN + 1])
{
	const struct repo_id at = id(repo);
	struct source_refs refs = { .branch_count = 0 };
	const struct source_ref *found;
	int r = b->source->ops->refs(b->source, &at, &refs, &b->err);

	commit[0] = '\0';
	if (r < 0)
		return r;
	found = source_refs_branch(&refs, name);
	if (found) {
		assert_true(text_is_hex(found->commit, REF_COMMIT_LEN));
		(void)text_copy(commit, REF_COMMIT_LEN + 1, found->commit);
	}
	source_refs_done(&refs);
	return 0;
}

/* The entries of a listing, a blank behind each; links as "a>target". */
static int list(struct bed *b, const char *repo, const char *commit,
		const char *dir, bool recursive, char out[2048])
{
	const struct repo_id at = id(repo);
	struct tree_builder *builder;
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n = 0;
	int r;

	assert_int_equal(tree_builder_new(&builder, NULL), 0);
	if (!recursive)
		tree_builder_drop_links(builder);
	r = b->source->ops->tree(b->source, &at, commit, dir, recursive,
				 builder, &b->err);
	out[0] = '\0';
	if (r == 0) {
		assert_int_equal(tree_builder_end(builder, &bytes, &n, &b->err),
				 0);
		assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
		for (uint32_t i = 0; i < tree_count(t); i++) {
			struct tree_entry e;
			size_t len = strlen(out);

			tree_get(t, i, &e);
			(void)snprintf(out + len, 2048 - len, "%s%s%s ", e.path,
				       e.kind == TREE_FOLDER ? "/"
				       : e.target	     ? ">"
							     : "",
				       e.target ? e.target : "");
		}
	}
	tree_unref(t);
	free(bytes);
	tree_builder_free(builder);
	return r;
}

/* Takes what comes; `then` is called once, after the first bytes. */
struct taker {
	struct http_sink sink; /* first */
	struct text got;
	void (*then)(struct bed *b);
	struct bed *bed;
};

static int take_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct taker *t = (struct taker *)s;

	(void)err;
	assert_true(from <= t->got.len);
	t->got.len = from;
	return 0;
}

static int take_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	struct taker *t = (struct taker *)s;

	(void)err;
	text_add_bytes(&t->got, p, n);
	if (t->then)
		t->then(t->bed);
	t->then = NULL;
	return text_failed(&t->got);
}

static int read_file(struct bed *b, const char *repo, const char *commit,
		     const char *path, struct taker *t)
{
	const struct repo_id at = id(repo);
	struct source_file f = { .repo = &at,
				 .commit = commit,
				 .path = path,
				 .size = SOURCE_SIZE_UNKNOWN,
				 .from = t->got.len };

	t->sink.begin = take_begin;
	t->sink.write = take_write;
	t->bed = b;
	t->got.limit = 2 * LARGE;
	return b->source->ops->file(b->source, &f, &t->sink, &b->err);
}

static void gives(struct bed *b, const char *repo, const char *commit,
		  const char *path, const char *bytes)
{
	struct taker t = { .then = NULL };

	if (read_file(b, repo, commit, path, &t) != 0)
		fail_msg("%s: %s", path, err_text(&b->err));
	assert_string_equal(text_str(&t.got), bytes);
	text_done(&t.got);
}

static void says(const struct bed *b, const char *what)
{
	if (!strstr(b->err.text, what))
		fail_msg("'%s' does not say '%s'", b->err.text, what);
}

/* ---- what is there ---- */

static void serves_a_folder_of_owners(void **state)
{
	struct bed *b = *state;
	const struct repo_id repo = id("acme/relu");
	struct source_names names;
	char commit[REF_COMMIT_LEN + 1];
	bool trusted = false;
	char out[2048];

	put(b->dir, "src/acme/no-kernel/file", "");
	put(b->dir, "src/acme/versions/v3/" BUILD "/__init__.py", "");
	put(b->dir, "src/acme/ bad name/build/x", "");
	assert_true(b->source->local);
	assert_int_equal(
		b->source->ops->kernels(b->source, "acme", &names, &b->err), 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[0], "relu");
	assert_string_equal(names.names[1], "versions");
	source_names_done(&names);
	assert_int_equal(
		b->source->ops->kernels(b->source, "nobody", &names, &b->err),
		-ENOENT);
	assert_int_equal(
		b->source->ops->trusted(b->source, &repo, &trusted, NULL), 0);
	assert_true(trusted);
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	assert_int_equal(list(b, "acme/relu", commit, "", false, out), 0);
	assert_string_equal(out, "README.md build/ ");
	assert_int_equal(list(b, "acme/relu", commit, "build", false, out), 0);
	assert_string_equal(out, "torch-universal/ ");
	assert_int_equal(list(b, "acme/relu", commit, BUILD, true, out), 0);
	assert_string_equal(out, "__init__.py deep/ deep/a.txt ");
	assert_int_equal(list(b, "acme/relu", commit, "docs", false, out),
			 -ENOENT);
	gives(b, "acme/relu", commit, BUILD "/deep/a.txt", "deep");
	assert_int_equal(commit_of(b, "acme/none", "main", commit), -ENOENT);
	assert_int_equal(commit_of(b, "acme/no-kernel", "main", commit),
			 -ENOENT);
	says(b, "build/");
}

static void gives_no_part_of_a_file(void **state)
{
	struct bed *b = *state;
	const struct repo_id repo = id("acme/relu");
	char commit[REF_COMMIT_LEN + 1];
	struct taker t = { .then = NULL };
	struct source_file f = { .repo = &repo,
				 .commit = commit,
				 .path = BUILD "/deep/a.txt",
				 .size = SOURCE_SIZE_UNKNOWN,
				 .until = 2 };

	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	assert_int_equal(b->source->ops->file(b->source, &f, &t.sink, &b->err),
			 -EOPNOTSUPP);
	says(b, "gives no parts");
}

static void serves_a_folder_that_is_one_repository(void **state)
{
	struct bed *b = *state;
	char commit[REF_COMMIT_LEN + 1];
	struct source_names names;
	char out[2048];

	put(b->dir, "my -- ker.nel!/" BUILD "/__init__.py", "x = 1");
	open_source(b, "my%20--%20ker.nel!/");
	assert_int_equal(
		b->source->ops->kernels(b->source, "local", &names, &b->err),
		0);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.names[0], "my-ker.nel");
	source_names_done(&names);
	assert_int_equal(commit_of(b, "local/my-ker.nel", "main", commit), 0);
	assert_int_equal(list(b, "local/my-ker.nel", commit, "", true, out), 0);
	assert_string_equal(out, "build/ " BUILD "/ " BUILD "/__init__.py ");
	gives(b, "local/my-ker.nel", commit, BUILD "/__init__.py", "x = 1");
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), -ENOENT);
	assert_int_equal(commit_of(b, "local/other", "main", commit), -ENOENT);
	assert_int_equal(
		b->source->ops->kernels(b->source, "acme", &names, &b->err),
		-ENOENT);
}

static void versions_are_folders_and_files_of_refs(void **state)
{
	struct bed *b = *state;
	char main_[REF_COMMIT_LEN + 1], one[REF_COMMIT_LEN + 1];
	char found[REF_COMMIT_LEN + 1];
	char out[2048];

	put(b->dir, "src/acme/relu/v1/" BUILD "/__init__.py", "x = 11");
	put(b->dir, "src/acme/relu/v01/" BUILD "/__init__.py", "x = 12");
	put(b->dir, "src/acme/relu/v4/readme", "no build");
	put(b->dir, "src/acme/relu/refs/v2", "");
	put(b->dir, "src/acme/relu/refs/v3", "v1\n");
	put(b->dir, "src/acme/relu/refs/v5", "main");
	put(b->dir, "src/acme/relu/refs/v6", "v9");
	put(b->dir, "src/acme/relu/refs/v1", "main");
	put_link(b->dir, "src/acme/relu/refs/v7", "v2");
	assert_int_equal(commit_of(b, "acme/relu", "main", main_), 0);
	assert_int_equal(commit_of(b, "acme/relu", "v1", one), 0);
	assert_string_not_equal(main_, one); /* the folder counts */
	put(b->dir, "src/acme/relu/refs/v8", one);
	(void)commit_of(b, "acme/relu", "v2", found);
	assert_string_equal(found, main_);
	(void)commit_of(b, "acme/relu", "v3", found);
	assert_string_equal(found, one);
	(void)commit_of(b, "acme/relu", "v5", found);
	assert_string_equal(found, main_);
	(void)commit_of(b, "acme/relu", "v8", found);
	assert_string_equal(found, one);
	for (const char *const *p =
		     (const char *const[]){ "v4", "v6", "v7", "v01", NULL };
	     *p; p++) {
		(void)commit_of(b, "acme/relu", *p, found);
		if (*found)
			fail_msg("%s is there", *p);
	}
	assert_int_equal(list(b, "acme/relu", one, "", true, out), 0);
	assert_string_equal(out, "build/ " BUILD "/ " BUILD "/__init__.py ");
	gives(b, "acme/relu", one, BUILD "/__init__.py", "x = 11");
	/* versions are no part of main, what only looks so is */
	assert_int_equal(list(b, "acme/relu", main_, "", false, out), 0);
	assert_string_equal(out, "README.md build/ v01/ v4/ ");
}

static void a_commit_is_named_by_its_content_alone(void **state)
{
	struct bed *b = *state;
	char first[REF_COMMIT_LEN + 1], next[REF_COMMIT_LEN + 1];
	const struct timeval times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[2 * SCRATCH_MAX];

	assert_int_equal(commit_of(b, "acme/relu", "main", first), 0);
	join(path, b->dir, "src/acme/relu/README.md");
	assert_int_equal(utimes(path, times), 0);
	put(b->dir, "src/acme/relu/.git/HEAD", "not part of it");
	put(b->dir, "src/acme/relu/" BUILD "/__pycache__/x.pyc", "nor this");
	put(b->dir, "src/acme/relu/" BUILD "/y.pyc", "nor this");
	move(b->dir, "src", "elsewhere");
	open_source(b, "elsewhere");
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	assert_string_equal(next, first);
	put(b->dir, "elsewhere/acme/relu/README.md", "READ ME");
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	assert_string_not_equal(next, first);
	put(b->dir, "elsewhere/acme/relu/README.md", "read me");
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	assert_string_equal(next, first);
	move(b->dir, "elsewhere/acme/relu/README.md",
	     "elsewhere/acme/relu/readme.md");
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	assert_string_not_equal(next, first);
}

/* ---- changes ---- */

static void an_older_commit_gives_what_has_not_changed(void **state)
{
	struct bed *b = *state;
	char first[REF_COMMIT_LEN + 1], next[REF_COMMIT_LEN + 1];
	struct taker t = { .then = NULL };
	char out[2048];

	assert_int_equal(commit_of(b, "acme/relu", "main", first), 0);
	put(b->dir, "src/acme/relu/" BUILD "/__init__.py", "x = 2");
	/* the same size; nobody has looked again yet */
	assert_int_equal(
		read_file(b, "acme/relu", first, BUILD "/__init__.py", &t),
		-EBADMSG);
	says(b, "changed since it was listed");
	says(b, "kernelfs refresh");
	text_done(&t.got);
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	gives(b, "acme/relu", next, BUILD "/__init__.py", "x = 2");
	gives(b, "acme/relu", first, BUILD "/deep/a.txt", "deep");
	assert_int_equal(list(b, "acme/relu", first, BUILD, true, out), 0);
	assert_int_equal(
		read_file(b, "acme/relu", first, BUILD "/__init__.py", &t),
		-EBADMSG);
	text_done(&t.got);
	open_source(b, "src"); /* the next mount does not know it */
	assert_int_equal(list(b, "acme/relu", first, BUILD, true, out),
			 -ENOENT);
	says(b, "is not what");
	assert_int_equal(list(b, "acme/relu", next, BUILD, true, out), 0);
}

static void a_touched_file_is_read_all_the_same(void **state)
{
	struct bed *b = *state;
	const struct timeval times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char commit[REF_COMMIT_LEN + 1];
	char path[2 * SCRATCH_MAX];

	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	join(path, b->dir, "src/acme/relu/README.md");
	assert_int_equal(utimes(path, times), 0);
	gives(b, "acme/relu", commit, "README.md", "read me");
}

static void write_into_it(struct bed *b)
{
	char path[2 * SCRATCH_MAX];
	int fd;

	join(path, b->dir, "src/acme/relu/" BUILD "/large");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "!", 1, LARGE - 1), 1);
	(void)close(fd);
}

static void cut_it(struct bed *b)
{
	char path[2 * SCRATCH_MAX];

	join(path, b->dir, "src/acme/relu/" BUILD "/large");
	assert_int_equal(truncate(path, LARGE / 2), 0);
}

static void a_file_that_changes_while_it_is_copied_is_refused(void **state)
{
	struct bed *b = *state;
	char commit[REF_COMMIT_LEN + 1];
	struct taker t = { .then = write_into_it };

	put_large(b->dir, "src/acme/relu/" BUILD "/large", 'a');
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	assert_int_equal(read_file(b, "acme/relu", commit, BUILD "/large", &t),
			 -EBADMSG);
	says(b, "changed while it was copied");
	text_done(&t.got);
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	t.then = cut_it;
	assert_int_equal(read_file(b, "acme/relu", commit, BUILD "/large", &t),
			 -EBADMSG);
	says(b, "cut while it was copied");
	text_done(&t.got);
}

static void a_copy_goes_on_where_it_was_cut(void **state)
{
	struct bed *b = *state;
	const struct timeval times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char commit[REF_COMMIT_LEN + 1];
	char path[2 * SCRATCH_MAX];
	struct taker t = { .got = TEXT_INIT(2 * LARGE) };

	put_large(b->dir, "src/acme/relu/" BUILD "/large", 'a');
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	text_add(&t.got, "aaaa");
	assert_int_equal(read_file(b, "acme/relu", commit, BUILD "/large", &t),
			 0);
	assert_int_equal(t.got.len, LARGE);
	/* and from the beginning when it must be judged whole */
	join(path, b->dir, "src/acme/relu/" BUILD "/large");
	assert_int_equal(utimes(path, times), 0);
	t.got.len = 4;
	assert_int_equal(read_file(b, "acme/relu", commit, BUILD "/large", &t),
			 0);
	assert_int_equal(t.got.len, LARGE);
	text_done(&t.got);
}

static void a_folder_that_is_replaced_whole_is_seen(void **state)
{
	struct bed *b = *state;
	char first[REF_COMMIT_LEN + 1], next[REF_COMMIT_LEN + 1];

	assert_int_equal(commit_of(b, "acme/relu", "main", first), 0);
	move(b->dir, "src", "old");
	put(b->dir, "src/acme/relu/" BUILD "/__init__.py", "x = 3");
	assert_int_equal(commit_of(b, "acme/relu", "main", next), 0);
	assert_string_not_equal(first, next);
	gives(b, "acme/relu", next, BUILD "/__init__.py", "x = 3");
}

/* ---- hostile ---- */

static void links_are_shown_inside_a_build_and_never_followed(void **state)
{
	struct bed *b = *state;
	char commit[REF_COMMIT_LEN + 1];
	char out[2048];

	put(b->dir, "secret/build/x", "secret");
	put_link(b->dir, "src/acme/relu/" BUILD "/same.py", "__init__.py");
	put_link(b->dir, "src/acme/relu/" BUILD "/deep/up.py",
		 "../__init__.py");
	put_link(b->dir, "src/acme/relu/" BUILD "/out", "../../README.md");
	put_link(b->dir, "src/acme/relu/" BUILD "/abs", "/etc/passwd");
	put_link(b->dir, "src/acme/relu/" BUILD "/dir", "/etc");
	put_link(b->dir, "src/acme/relu/build/other", "torch-universal");
	put_link(b->dir, "src/acme/relu/docs", "../../../secret");
	put_link(b->dir, "src/acme/linked", "../../secret");
	put_link(b->dir, "src/owner", "../secret");
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	assert_int_equal(list(b, "acme/relu", commit, BUILD, true, out), 0);
	assert_string_equal(out, "__init__.py deep/ deep/a.txt "
				 "deep/up.py>../__init__.py "
				 "same.py>__init__.py ");
	assert_int_equal(list(b, "acme/relu", commit, "build", false, out), 0);
	assert_string_equal(out, "torch-universal/ ");
	assert_int_equal(list(b, "acme/relu", commit, "", false, out), 0);
	assert_string_equal(out, "README.md build/ ");
	assert_int_equal(commit_of(b, "acme/linked", "main", commit), -ENOENT);
	assert_int_equal(commit_of(b, "owner/build", "main", commit), -ENOENT);
}

static void a_folder_swapped_for_a_link_gives_nothing(void **state)
{
	struct bed *b = *state;
	char commit[REF_COMMIT_LEN + 1];
	struct taker t = { .then = NULL };

	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	move(b->dir, "src/acme/relu/build", "build-elsewhere");
	put_link(b->dir, "src/acme/relu/build", "../../../build-elsewhere");
	assert_int_equal(
		read_file(b, "acme/relu", commit, BUILD "/__init__.py", &t),
		-EBADMSG);
	assert_int_equal(t.got.len, 0);
	assert_int_equal(read_file(b, "acme/relu", commit, "../../x", &t),
			 -ENOENT);
	text_done(&t.got);
}

static void names_that_cannot_be_shown_are_left_out(void **state)
{
	struct bed *b = *state;
	char commit[REF_COMMIT_LEN + 1];
	char path[2 * SCRATCH_MAX];
	char out[2048];

	put(b->dir, "src/acme/relu/" BUILD "/new\nline", "1");
	put(b->dir, "src/acme/relu/" BUILD "/escape\x1b[2J", "2");
	put(b->dir, "src/acme/relu/" BUILD "/\xff\xfe \"'\\%", "3");
	join(path, b->dir, "src/acme/relu/" BUILD "/fifo");
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(commit_of(b, "acme/relu", "main", commit), 0);
	assert_int_equal(list(b, "acme/relu", commit, BUILD, true, out), 0);
	assert_string_equal(out, "__init__.py deep/ deep/a.txt \xff\xfe "
				 "\"'\\% ");
	gives(b, "acme/relu", commit, BUILD "/\xff\xfe \"'\\%", "3");
}

static void refuses_what_is_no_folder(void **state)
{
	static const struct {
		const char *url;
		int error;
	} rows[] = {
		{ "file:///absent-folder", -ENOENT },
		{ "file:///etc/passwd", -ENOTDIR },
		{ "file://host/share", -EINVAL },
		{ "file://", -EINVAL },
		{ "file:///a%2", -EINVAL },
		{ "file:///a%zz", -EINVAL },
		{ "file:///a%00", -EINVAL },
		{ "file:///a%0Ab", -EINVAL },
		{ "file:///a?b", -EINVAL },
		{ "file:///a#b", -EINVAL },
	};
	const struct source_options o = { .insecure = false };
	struct source *s = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		err = (struct err)ERR_INIT;
		if (source_dir_new(&s, rows[i].url, &o, &err) != rows[i].error)
			fail_msg("%s: %s", rows[i].url, err_text(&err));
		assert_non_null(strstr(err.text, rows[i].url));
	}
	assert_null(s);
	assert_int_equal(source_dir_new(&s, "file:///", &o, &err), 0);
	assert_string_equal(s->url, "file:///");
	source_free(s);
}

/* ---- hashing ---- */

static int scan(const struct bed *b, const struct dir_known *known,
		int64_t later_s, struct dir_scan *out)
{
	const struct dir_scan_options o = { .versions_apart = true,
					    .name = "acme/relu",
					    .known = known,
					    .now_s = io_wall_s() + later_s };
	char path[2 * SCRATCH_MAX];
	int fd;
	int r;

	join(path, b->dir, "src/acme/relu");
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	r = dir_scan(out, fd, &o, NULL);
	(void)close(fd);
	return r;
}

static void hashes_only_what_has_changed(void **state)
{
	struct bed *b = *state;
	struct dir_known known = { .count = 0 };
	struct text note = TEXT_INIT(1u << 20);
	struct dir_scan first, next;

	assert_int_equal(scan(b, &known, 10, &first), 0);
	assert_int_equal(first.hashed, strlen("read me"
					      "x = 1"
					      "deep"));
	dir_scan_note(&first, &note);
	assert_int_equal(dir_known_parse(&known, &note), 0);
	assert_int_equal(known.count, 3);
	assert_int_equal(scan(b, &known, 10, &next), 0);
	assert_int_equal(next.hashed, 0);
	assert_string_equal(next.commit, first.commit);
	dir_scan_done(&next);
	put(b->dir, "src/acme/relu/README.md", "another");
	assert_int_equal(scan(b, &known, 10, &next), 0);
	assert_int_equal(next.hashed, strlen("another"));
	dir_scan_done(&next);
	dir_scan_done(&first);
	dir_known_done(&known);
	text_done(&note);
}

/* Written a moment ago, it may be written again within the same instant. */
static void does_not_trust_the_times_of_young_files(void **state)
{
	struct bed *b = *state;
	struct dir_known known = { .count = 0 };
	struct text note = TEXT_INIT(1u << 20);
	struct dir_scan s;

	assert_int_equal(scan(b, &known, 0, &s), 0);
	dir_scan_note(&s, &note);
	assert_int_equal(dir_known_parse(&known, &note), 0);
	assert_int_equal(known.count, 0);
	dir_scan_done(&s);
	dir_known_done(&known);
	text_done(&note);
}

static bool stop_at_once(void *arg)
{
	*(unsigned *)arg += 1;
	return true;
}

static void stops_when_told_to(void **state)
{
	struct bed *b = *state;
	struct dir_known known = { .count = 0 };
	unsigned asked = 0;
	const struct dir_scan_options o = { .name = "x",
					    .known = &known,
					    .stopped = stop_at_once,
					    .arg = &asked };
	char path[2 * SCRATCH_MAX];
	struct dir_scan s;
	int fd;

	join(path, b->dir, "src/acme/relu");
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(dir_scan(&s, fd, &o, NULL), -ECANCELED);
	assert_true(asked);
	(void)close(fd);
}

static void refuses_damaged_notes(void **state)
{
#define LINE(path) \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef " \
	"1 2 3 4 " path "\n"
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "kernelfs files 1\n" LINE("a") LINE("b c") "end 2\n", 0 },
		{ "kernelfs files 1\nend 0\n", 0 },
		{ "kernelfs files 1\n" LINE("b") LINE("a") "end 2\n",
		  -EBADMSG },
		{ "kernelfs files 1\n" LINE("a") LINE("a") "end 2\n",
		  -EBADMSG },
		{ "kernelfs files 1\n" LINE("a") "end 2\n", -EBADMSG },
		{ "kernelfs refs 1\n" LINE("a") "end 1\n", -EBADMSG },
		{ "kernelfs files 1\n" LINE("") "end 1\n", -EBADMSG },
		{ "kernelfs files 1\n12 1 2 3 4 a\nend 1\n", -EBADMSG },
		{ "kernelfs files 1\n0123456789abcdef0123456789abcdef01234567 "
		  "1 2 3 4 a\nend 1\n",
		  -EBADMSG },
		{ "kernelfs files 1\n\nend 1\n", -EBADMSG },
		{ "", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct text note = TEXT_INIT(4096);
		struct dir_known k = { .count = 0 };

		text_add(&note, rows[i].text);
		assert_int_equal(dir_known_parse(&k, &note), rows[i].error);
		if (rows[i].error)
			assert_null(k.files);
		dir_known_done(&k);
		text_done(&note);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serves_a_folder_of_owners),
		TEST(gives_no_part_of_a_file),
		TEST(serves_a_folder_that_is_one_repository),
		TEST(versions_are_folders_and_files_of_refs),
		TEST(a_commit_is_named_by_its_content_alone),
		TEST(an_older_commit_gives_what_has_not_changed),
		TEST(a_touched_file_is_read_all_the_same),
		TEST(a_file_that_changes_while_it_is_copied_is_refused),
		TEST(a_copy_goes_on_where_it_was_cut),
		TEST(a_folder_that_is_replaced_whole_is_seen),
		TEST(links_are_shown_inside_a_build_and_never_followed),
		TEST(a_folder_swapped_for_a_link_gives_nothing),
		TEST(names_that_cannot_be_shown_are_left_out),
		TEST(hashes_only_what_has_changed),
		TEST(does_not_trust_the_times_of_young_files),
		TEST(stops_when_told_to),
		cmocka_unit_test(refuses_what_is_no_folder),
		cmocka_unit_test(refuses_damaged_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
