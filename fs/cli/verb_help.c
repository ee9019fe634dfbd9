/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "fs/options.h"

#include <string.h>

#define HELP_MAX 65536

static void add_verbs(struct text *out)
{
	const struct cli_verb *v;

	text_add(out, "Verbs:\n");
	for (size_t i = 0; (v = cli_verb_at(i)); i++)
		text_printf(out, "  %-10s %s\n", v->name, v->summary);
	text_add_char(out, '\n');
}

static void add_all(struct text *out)
{
	text_add(out, "kernelfs: compute kernels of a Hub as a folder that "
		      "Python imports from\n\n"
		      "  kernelfs [OPTIONS] MOUNTPOINT\n"
		      "  kernelfs VERB [OPTIONS] ...\n\n");
	add_verbs(out);
	options_help(out);
	text_add(out,
		 "\n  -o LIST               name=value,... of the above, and "
		 "allow_other,\n"
		 "                        allow_root, uid=N, gid=N, "
		 "context=... of the mount;\n"
		 "                        \"\\,\" is a comma\n"
		 "  -f, --foreground      do not go to the background\n"
		 "  -d, --debug           -f, and show what the kernel asks\n"
		 "  --all-variants        of fetch and verify; --compile of "
		 "fetch;\n"
		 "                        --range=RANGE of resolve\n"
		 "  --json                print for programs; not of mount, "
		 "umount, help, version\n"
		 "  -h, --help, -V, --version\n\n"
		 "The same names stand in a config file (connections = 4) and "
		 "in the environment\n"
		 "(KERNELFS_CONNECTIONS=4). The command line wins, then the "
		 "environment, then the\n"
		 "user's config file, then the system's.\n\n"
		 "Examples:\n"
		 "  kernelfs /kernels && PYTHONPATH=/kernels python3 -c "
		 "'import relu'\n"
		 "  kernelfs -o trust=my-team,import=my-team/relu@v2 /kernels\n"
		 "  kernelfs resolve kernels-community/activation@v1\n\n"
		 "Exit codes: 0 done, 1 failed, 2 misuse, 3 no build fits, "
		 "4 verification failed.\n"
		 "More: man kernelfs\n");
}

int verb_help(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(HELP_MAX);
	const struct cli_verb *v;
	const char *near;

	if (c->count == 0) {
		add_all(&out);
		return cli_put(&out);
	}
	v = cli_verb_find(c->words[0]);
	if (!v && c->o->help) { /* kernelfs /kernels --help */
		add_all(&out);
		return cli_put(&out);
	}
	if (!v) {
		near = cli_verb_nearest(c->words[0]);
		return cli_misuse("no verb is called '%.64s'; %s%s%s",
				  c->words[0],
				  near ? "did you mean '"
				       : "`kernelfs help` "
					 "lists them",
				  near ? near : "", near ? "'?" : "");
	}
	text_printf(&out, "kernelfs %s\n\n%s\n", v->synopsis, v->summary);
	if (*v->text)
		text_printf(&out, "\n%s", v->text);
	return cli_put(&out);
}
