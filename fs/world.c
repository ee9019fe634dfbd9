/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "ahead.h"
#include "importing.h"
#include "names.h"
#include "options.h"
#include "tiers.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/fetch.h"
#include "kernels/http/http.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "resolver/python.h"
#include "resolver/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define DISK_THREADS 4
#define ENV_FILE_MAX (1u << 20)

#define STRINGIFY(x) #x
#define TO_STRING(x) STRINGIFY(x)

/* ---- the environment ---- */

static int env_from_option(struct env *out, const char *text, struct err *err)
{
	AUTO(auto_text) struct text json = TEXT_INIT(ENV_FILE_MAX);
	struct err why = ERR_INIT;
	int r;

	if (env_parse(out, text, &why) == 0)
		return 0;
	r = io_read_file(AT_FDCWD, text, &json);
	if (r == -ENOENT) /* then it was meant as a spec */
		return err_set(err, EINVAL,
			       "env=%.200s: %s (and there is no "
			       "such file)",
			       text, err_text(&why));
	if (r < 0)
		return err_errno(err, -r, "env=%.200s", text);
	r = env_from_json(out, text_str(&json), json.len, err);
	return r < 0 ? err_wrap(err, r, "env=%.200s", text) : 0;
}

static int env_from_python(struct env *out, const struct options *o,
			   struct err *err)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(1u << 16);
	char prefix[PYTHON_PATH_MAX];
	struct err why = ERR_INIT;
	int r = python_find(prefix, o->python, &why);

	/* None at all is a machine without Python; one that is there and
	 * cannot be followed must not silently become that. */
	if (r < 0 && (o->python || r != -ENOENT)) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0) {
		log_info("env", "%s; this machine without Python counts",
			 err_text(&why));
		return python_no_torch(out, err);
	}
	r = python_env(out, prefix, &notes, err);
	if (r == 0 && notes.len)
		log_debug("env", "%s", text_str(&notes));
	return r;
}

int world_env(struct env *out, const struct options *o, struct err *err)
{
	struct env env;
	int r;

	r = o->env ? env_from_option(&env, o->env, err)
		   : env_from_python(&env, o, err);
	if (r == 0 && o->backend)
		r = env_select_backend(&env, o->backend, err);
	if (r == 0)
		*out = env;
	return r;
}

/* ---- birth, in order; each step names what it needs from the one before */

static int start_sources(struct world *w, const struct options *o,
			 struct err *err)
{
	struct source_spec specs[OPTION_SOURCES_MAX] = { { .url = NULL } };
	const struct source_options so = {
		.http = w->http,
		.store = w->store,
		.insecure = o->insecure,
		.offline = o->offline,
	};

	for (size_t i = 0; i < o->source.count; i++) {
		specs[i].url = o->source.items[i];
		specs[i].mirror_count =
			options_mirrors(o, i, &specs[i].mirrors);
	}
	return sources_new(&w->source, specs, o->source.count, &so, err);
}

/* The default floor is for disks that are large; a small one (a memory disk
 * of a container) would never have that much free. */
static uint64_t floor_of(const struct options *o)
{
	struct statvfs fs;
	uint64_t tenth;

	if (options_given(o, "min_free") || statvfs(o->cache, &fs) < 0)
		return o->min_free;
	tenth = (uint64_t)fs.f_blocks * fs.f_frsize / 10;
	return tenth < o->min_free ? tenth : o->min_free;
}

static int start_bytes(struct world *w, const struct options *o,
		       struct err *err)
{
	const struct http_options http = {
		.user_agent = "kernelfs/" TO_STRING(KERNELFS_VERSION),
		.token_file = o->token_file,
		.connect_timeout_ms = (int64_t)o->connect_timeout_ms,
		.stall_timeout_ms = (int64_t)o->stall_timeout_ms,
		.deadline_ms = (int64_t)o->deadline_ms,
		.offline = o->offline,
	};
	int r;

	r = store_new(&w->store, o->cache, err);
	if (r == 0) {
		store_limit(w->store, o->cache_size, floor_of(o));
		r = tiers_add(w->store, o, err);
	}
	if (r == 0)
		r = http_new(&w->http, &http, err);
	if (r == 0)
		r = start_sources(w, o, err);
	if (r == 0)
		r = catalog_new(&w->catalog, w->source, w->store, err);
	if (r == 0)
		r = pool_new(&w->disk, "disk", DISK_THREADS, err);
	if (r == 0)
		catalog_settle_on(w->catalog, w->disk);
	if (r == 0)
		r = pool_new(&w->net, "net", (unsigned)o->connections, err);
	if (r == 0)
		r = fetch_new(&w->fetch, w->source, w->store, w->net,
			      (int64_t)o->deadline_ms, err);
	if (r == 0)
		r = ahead_new(&w->ahead, w->store, w->disk, err);
	return r;
}

