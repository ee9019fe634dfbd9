/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountpoint.h"

#include "base/err.h"
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MOUNTS "/proc/self/mounts"

struct place {
	char dir[SCRATCH_MAX]; /* without links */
	bool covered;	       /* the list of mounts is ours */
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char dir[SCRATCH_MAX], *real;

	assert_non_null(p);
	scratch_make(dir);
	real = realpath(dir, NULL);
	assert_non_null(real);
	(void)snprintf(p->dir, sizeof(p->dir), "%s", real);
	free(real);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	assert_int_equal(chdir("/"), 0);
	if (p->covered)
		assert_int_equal(umount2(MOUNTS, MNT_DETACH), 0);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

/* A path in the scratch folder, in one of a few buffers. */
static const char *in(const struct place *p, const char *name)
{
	static char paths[4][2 * SCRATCH_MAX];
	static unsigned next;
	char *path = paths[next++ % N(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", p->dir, name);
	return path;
}

static void folder(const struct place *p, const char *name)
{
	assert_int_equal(mkdir(in(p, name), 0755), 0);
}

/*
 * Let this process see `text` as the list of mounts. Takes a mount namespace
 * of its own, which not every machine lends.
 */
static void cover(struct place *p, const char *text)
{
	static bool apart;

	if (!apart && (unshare(CLONE_NEWNS) < 0 ||
		       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		goto cannot;
	apart = true;
	scratch_put(p->dir, "mounts", text, strlen(text));
	if (mount(in(p, "mounts"), MOUNTS, NULL, MS_BIND, NULL) < 0)
		goto cannot;
	p->covered = true;
	return;
cannot:
	print_message("no mount namespace here: %s\n", strerror(errno));
	skip();
}

/* ---- is it a place to mount at ---- */

static void accepts_an_empty_folder(void **state)
{
	struct place *p = *state;
	const char *const names[] = { "empty", "empty/", "./empty", "link",
				      "empty/../empty" };

	folder(p, "empty");
	assert_int_equal(symlink("empty", in(p, "link")), 0);
	assert_int_equal(chdir(p->dir), 0);
	for (size_t i = 0; i < 2 * N(names); i++) {
		struct err err = ERR_INIT;
		char *path = NULL;
		const char *name = names[i / 2];

		if (i % 2)
			name = in(p, name);
		if (mountpoint_check(name, &path, &err) < 0)
			fail_msg("%s: %s", name, err_text(&err));
		assert_string_equal(path, in(p, "empty"));
		assert_int_equal(err.code, 0);
		free(path);
	}
}

static void refuses(const char *name, int code, const char *text)
{
	char untouched[] = "untouched", *path = untouched;
	struct err err = ERR_INIT;

	assert_int_equal(mountpoint_check(name, &path, &err), -code);
	assert_ptr_equal(path, untouched);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text) || !strstr(err.text, name))
		fail_msg("'%s' says neither '%s' nor '%s'", err.text, text,
			 name);
	assert_int_equal(mountpoint_check(name, &path, NULL), -code);
}

static void refuses_what_is_not_there(void **state)
{
	struct place *p = *state;

	refuses(in(p, "missing"), ENOENT, "mkdir -p");
	refuses(in(p, "missing/deep"), ENOENT, "mkdir -p");
	assert_int_equal(symlink("missing", in(p, "dangling")), 0);
	refuses(in(p, "dangling"), ENOENT, "does not exist");
	assert_int_equal(symlink("loop", in(p, "loop")), 0);
	refuses(in(p, "loop"), ELOOP, "mount point");
	refuses("", ENOENT, "mount point");
}

static void refuses_what_is_no_folder(void **state)
{
	struct place *p = *state;

	scratch_put(p->dir, "file", "", 0);
	refuses(in(p, "file"), ENOTDIR, "is no folder");
	refuses(in(p, "file/x"), ENOTDIR, "mount point");
}

static void refuses_to_hide_what_is_there(void **state)
{
	struct place *p = *state;

	folder(p, "full");
	scratch_put(in(p, "full"), ".hidden", "", 0);
	refuses(in(p, "full"), ENOTEMPTY, "'.hidden' is in it");
}

static void refuses_a_mount(void **state)
{
	struct place *p = *state;
	char text[2 * SCRATCH_MAX];

	folder(p, "mnt");
	(void)snprintf(text, sizeof(text),
		       "proc /proc proc rw 0 0\n"
		       "https://hub.example %s/mnt fuse.kernelfs ro 0 0\n",
		       p->dir);
	cover(p, text);
	refuses(in(p, "mnt"), EBUSY, "kernelfs umount");
	folder(p, "mnt2"); /* not the same, for all that begins so */
	char *path = NULL;

	assert_int_equal(mountpoint_check(in(p, "mnt2"), &path, NULL), 0);
	free(path);
}

/* ---- what is mounted where ---- */

static const char list[] = "overlay / overlay rw 0 0\n"
			   "hub /k fuse.kernelfs ro 0 0\n"
			   "other /k/not fuse.other ro 0 0\n"
			   "fuse.kernelfs /trap ext4 rw 0 0\n"
			   "hub /k/deep fuse.kernelfs ro 0 0\n"
			   "hub /with\\040blank\\012line fuse.kernelfs ro 0 0\n"
			   "\n"
			   "short\n"
			   "hub /k fuse.kernelfs ro 0 0\n";

struct seen {
	char paths[8][64];
	size_t count;
	size_t enough;
};

static bool see(void *arg, const char *path)
{
	struct seen *s = arg;

	assert_true(s->count < N(s->paths));
	(void)snprintf(s->paths[s->count++], sizeof(s->paths[0]), "%s", path);
	return s->count < s->enough;
}

static void names_every_mount_of_ours_in_order(void **state)
{
	static const char *const want[] = { "/k", "/k/deep",
					    "/with blank\nline", "/k" };
	struct seen s = { .enough = 100 };

	cover(*state, list);
	assert_int_equal(mountpoint_each(see, &s, NULL), 0);
	assert_int_equal(s.count, N(want));
	for (size_t i = 0; i < N(want); i++)
		assert_string_equal(s.paths[i], want[i]);
	s = (struct seen){ .enough = 2 };
	assert_int_equal(mountpoint_each(see, &s, NULL), 0);
	assert_int_equal(s.count, 2);
}

static void finds_the_mount_that_a_path_lies_in(void **state)
{
	static const struct {
		const char *path;
		const char *mount; /* NULL: none */
	} rows[] = {
		{ "/k", "/k" },
		{ "/k/", "/k" },
		{ "/k///", "/k" },
		{ "/k/relu/x", "/k" },
		{ "/k/deep", "/k/deep" },
		{ "/k/deep/x", "/k/deep" },
		{ "/k/deeper", "/k" },
		{ "/with blank\nline/x", "/with blank\nline" },
		{ "/kk", NULL },
		{ "/", NULL },
		{ "/trap/x", NULL },
		{ "", NULL },
		{ "k", NULL },
	};

	cover(*state, list);
	for (size_t i = 0; i < N(rows); i++) {
		char untouched[] = "untouched", *mount = untouched;
		struct err err = ERR_INIT;
		int r = mountpoint_of(rows[i].path, &mount, &err);

		if (!rows[i].mount) {
			assert_int_equal(r, -ENOENT);
			assert_ptr_equal(mount, untouched);
			assert_non_null(strstr(err.text, "not in a kernelfs"));
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(mount, rows[i].mount);
		free(mount);
	}
}

static void finds_it_from_within_too(void **state)
{
	struct place *p = *state;
	char text[2 * SCRATCH_MAX], *mount = NULL;

	folder(p, "mnt");
	folder(p, "mnt/relu");
	(void)snprintf(text, sizeof(text), "hub %s/mnt fuse.kernelfs ro 0 0\n",
		       p->dir);
	cover(p, text);
	assert_int_equal(chdir(in(p, "mnt/relu")), 0);
	assert_int_equal(mountpoint_of("x/y", &mount, NULL), 0);
	assert_string_equal(mount, in(p, "mnt"));
	free(mount);
	assert_int_equal(mountpoint_of(".", &mount, NULL), 0);
	free(mount);
	assert_int_equal(chdir(p->dir), 0);
	assert_int_equal(mountpoint_of("x/y", &mount, NULL), -ENOENT);
	assert_int_equal(mountpoint_of("mnt/none/x", &mount, NULL), 0);
	free(mount);
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(accepts_an_empty_folder),
		unit(refuses_what_is_not_there),
		unit(refuses_what_is_no_folder),
		unit(refuses_to_hide_what_is_there),
		unit(refuses_a_mount),
		unit(names_every_mount_of_ours_in_order),
		unit(finds_the_mount_that_a_path_lies_in),
		unit(finds_it_from_within_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
