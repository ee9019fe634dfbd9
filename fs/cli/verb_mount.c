/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/err.h"
#include "fs/mount.h"
#include "fs/options.h"

#include <errno.h>
#include <string.h>

/* What stands first in a line of fstab when there is nothing to say. */
static bool is_nothing(const char *source)
{
	return !strcmp(source, "none") || !strcmp(source, "kernelfs") ||
	       !strcmp(source, "-");
}

int verb_mount_source(const struct cli *c, struct err *err)
{
	const char *source = c->words[0];

	if (c->count < 2 || is_nothing(source))
		return 0;
	if (!strstr(source, "://"))
		return err_set(err, EINVAL,
			       "'%.200s' is no URL; usage: kernelfs mount "
			       "[SOURCE] MOUNTPOINT",
			       source);
	return options_set_first(c->o, source, err);
}

int verb_mount(const struct cli *c)
{
	struct err err = ERR_INIT;
	/* The mount point is the last word in either case. */
	int r = mount_run(c->o, &err);

	return r < 0 ? cli_fail(r, &err) : CLI_DONE;
}
