/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include "view_in.h"

#include "backing.h"
#include "options.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "kernels/source.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STRINGIFY(x) #x
#define TO_STRING(x) STRINGIFY(x)

static uint64_t ops[CTL_OPS]; /* __atomic */
static int64_t parked;	      /* __atomic */

static const char *const op_names[CTL_OPS] = {
	[CTL_LOOKUP] = "lookup",     [CTL_GETATTR] = "getattr",
	[CTL_READLINK] = "readlink", [CTL_OPEN] = "open",
	[CTL_READ] = "read",	     [CTL_OPENDIR] = "opendir",
	[CTL_READDIR] = "readdir",   [CTL_FLUSH] = "flush",
	[CTL_XATTR] = "xattr",	     [CTL_IOCTL] = "ioctl",
};

void ctl_count(enum ctl_op op)
{
	(void)__atomic_add_fetch(&ops[op], 1, __ATOMIC_RELAXED);
}

void ctl_parked(int change)
{
	(void)__atomic_add_fetch(&parked, change, __ATOMIC_RELAXED);
}

/* ---- status ---- */

struct kernels {
	struct view *v;
	struct text *out;
	bool any;
};

static const char *pick_state(const struct view *v, const struct pick *p)
{
	size_t files = 0, there = 0;

	if (!p->tree)
		return "refused";
	for (uint32_t i = 0; i < tree_count(p->tree); i++) {
		struct tree_entry e;

		tree_get(p->tree, i, &e);
		if (e.kind != TREE_FILE)
			continue;
		files++;
		there +=
			store_has(v->world->store, &p->repo, &e.digest, e.size);
	}
	return there == files ? "verified" : there ? "partial" : "remote";
}

static int add_kernel(void *arg, const struct pick *p)
{
	struct kernels *k = arg;
	char revision[REF_REV_MAX + 1];
	char repo[2 * REF_PART_MAX + 2];

	view_in_revision(k->v, &p->repo, p->commit, revision);
	(void)snprintf(repo, sizeof(repo), "%s/%s", p->repo.owner,
		       p->repo.name);
	text_add(k->out, k->any ? ",\n    {\"repo\": " : "\n    {\"repo\": ");
	text_add_json(k->out, repo);
	text_add(k->out, ", \"revision\": ");
	text_add_json(k->out, revision);
	text_printf(k->out, ", \"commit\": \"%s\", \"variant\": ", p->commit);
	if (p->variant)
		text_add_json(k->out, p->variant);
	else
		text_add(k->out, "null");
	text_printf(k->out, ", \"state\": \"%s\", \"environment\": ",
		    pick_state(k->v, p));
	text_add_json(k->out, p->spec);
	text_add_char(k->out, '}');
	k->any = true;
	return 0;
}

static void add_pair(struct text *out, const char *name, const char *value)
{
	text_printf(out, "  \"%s\": ", name);
	text_add_json(out, value);
	text_add(out, ",\n");
}

static void add_source(void *arg, const char *url, const char *state,
		       int64_t since_s)
{
	struct kernels *k = arg;
	char since[32];

	text_add(k->out, text_ends(text_str(k->out), "[") ? "" : ", ");
	text_add(k->out, "{\"url\": ");
	text_add_json(k->out, url);
	text_printf(k->out, ", \"state\": \"%s\", \"since\": ", state);
	if (since_s) {
		io_time_print(since_s, since);
		text_printf(k->out, "\"%s\"}", since);
	} else {
		text_add(k->out, "null}");
	}
}

