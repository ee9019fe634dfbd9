/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE on this machine, and the mounts that are there.
 */
#include "checks.h"

#include "guard.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "fs/mountpoint.h"
#include "fs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define SMALL_FILE_MAX 65536
#define STATUS_MAX (16u << 20)

static void check_device(struct checks *c)
{
	AUTO(auto_close) int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	struct finding *f;
	int e = errno;

	if (fd >= 0) {
		(void)checks_add(c, "fuse", true, DEVICE " can be opened");
		return;
	}
	f = checks_add(c, "fuse", false, DEVICE ": %s", strerrordesc_np(e));
	if (e == ENOENT || e == ENODEV || e == ENXIO)
		checks_hint(f, "run: modprobe fuse; in a container, hand it "
			       "in: --device /dev/fuse");
	else
		checks_hint(f, "the device needs mode 0666, and a container "
			       "the permission: --device /dev/fuse");
}

/* The path of a program as execvp finds it; false when there is none. */
static bool on_path(const char *name, char out[PATH_MAX])
{
	const char *p = getenv("PATH");

	for (p = p ? p : "/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");

		(void)snprintf(out, PATH_MAX, "%.*s/%s",
			       n < PATH_MAX ? (int)n : 0, p, name);
		if (access(out, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static void check_helper(struct checks *c)
{
	char path[PATH_MAX];
	struct stat st;

	if (geteuid() == 0)
		(void)checks_add(c, "fusermount3", true, "root needs none");
	else if (!on_path("fusermount3", path))
		checks_hint(checks_add(c, "fusermount3", false,
				       "not on PATH; "
				       "only root can mount without it"),
			    "install the package fuse3");
	else if (stat(path, &st) < 0 || !(st.st_mode & S_ISUID) ||
		 st.st_uid != 0)
		checks_hint(checks_add(c, "fusermount3", false,
				       "'%.400s' is "
				       "not set-uid root",
				       path),
			    "install the package fuse3 again");
	else
		(void)checks_add(c, "fusermount3", true, "'%.400s'", path);
}

static bool conf_says(const char *conf, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = conf; *p;) {
		size_t n;

		p += strspn(p, " \t");
		n = strcspn(p, " \t\r\n#");
		if (n == len && !strncmp(p, word, n))
			return true;
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	return false;
}

static bool wants_others(const struct options *o)
{
	for (size_t i = 0; i < o->fuse.count; i++)
		if (text_starts(o->fuse.items[i], "allow_"))
			return true;
	return false;
}

/* Only an error for who asks for it: most mounts are their owner's. */
static void check_allow_other(struct checks *c)
{
	AUTO(auto_text) struct text conf = TEXT_INIT(SMALL_FILE_MAX);
	bool said = io_read_file(AT_FDCWD, FUSE_CONF, &conf) == 0 &&
		    conf_says(text_str(&conf), "user_allow_other");

	if (geteuid() == 0)
		(void)checks_add(c, "allow_other", true,
				 "root may show a "
				 "mount to everybody");
	else if (said)
		(void)checks_add(c, "allow_other", true,
				 FUSE_CONF " lets "
					   "users show their mounts to others");
	else
		checks_hint(checks_add(c, "allow_other", !wants_others(c->o),
				       "a mount of yours is seen by you alone "
				       "(" FUSE_CONF ")"),
			    "for -o allow_other: put user_allow_other "
			    "into " FUSE_CONF);
}

/* ---- mounts ---- */

/* What a mount says of itself: "answers", or why it is slower than it could
 * be; appended. */
static void add_answer(struct text *out, const struct text *status)
{
	const struct json *told;
	struct json *j = NULL;

	text_add(out, "answers");
	if (json_parse(&j, text_str(status), status->len, NULL) < 0)
		return;
	told = json_get(j, "passthrough");
	if (!json_bool(json_get(told, "on"), true) &&
	    json_get_string(told, "reason"))
		text_printf(out, "; no passthrough: %.200s",
			    json_get_string(told, "reason"));
	json_free(j);
}

static bool check_mount(void *arg, const char *mount)
{
	AUTO(auto_text) struct text status = TEXT_INIT(STATUS_MAX);
	AUTO(auto_text) struct text answer = TEXT_INIT(1024);
	char path[PATH_MAX + 32];
	struct checks *c = arg;
	struct err err = ERR_INIT;
	int r;

	(void)snprintf(path, sizeof(path), "%s/.kernelfs/status", mount);
	r = guard_read_file(path, &status);
	if (r == 0 || r == -EACCES) {
		if (r == 0)
			add_answer(&answer, &status);
		(void)checks_add(c, "mount", true, "'%.200s' %s", mount,
				 r == 0 ? text_str(&answer)
					: "is somebody else's");
		return true;
	}
	(void)guard_explain(r, mount, &err);
	checks_hint(checks_add(c, "mount", false, "%.500s", err_text(&err)),
		    "kernelfs umount -z '%.400s'", mount);
	return c->count < CHECKS_MAX / 2;
}

void checks_fuse(struct checks *c)
{
	struct err err = ERR_INIT;

	check_device(c);
	check_helper(c);
	check_allow_other(c);
	checks_passthrough(c);
	if (mountpoint_each(check_mount, c, &err) < 0)
		(void)checks_add(c, "mount", false, "%s", err_text(&err));
}
