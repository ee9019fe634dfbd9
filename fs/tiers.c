/* SPDX-License-Identifier: Apache-2.0 */
#include "tiers.h"

#include "mountpoint.h"
#include "options.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int refuse_ours(const char *path, const char *dir, struct err *err)
{
	AUTO(auto_free) char *mount = NULL;
	int r = mountpoint_of(path, &mount, err);

	if (r == 0)
		return err_set(err, EINVAL,
			       "tier '%s': lies on the kernelfs mount '%s', "
			       "which has a cache of its own",
			       dir, mount);
	return r == -ENOENT ? 0 : r;
}

/* By its name before anything is touched, since a mount may hang, and then by
 * where links lead. */
static int check_place(const char *dir, struct err *err)
{
	AUTO(auto_free) char *real = NULL;
	int r = refuse_ours(dir, dir, err);

	if (r < 0)
		return r;
	real = realpath(dir, NULL);
	if (!real)
		return err_errno(err, errno, "tier '%s'", dir);
	return refuse_ours(real, dir, err);
}

static int add(struct store *store, const char *dir, struct err *err)
{
	int r = check_place(dir, err);

	return r < 0 ? r : store_add_tier(store, dir, err);
}

static const char *variable(const char *name)
{
	const char *s = getenv(name);

	return s && *s == '/' ? s : NULL;
}

/* As huggingface_hub finds it; "" when there is no home. */
static void hub_cache(struct text *out)
{
	const char *own = variable("HF_HUB_CACHE");
	const char *hf = variable("HF_HOME");
	const char *xdg = variable("XDG_CACHE_HOME");
	const char *home = variable("HOME");

	if (own)
		text_add(out, own);
	else if (hf)
		text_printf(out, "%s/hub", hf);
	else if (xdg)
		text_printf(out, "%s/huggingface/hub", xdg);
	else if (home)
		text_printf(out, "%s/.cache/huggingface/hub", home);
}

/* Nobody asked for it: one that is not there or cannot be used is none. */
static void add_usual(struct store *store, const char *dir)
{
	struct err err = ERR_INIT;

	if (add(store, dir, &err) < 0)
		log_debug("tiers", "%s", err_text(&err));
}

static void add_usual_ones(struct store *store)
{
	AUTO(auto_text) struct text hub = TEXT_INIT(PATH_MAX);
	const char *kernels = variable("KERNELS_CACHE");

	hub_cache(&hub);
	if (kernels)
		add_usual(store, kernels);
	if (hub.len && !text_failed(&hub) &&
	    (!kernels || strcmp(kernels, text_str(&hub)) != 0))
		add_usual(store, text_str(&hub));
}

int tiers_add(struct store *store, const struct options *o, struct err *err)
{
	for (size_t i = 0; i < o->tier.count; i++) {
		int r = add(store, o->tier.items[i], err);

		if (r < 0)
			return r;
	}
	if (!options_given(o, "tier"))
		add_usual_ones(store);
	return 0;
}