static void report_status(struct view *v, struct text *out)
{
	struct kernels k = { v, out, false };
	uint64_t bytes = 0, blobs = 0;
	char since[32];

	io_time_print(v->since_s, since);
	text_add(out, "{\n");
	add_pair(out, "mountpoint", v->mountpoint);
	text_printf(out, "  \"pid\": %ld,\n", (long)getpid());
	add_pair(out, "version", TO_STRING(KERNELFS_VERSION));
	add_pair(out, "since", since);
	if (v->control)
		add_pair(out, "control", v->control);
	else
		text_add(out, "  \"control\": null,\n");
	text_add(out, "  \"sources\": [");
	sources_each_state(v->world->source, add_source, &k);
	text_printf(out, "],\n  \"offline\": %s,\n  \"cache\": {\"path\": ",
		    v->world->options->offline ? "true" : "false");
	text_add_json(out, store_path(v->world->store));
	if (store_usage(v->world->store, &bytes, &blobs) == 0)
		text_printf(out, ", \"bytes\": %llu, \"blobs\": %llu",
			    (unsigned long long)bytes,
			    (unsigned long long)blobs);
	else
		text_add(out, ", \"bytes\": null, \"blobs\": null");
	if (store_cache_size(v->world->store))
		text_printf(
			out, ", \"limit\": %llu},\n",
			(unsigned long long)store_cache_size(v->world->store));
	else
		text_add(out, ", \"limit\": null},\n");
	text_add(out, "  \"passthrough\": ");
	if (v->backing)
		backing_report(v->backing, out);
	else
		text_add(out, "{\"on\": false, \"reason\": \"no mount\"}");
	text_add(out, ",\n");
	add_pair(out, "environment", v->world->spec);
	text_add(out, "  \"kernels\": [");
	(void)resolve_each_pick(v->world->resolve, add_kernel, &k);
	text_add(out, "],\n  \"requests\": ");
	http_report(v->world->http, out);
	text_add(out, ",\n  \"downloads\": ");
	fetch_report(v->world->fetch, out);
	text_printf(out, ",\n  \"waiting\": %lld,\n  \"errors\": ",
		    (long long)__atomic_load_n(&parked, __ATOMIC_RELAXED));
	log_report_errors(out);
	text_add(out, "\n}\n");
}

/* ---- the others ---- */

static void report_env(struct view *v, struct text *out)
{
	env_json(&v->world->env, out);
	text_add_char(out, '\n');
}

/* Prometheus text exposition format 0.0.4. */
static void report_metrics(struct view *v, struct text *out)
{
	text_add(out, "# TYPE kernelfs_requests_total counter\n");
	for (int i = 0; i < CTL_OPS; i++)
		text_printf(out, "kernelfs_requests_total{op=\"%s\"} %llu\n",
			    op_names[i],
			    (unsigned long long)__atomic_load_n(
				    &ops[i], __ATOMIC_RELAXED));
	text_printf(out,
		    "# TYPE kernelfs_waiting gauge\n"
		    "kernelfs_waiting %lld\n",
		    (long long)__atomic_load_n(&parked, __ATOMIC_RELAXED));
	text_printf(out, "# TYPE kernelfs_inodes gauge\nkernelfs_inodes %zu\n",
		    inode_count(v->inodes));
	text_printf(out,
		    "# TYPE kernelfs_passthrough gauge\n"
		    "kernelfs_passthrough %d\n"
		    "# TYPE kernelfs_passthrough_files gauge\n"
		    "kernelfs_passthrough_files %zu\n",
		    v->backing && backing_is_on(v->backing),
		    inode_ids(v->inodes));
	text_add(out, "# TYPE kernelfs_source_requests_total counter\n");
	http_metrics(v->world->http, out);
}

static void report_log(struct view *v, struct text *out)
{
	(void)v;
	log_report(out);
}

static void report_config(struct view *v, struct text *out)
{
	options_report(v->world->options, out);
}

static void report_version(struct view *v, struct text *out)
{
	(void)v;
	text_add(out, "kernelfs " TO_STRING(KERNELFS_VERSION) "\n");
}

static const struct {
	const char *name;
	void (*report)(struct view *v, struct text *out);
} reports[] = {
	{ "status", report_status },   { "env", report_env },
	{ "metrics", report_metrics }, { "log", report_log },
	{ "config", report_config },   { "version", report_version },
};

#define REPORTS (sizeof(reports) / sizeof(*reports))

const char *ctl_name(size_t i)
{
	return i < REPORTS ? reports[i].name : NULL;
}

int ctl_find(const char *name)
{
	for (size_t i = 0; i < REPORTS; i++)
		if (!strcmp(reports[i].name, name))
			return (int)i;
	return -1;
}

void ctl_report(struct view *v, size_t i, struct text *out)
{
	if (i < REPORTS)
		reports[i].report(v, out);
}
