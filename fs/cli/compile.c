/* SPDX-License-Identifier: Apache-2.0 */
#include "compile.h"

#include "builds.h"
#include "child.h"
#include "cli.h"
#include "progress.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "fs/door.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "resolver/python.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_MAX (64u << 20)
#define ANSWER_MAX (16u << 20)
#define SAID_MAX 16384u
#define ENV_MAX 65536u
/* At a time, so that one sees it move; starting an interpreter costs less. */
#define BATCH 64u
/* Of a batch. A generated module of megabytes takes half a minute. */
#define TIMEOUT_MS (10 * 60 * 1000)

struct source {
	uint32_t entry; /* in the tree */
	char *blob;	/* owned; its path */
};

/* Some sources of a build, in its order. */
struct batch {
	const struct build *build;
	struct source sources[BATCH];
	size_t count;
	uint64_t bytes;
};

/* ---- the interpreter ---- */

/* What python_find() gives is a prefix, or an interpreter in its bin/. */
int compile_find(struct compile *k, const struct options *o, struct err *err)
{
	static const char *const names[] = { "bin/python3", "bin/python" };
	char found[PYTHON_PATH_MAX];
	struct stat st;
	int r = python_find(found, o->python, err);

	if (r < 0)
		return err_wrap(err, r, "--compile");
	if (stat(found, &st) == 0 && S_ISREG(st.st_mode))
		return text_copy(k->python, sizeof(k->python), found);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int n = snprintf(k->python, sizeof(k->python), "%s/%s", found,
				 names[i]);

		if (n > 0 && (size_t)n < sizeof(k->python) &&
		    access(k->python, X_OK) == 0)
			return 0;
	}
	return err_set(
		err, ENOENT,
		"--compile: '%.400s' has no bin/python3 that can be run; "
		"name an interpreter: --python=PATH",
		found);
}

/* As the programs that will import: -I hides the variable from it. */
static const char *level(void)
{
	const char *s = getenv("PYTHONOPTIMIZE");
	uint64_t n;

	if (!s || !*s)
		return NULL;
	if (text_to_u64(s, UINT64_MAX, &n) < 0)
		n = 1; /* any word, as Python has it */
	return n == 0 ? NULL : n == 1 ? "-O" : "-OO";
}

/* ---- what it is told ---- */

/* The path of a blob that is in the cache or in a tier; NULL: it is not. */
static char *blob_path(const struct world *w, const struct build *b,
		       const struct tree_entry *e)
{
	char link[64], path[PATH_MAX];
	AUTO(auto_close)
	int fd = store_open(w->store, &b->repo, &e->digest, e->size);
	ssize_t n;

	if (fd < 0)
		return NULL;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n <= 0 || (size_t)n == sizeof(path))
		return NULL;
	return text_dup(path, (size_t)n);
}

static bool is_source(const struct tree_entry *e)
{
	return e->kind == TREE_FILE && text_ends(e->path, ".py");
}

static void add_key(struct text *out, const struct build *b, const char *path)
{
	text_printf(out, "%s/%s@%s/build/%s/%s", b->repo.owner, b->repo.name,
		    b->commit, b->variant, path);
}

static void add_door(struct text *out)
{
	const struct door_file *f;

	text_add(out, "{\"door\": {");
	for (size_t i = 0; (f = door_file_at(i)); i++) {
		AUTO(auto_free) char *s = NULL;

		if (!text_ends(f->name, ".py"))
			break; /* bytecode stands behind all sources */
		s = text_dup(f->text, door_file_size(f));
		text_add(out, i ? ", " : "");
		text_add_json(out, f->name);
		text_add(out, ": ");
		if (s)
			text_add_json(out, s);
		else
			out->failed = -ENOMEM;
	}
	text_add(out, "}, ");
}

