/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/err.h"
#include "fs/mount.h"
#include "fs/options.h"

#include <string.h>

/* What stands first in a line of fstab when there is nothing to say. */
static bool is_nothing(const char *source)
{
	return !strcmp(source, "none") || !strcmp(source, "kernelfs") ||
	       !strcmp(source, "-");
}

int verb_mount(const struct cli *c)
{
	struct err err = ERR_INIT;
	int r;

	if (c->count == 2 && !strstr(c->words[0], "://") &&
	    !is_nothing(c->words[0]))
		return cli_misuse("'%.200s' is no URL; usage: kernelfs mount "
				  "[SOURCE] MOUNTPOINT",
				  c->words[0]);
	if (c->count == 2 && !is_nothing(c->words[0])) {
		r = options_set(c->o, "source", c->words[0], "source", &err);
		if (r < 0)
			return cli_fail(r, &err);
	}
	/* The mount point is the last word in either case. */
	r = mount_run(c->o, &err);
	return r < 0 ? cli_fail(r, &err) : CLI_DONE;
}
