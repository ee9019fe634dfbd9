/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/err.h"
#include "fs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A word alone that is no folder was probably meant as a verb. */
static const char *meant(const struct options *o)
{
	const char *word = o->words.items[0];
	struct stat st;

	if (o->words.count > 2 || strchr(word, '/'))
		return NULL;
	if (lstat(word, &st) == 0 || errno != ENOENT)
		return NULL;
	return cli_verb_nearest(word);
}

static int run_verb(const struct cli_verb *v, const struct cli *c)
{
	struct err err = ERR_INIT;
	int r = 0;

	if (c->count < v->least || c->count > v->most)
		return cli_misuse("usage: kernelfs %s", v->synopsis);
	if (c->o->json && !v->json)
		return cli_misuse("%s has no --json; usage: kernelfs %s",
				  v->name, v->synopsis);
	if (c->o->lazy && v->run != verb_umount)
		return cli_misuse("-z is for umount");
	if (c->o->all_variants && v->run != verb_fetch && v->run != verb_verify)
		return cli_misuse("--all-variants is for fetch and verify");
	if (c->o->compile && v->run != verb_fetch)
		return cli_misuse("--compile is for fetch");
	if (c->o->range && v->run != verb_resolve)
		return cli_misuse("--range is for resolve");
	if (v->run == verb_mount)
		r = verb_mount_source(c, &err);
	/* A config file says where the log of a mount goes, not ours. */
	if (r == 0 && v->run != verb_mount && !options_given(c->o, "log"))
		r = options_set(c->o, "log", "stderr", "log", &err);
	if (r == 0 && v->settle)
		r = options_settle(c->o, &err);
	return r < 0 ? cli_fail(r, &err) : v->run(c);
}

static int run(struct options *o)
{
	struct cli c = { .o = o,
			 .words = (const char *const *)o->words.items,
			 .count = o->words.count };
	const struct cli_verb *v = NULL;
	const char *near;

	if (o->version)
		return verb_version(&c);
	if (o->help)
		return verb_help(&c);
	if (c.count == 0)
		return cli_misuse("no mount point and no verb; `kernelfs "
				  "help` shows both");
	v = cli_verb_find(c.words[0]);
	if (v) {
		c.words++;
		c.count--;
		return run_verb(v, &c);
	}
	near = meant(o);
	if (near)
		return cli_misuse("'%.200s' is neither a verb nor a folder; "
				  "did you mean 'kernelfs %s'?",
				  c.words[0], near);
	return run_verb(cli_verb_find("mount"), &c);
}

/* What we open must not become the standard streams of somebody. */
static void hold_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	struct options o = { .given = 0 };
	struct err err = ERR_INIT;
	int r;

	hold_streams();
	(void)signal(SIGPIPE, SIG_IGN);
	r = options_read(&o, argc, argv, &err);
	r = r < 0 ? cli_fail(r, &err) : run(&o);
	options_done(&o);
	return r;
}