static int add_question(struct text *out, const struct batch *batch)
{
	add_door(out);
	text_add(out, "\"modules\": [");
	for (size_t i = 0; i < batch->count; i++) {
		AUTO(auto_text) struct text key = TEXT_INIT(PATH_MAX);
		struct tree_entry e;

		tree_get(batch->build->tree, batch->sources[i].entry, &e);
		add_key(&key, batch->build, e.path);
		text_add(out, i ? ", {\"key\": " : "{\"key\": ");
		text_add_json(out, text_str(&key));
		text_add(out, ", \"path\": ");
		text_add_json(out, batch->sources[i].blob);
		text_add_char(out, '}');
	}
	text_add(out, "]}\n");
	return text_failed(out);
}

/* ---- what it answers ---- */

static void take_failed(const struct json *failed, struct compiled *out)
{
	for (const struct json *one = json_first(failed); one;
	     one = json_next(one)) {
		const char *key = json_get_string(one, "key");
		const char *reason = json_get_string(one, "reason");

		cli_say("'%.400s' does not compile: %.400s", key ? key : "",
			reason ? reason : "");
		out->failed++;
	}
}

static int take_answer(const struct compile *k, const struct text *answer,
		       struct compiled *out, struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	uint64_t kept = 0, known = 0;
	const char *version;

	if (json_parse(&j, text_str(answer), answer->len, NULL) < 0 ||
	    !json_u64(json_get(j, "kept"), &kept) ||
	    !json_u64(json_get(j, "known"), &known))
		return err_set(err, EPROTO,
			       "'%.300s' said '%.200s' instead of "
			       "what it had compiled",
			       k->python, text_str(answer));
	version = json_get_string(j, "python");
	(void)text_copy(out->python, sizeof(out->python),
			version ? version : "?");
	out->kept += kept;
	out->known += known;
	take_failed(json_get(j, "failed"), out);
	return 0;
}

/* Why an interpreter that ended early did: one line is the door's sentence,
 * and true of every module; Python's own words are several lines, and of one
 * of them. 0: of one, with the last of these lines. */
static int explain(const struct compile *k, int status, struct text *said,
		   const char **last, struct err *err)
{
	char *line;

	while (said->len && said->s[said->len - 1] == '\n')
		said->s[--said->len] = '\0';
	line = said->len ? strrchr(said->s, '\n') : NULL;
	*last = line ? line + 1 : text_str(said);
	if (WIFEXITED(status) && said->len && !line)
		return err_set(err, EIO, "'%.300s' keeps no bytecode: %.600s",
			       k->python, text_str(said));
	if (WIFEXITED(status) && !said->len)
		return err_set(err, EIO, "'%.300s' ended with %d", k->python,
			       WEXITSTATUS(status));
	return 0;
}

/* ---- running it ---- */

static void add_variable(const char **env, struct text *room, const char *name)
{
	const char *value = getenv(name);

	if (!value)
		return;
	text_printf(room, "%s=%s", name, value);
	*env = text_str(room);
}

/* The interpreter reads nothing else of ours: -I sees to it. */
static int start(const struct compile *k, const struct text *ask,
		 struct text *answer, struct text *said)
{
	static const char *const names[] = { "HOME", "XDG_CACHE_HOME", "PATH",
					     "LD_LIBRARY_PATH" };
	struct text rooms[] = { TEXT_INIT(ENV_MAX), TEXT_INIT(ENV_MAX),
				TEXT_INIT(ENV_MAX), TEXT_INIT(ENV_MAX) };
	const char *env[] = { "LC_ALL=C.UTF-8", NULL, NULL, NULL, NULL, NULL };
	const struct door_file *f =
		door_file_at((size_t)door_file_find("compile.py"));
	AUTO(auto_free) char *text = text_dup(f->text, door_file_size(f));
	const char *argv[] = { k->python, "-I", "-c", text, NULL, NULL };
	const struct child c = { .argv = argv,
				 .env = env,
				 .in = ask,
				 .out = answer,
				 .said = said,
				 .timeout_ms = TIMEOUT_MS };
	size_t n = 1;
	int r = text ? 0 : -ENOMEM;

