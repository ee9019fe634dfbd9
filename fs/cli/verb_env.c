/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "resolver/python.h"

#include <stdio.h>
#include <string.h>

#define OUT_MAX (1u << 20)

static void row(struct text *out, const char *name, const char *value)
{
	text_printf(out, "  %-10s  %s\n", name, *value ? value : "unknown");
}

static void add_torch(const struct env *e, struct text *out)
{
	char line[160];

	(void)snprintf(line, sizeof(line), "%s%s",
		       e->torch_text[0] ? e->torch_text
		       : e->torch.known ? "known by its spec"
					: "none",
		       !e->torch.known	     ? ""
		       : e->abi == ABI_CXX11 ? ", C++11 ABI"
		       : e->abi == ABI_CXX98 ? ", old C++ ABI"
					     : "");
	row(out, "torch", line);
}

static void add_gpus(const struct env *e, struct text *out)
{
	for (size_t i = 0; i < e->gpu_count; i++) {
		char line[128];

		(void)snprintf(line, sizeof(line), "%s%s%s", e->gpus[i].name,
			       e->gpus[i].name[0] ? ", " : "", e->gpus[i].arch);
		row(out, "GPU", line);
	}
}

/* A piece of the canonical spec: what stands behind "+py", … */
static void extra(const char *spec, const char *mark, char *line, size_t room)
{
	const char *at = strstr(spec, mark);

	line[0] = '\0';
	if (at) {
		at += strlen(mark);
		(void)snprintf(line, room, "%.*s", (int)strcspn(at, "+"), at);
	}
}

static void add_table(const struct env *e, const char *spec,
		      const struct options *o, struct text *out)
{
	char line[PYTHON_PATH_MAX + 16], word[ENV_WORD_MAX];

	add_torch(e, out);
	env_backend_print(e, word);
	row(out, "backend", word);
	add_gpus(e, out);
	(void)snprintf(line, sizeof(line), "%s %s", e->cpu, e->os);
	row(out, "machine", line);
	extra(spec, "+glibc", line, sizeof(line));
	row(out, "glibc", line);
	extra(spec, "+py", line, sizeof(line));
	row(out, "python tag", line);
	extra(spec, "+ffi", line, sizeof(line));
	row(out, "tvm-ffi", *line ? line : "none");
	if (!o->env && python_find(line, o->python, NULL) == 0)
		row(out, "prefix", line);
	row(out, "spec", spec);
	text_printf(out,
		    "\nEditors and type checkers find the kernels for it "
		    "in\n  MOUNTPOINT/.env/%s\n",
		    spec);
}

int verb_env(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	char spec[ENV_SPEC_MAX];
	struct env env;
	int r = setup_log(c->o, &err);

	if (r == 0)
		r = world_env(&env, c->o, &err);
	if (r < 0)
		return cli_fail(r, &err);
	env_print(&env, spec);
	if (c->o->json) {
		env_json(&env, &out);
		text_add_char(&out, '\n');
	} else {
		add_table(&env, spec, c->o, &out);
	}
	return cli_put(&out);
}