/* Read once: what it pins holds as long as this world does. */
static int read_lock(struct world *w, const struct options *o, struct err *err)
{
	if (o->lock)
		return lockfile_read(&w->lock, o->lock, err);
	if (o->locked)
		return err_set(err, EINVAL,
			       "locked: there is no lock file; name one: "
			       "--lock=FILE");
	return 0;
}

/* A folder that is one repository is named by naming it as the source. */
static int has_own(void *arg, struct source *home)
{
	struct source_names names = { .count = 0 };
	bool has;

	(void)arg;
	if (!home->local ||
	    home->ops->kernels(home, SOURCE_DIR_OWNER, &names, NULL) < 0)
		return 0;
	has = names.count > 0;
	source_names_done(&names);
	return has;
}

/* What the lock names, then what the options do. */
static int start_names(struct world *w, const struct options *o,
		       struct err *err)
{
	struct options_list all = { .count = 0 };
	bool own = !options_given(o, "import") &&
		   source_each_home(w->source, has_own, NULL) != 0;
	/* It holds no other owner's, and nobody said that it should. */
	size_t imports = own && o->source.count == 1 ? 0 : o->import.count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->lock.count; i++) {
		const struct repo_id *repo = &w->lock.entries[i].repo;
		char name[2 * REF_PART_MAX + 2];

		(void)snprintf(name, sizeof(name), "%s/%s", repo->owner,
			       repo->name);
		if (all.count && !strcmp(all.items[all.count - 1], name))
			continue;
		r = options_list_add(&all, name, strlen(name));
	}
	for (size_t i = 0; r == 0 && i < imports; i++)
		r = options_list_add(&all, o->import.items[i],
				     strlen(o->import.items[i]));
	if (r == 0 && own)
		r = options_list_add(&all, SOURCE_DIR_OWNER,
				     strlen(SOURCE_DIR_OWNER));
	r = r < 0 ? err_errno(err, -r, "import names")
		  : names_new(&w->names, (const char *const *)all.items,
			      all.count, w->catalog, w->net, err);
	options_list_done(&all);
	return r;
}

static int start_choosing(struct world *w, const struct options *o,
			  struct err *err)
{
	struct resolve_options ro = {
		.trust = (const char *const *)o->trust.items,
		.trust_count = o->trust.count,
		.locked = o->locked,
		.refresh_ms = (int64_t)o->refresh_ms,
	};
	int r;

	r = world_env(&w->env, o, err);
	if (r < 0)
		return r;
	env_print(&w->env, w->spec);
	r = read_lock(w, o, err);
	if (r == 0)
		r = start_names(w, o, err);
	if (r < 0)
		return r;
	names_refresh_every(w->names, (int64_t)o->refresh_ms);
	ro.lock = o->lock ? &w->lock : NULL;
	ro.named = names_named(w->names, &ro.named_count);
	r = importing_new(&w->importing, w->fetch, err);
	if (r < 0)
		return r;
	importing_listen(w->importing, &ro);
	return resolve_new(&w->resolve, w->catalog, &ro, w->disk, w->net, err);
}

static int begin(struct world **out, const struct options *o, bool choosing,
		 struct err *err)
{
	struct world *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_errno(err, ENOMEM, "start");
	w->options = o;
	r = start_bytes(w, o, err);
	if (r == 0 && choosing)
		r = start_choosing(w, o, err);
	if (r < 0) {
		world_free(w);
		return r;
	}
	*out = w;
	return 0;
}

int world_new(struct world **out, const struct options *o, struct err *err)
{
	return begin(out, o, true, err);
}

int world_new_bytes(struct world **out, const struct options *o,
		    struct err *err)
{
	return begin(out, o, false, err);
}

void world_stop(struct world *w)
{
	if (w->names)
		names_stop(w->names);
	if (w->ahead)
		ahead_stop(w->ahead);
	if (w->catalog)
		catalog_settle_stop(w->catalog);
	if (w->http)
		http_cancel_all(w->http);
}

void world_free(struct world *w)
{
	if (!w)
		return;
	world_stop(w);
	fetch_stop(w->fetch);
	/* Workers next: what they are in the middle of uses all the rest, and
	 * each pool the other (a look at the disk goes on in the net). */
	pool_stop(w->net);
	pool_stop(w->disk);
	fetch_free(w->fetch);
	pool_free(w->net);
	pool_free(w->disk);
	ahead_free(w->ahead);
	resolve_free(w->resolve);
	importing_free(w->importing);
	names_free(w->names);
	if (w->catalog)
		catalog_free(w->catalog);
	source_free(w->source);
	if (w->http)
		http_free(w->http);
	if (w->store)
		store_free(w->store);
	lockfile_done(&w->lock);
	free(w);
}