	if (level()) {
		argv[2] = level();
		argv[3] = "-c";
		argv[4] = text;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		add_variable(&env[n], &rooms[i], names[i]);
		n += env[n] ? 1 : 0;
		r = r < 0 ? r : text_failed(&rooms[i]);
	}
	if (r == 0)
		r = child_run(&c);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		text_done(&rooms[i]);
	return r;
}

/* Of one module: it is what the interpreter died of, and is said. */
static int give_up(const struct batch *b, int status, const char *last,
		   struct compiled *out)
{
	AUTO(auto_text) struct text key = TEXT_INIT(PATH_MAX);
	struct tree_entry e;

	tree_get(b->build->tree, b->sources[0].entry, &e);
	add_key(&key, b->build, e.path);
	if (WIFSIGNALED(status))
		cli_say("'%s' does not compile: the interpreter died of "
			"signal %d (%s)",
			text_str(&key), WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		cli_say("'%s' does not compile: %.400s", text_str(&key), last);
	out->failed++;
	return 0;
}

/* -EAGAIN: the interpreter died of one of them, which are to be tried alone. */
static int run(const struct compile *k, const struct batch *b,
	       struct compiled *out, struct err *err)
{
	AUTO(auto_text) struct text ask = TEXT_INIT(ASK_MAX);
	AUTO(auto_text) struct text answer = TEXT_INIT(ANSWER_MAX);
	AUTO(auto_text) struct text said = TEXT_INIT(SAID_MAX);
	const char *last;
	int r = add_question(&ask, b), status;

	if (r < 0)
		return err_errno(err, -r, "--compile");
	status = start(k, &ask, &answer, &said);
	if (status == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			       "'%.300s' has compiled for %d minutes",
			       k->python, TIMEOUT_MS / 60000);
	if (status < 0)
		return err_errno(err, -status, "'%.300s'", k->python);
	if (status == 0)
		return take_answer(k, &answer, out, err);
	r = explain(k, status, &said, &last, err);
	if (r < 0)
		return r;
	return b->count > 1 ? -EAGAIN : give_up(b, status, last, out);
}

/* ---- builds ---- */

static void drop(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->sources[i].blob);
	b->count = 0;
	b->bytes = 0;
}

static int run_each(struct compile *k, const struct batch *all,
		    struct compiled *out, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->count; i++) {
		struct batch one = { .build = all->build, .count = 1 };

		one.sources[0] = all->sources[i];
		r = run(k, &one, out, err);
	}
	return r;
}

static int run_batch(struct compile *k, struct batch *b, struct compiled *out,
		     struct err *err)
{
	int r = b->count ? run(k, b, out, err) : 0;

	if (r == -EAGAIN)
		r = run_each(k, b, out, err);
	k->bytes += b->bytes;
	k->files += b->count;
	drop(b);
	progress_show(k->bar, k->bytes, k->files);
	return r;
}

void compile_count(const struct build *b, uint64_t *bytes, size_t *files)
{
	for (uint32_t i = 0; i < tree_count(b->tree); i++) {
		struct tree_entry e;

		tree_get(b->tree, i, &e);
		if (!is_source(&e))
			continue;
		*bytes += e.size;
		++*files;
	}
}

int compile_build(struct compile *k, const struct build *b,
		  struct compiled *out, struct err *err)
{
	AUTO(auto_free) struct batch *batch = calloc(1, sizeof(*batch));
	int r = 0;

	if (!batch)
		return err_errno(err, ENOMEM, "--compile");
	batch->build = b;
	for (uint32_t i = 0; r == 0 && i < tree_count(b->tree); i++) {
		struct tree_entry e;
		char *blob;

		tree_get(b->tree, i, &e);
		blob = is_source(&e) ? blob_path(k->w, b, &e) : NULL;
		if (!blob) /* that it is not here was said before */
			continue;
		batch->sources[batch->count++] = (struct source){ i, blob };
		batch->bytes += e.size;
		if (batch->count == BATCH)
			r = run_batch(k, batch, out, err);
	}
	if (r == 0)
		r = run_batch(k, batch, out, err);
	drop(batch);
	return r;
}
