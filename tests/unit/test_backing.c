/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/backing.h"

#include "base/err.h"
#include "base/text.h"
#include "fs/inode.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDS 4096

/* A kernel: which ids it has, and what it answers to a new one. */
struct kernel {
	pthread_mutex_t mutex;
	int32_t refuses; /* -errno, 0: nothing */
	int32_t last;
	int alive; /* ids */
	int asked;
	bool has[IDS];
	bool odd; /* dropped what it never had */
	/* Called once while it makes an id. */
	void (*meanwhile)(void *arg);
	void *arg;
};

static int32_t kernel_add(void *ctx, int fd)
{
	struct kernel *k = ctx;
	void (*meanwhile)(void *arg) = k->meanwhile;
	int32_t id;

	if (meanwhile) {
		k->meanwhile = NULL;
		meanwhile(k->arg);
	}
	(void)pthread_mutex_lock(&k->mutex);
	id = k->refuses;
	k->asked++;
	if (fcntl(fd, F_GETFD) < 0)
		id = -EBADF;
	if (!id && k->last + 1 < IDS) {
		id = ++k->last;
		k->has[id] = true;
		k->alive++;
	}
	(void)pthread_mutex_unlock(&k->mutex);
	return id;
}

static void kernel_drop(void *ctx, int32_t id)
{
	struct kernel *k = ctx;

	(void)pthread_mutex_lock(&k->mutex);
	if (id <= 0 || id >= IDS || !k->has[id])
		k->odd = true;
	else
		k->has[id] = false;
	k->alive--;
	(void)pthread_mutex_unlock(&k->mutex);
}

struct bed {
	char dir[SCRATCH_MAX];
	struct inode_table *inodes;
	struct backing *backing;
	struct kernel kernel;
	struct backing_device device;
	struct node *root;
	struct node *a;
	struct node *b;
};

static struct node *child(struct bed *t, const char *name)
{
	const struct node_make make = { .kind = NODE_FILE, .name = name };
	struct node *n = NULL;

	assert_int_equal(inode_child(t->inodes, t->root, &make, &n), 0);
	return n;
}

static int bed_up(void **state)
{
	struct bed *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	scratch_make(t->dir);
	scratch_put(t->dir, "layout", "1\n", 2);
	assert_int_equal(inode_table_new(&t->inodes, NULL), 0);
	t->root = inode_get(t->inodes, INODE_ROOT);
	t->a = child(t, "a");
	t->b = child(t, "b");
	(void)pthread_mutex_init(&t->kernel.mutex, NULL);
	t->device =
		(struct backing_device){ kernel_add, kernel_drop, &t->kernel };
	*state = t;
	return 0;
}

static int bed_down(void **state)
{
	struct bed *t = *state;

	backing_end(t->backing);
	inode_put(t->inodes, t->a);
	inode_put(t->inodes, t->b);
	inode_put(t->inodes, t->root);
	inode_table_free(t->inodes);
	backing_free(t->backing);
	scratch_remove(t->dir);
	assert_false(t->kernel.odd);
	free(t);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_up, bed_down)

static int begin_as(struct bed *t, const char *wish, bool agreed,
		    struct err *err)
{
	assert_int_equal(
		backing_new(&t->backing, wish, t->dir, t->inodes, NULL), 0);
	if (agreed)
		backing_agreed(t->backing);
	return backing_begin(t->backing, &t->device, err);
}

static void begin(struct bed *t)
{
	assert_int_equal(begin_as(t, "auto", true, NULL), 0);
	assert_true(backing_is_on(t->backing));
	assert_int_equal(t->kernel.alive, 0); /* the sample went again */
}

static int32_t open_it(struct bed *t, struct node *n)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return backing_open(t->backing, n, fd);
}

static void assert_off(struct bed *t, const char *word)
{
	struct text out = TEXT_INIT(4096);

	assert_false(backing_is_on(t->backing));
	backing_report(t->backing, &out);
	assert_non_null(strstr(text_str(&out), "\"on\": false"));
	assert_non_null(strstr(text_str(&out), word));
	text_done(&out);
	assert_int_equal(open_it(t, t->a), 0);
	assert_true(inode_fd(t->inodes, t->a) >= 0);
	inode_close(t->inodes, t->a);
}

/* ---- is it on ---- */

static void is_asked_for_by_nobody_who_switched_it_off(void **state)
{
	struct bed *t = *state;

	assert_int_equal(begin_as(t, "off", true, NULL), 0);
	assert_int_equal(backing_depth(t->backing), 0);
	assert_off(t, "passthrough=off");
	assert_int_equal(t->kernel.asked, 0);
}

static void a_kernel_that_does_not_offer_it_is_named(void **state)
{
	struct bed *t = *state;

	assert_int_equal(begin_as(t, "auto", false, NULL), 0);
	assert_off(t, "Linux 6.9");
	assert_int_equal(t->kernel.asked, 0);
}

static void a_refused_sample_is_told(void **state)
{
	struct bed *t = *state;

	t->kernel.refuses = -EPERM;
	assert_int_equal(begin_as(t, "auto", true, NULL), 0);
	assert_off(t, "CAP_SYS_ADMIN");
	assert_int_equal(t->kernel.asked, 1);
}

static void who_requires_it_gets_no_mount_without(void **state)
{
	struct bed *t = *state;
	struct err err = ERR_INIT;

	t->kernel.refuses = -ELOOP;
	assert_int_equal(begin_as(t, "require", true, &err), -ELOOP);
	assert_non_null(strstr(err.text, "passthrough=require"));
	assert_non_null(strstr(err.text, "stack"));
}

static void a_cache_without_a_file_is_no_obstacle(void **state)
{
	struct bed *t = *state;
	char path[2 * SCRATCH_MAX];

	(void)snprintf(path, sizeof(path), "%s/layout", t->dir);
	assert_int_equal(unlink(path), 0);
	begin(t);
	assert_int_equal(t->kernel.asked, 1);
}

/* ---- ids ---- */

static void one_id_serves_all_opens_and_no_descriptor_is_held(void **state)
{
	struct bed *t = *state;
	int32_t id;

	begin(t);
	assert_int_equal(backing_again(t->backing, t->a), 0);
	id = open_it(t, t->a);
	assert_true(id > 0);
	assert_int_equal(open_it(t, t->a), id);
	assert_int_equal(backing_again(t->backing, t->a), id);
	assert_int_equal(inode_fd(t->inodes, t->a), -1);
	assert_int_not_equal(open_it(t, t->b), id);
	assert_int_equal(t->kernel.alive, 2);
	assert_int_equal(inode_ids(t->inodes), 2);
}

static void an_id_is_kept_while_open_and_goes_when_idle(void **state)
{
	struct bed *t = *state;
	int32_t id;

	begin(t);
	id = open_it(t, t->a);
	assert_int_equal(open_it(t, t->a), id);
	inode_close(t->inodes, t->a);
	backing_let_go(t->backing);
	assert_true(t->kernel.has[id]); /* once it is open yet */
	inode_close(t->inodes, t->a);
	assert_int_equal(inode_drop_idle(t->inodes, 0), 1); /* not that long */
	assert_true(backing_tick(t->backing) > 0);
	assert_true(t->kernel.has[id]);
	assert_int_equal(backing_again(t->backing, t->a), id);
	inode_close(t->inodes, t->a);
	backing_let_go(t->backing);
	assert_int_equal(t->kernel.alive, 0);
	assert_int_equal(backing_tick(t->backing), -1);
	assert_true(open_it(t, t->a) > 0);
}

static void an_id_goes_with_its_inode(void **state)
{
	struct bed *t = *state;
	uint64_t number = inode_number(t->a);

	begin(t);
	assert_true(open_it(t, t->a) > 0);
	assert_true(open_it(t, t->b) > 0);
	inode_close(t->inodes, t->a);
	inode_looked_up(t->inodes, t->a);
	inode_put(t->inodes, t->a);
	assert_int_equal(t->kernel.alive, 2);
	inode_forget(t->inodes, number, 1);
	assert_int_equal(t->kernel.alive, 1);
	t->a = child(t, "a");
	assert_int_equal(inode_ids(t->inodes), 1);
}

static void who_is_opened_with_kept_pages_stays_so_until_shut(void **state)
{
	struct bed *t = *state;

	begin(t);
	t->kernel.refuses = -ELOOP;
	assert_int_equal(open_it(t, t->a), 0);
	t->kernel.refuses = 0;
	assert_int_equal(open_it(t, t->a), 0);
	assert_int_equal(backing_again(t->backing, t->a), 0);
	assert_int_equal(t->kernel.asked, 2); /* the sample, and once */
	assert_true(open_it(t, t->b) > 0);    /* that one is another's */
	inode_close(t->inodes, t->a);
	assert_int_equal(open_it(t, t->a), 0);
	inode_close(t->inodes, t->a);
	inode_close(t->inodes, t->a);
	assert_true(open_it(t, t->a) > 0);
}

static void a_refusal_that_is_not_about_a_file_ends_it(void **state)
{
	struct bed *t = *state;
	int32_t id;

	begin(t);
	id = open_it(t, t->b);
	assert_true(id > 0);
	t->kernel.refuses = -EPERM;
	assert_int_equal(open_it(t, t->a), 0);
	inode_close(t->inodes, t->a);
	t->kernel.refuses = 0;
	assert_off(t, "CAP_SYS_ADMIN");
	assert_int_equal(open_it(t, t->b), id); /* which it knows yet */
}

static void what_another_daemon_opened_is_never_mixed(void **state)
{
	struct bed *t = *state;

	begin(t);
	inode_adopt(t->inodes, t->a, open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_true(inode_fd(t->inodes, t->a) >= 0);
	assert_int_equal(open_it(t, t->a), 0);
	inode_close(t->inodes, t->a);
	inode_close(t->inodes, t->a);
	assert_int_equal(open_it(t, t->a), 0);
}

static void nothing_reaches_a_connection_that_ended(void **state)
{
	struct bed *t = *state;

	begin(t);
	assert_true(open_it(t, t->a) > 0);
	inode_close(t->inodes, t->a);
	backing_end(t->backing);
	backing_let_go(t->backing);
	assert_int_equal(t->kernel.alive, 1);
	assert_int_equal(open_it(t, t->b), 0);
	assert_int_equal(t->kernel.asked, 2);
}

static void open_a(void *arg)
{
	struct bed *t = arg;

	assert_true(open_it(t, t->a) > 0);
}

static void of_two_opens_at_once_the_faster_decides_for_both(void **state)
{
	struct bed *t = *state;
	int32_t id;

	begin(t);
	t->kernel.arg = t;
	t->kernel.meanwhile = open_a;
	id = open_it(t, t->a);
	assert_true(id > 0 && t->kernel.has[id]);
	assert_int_equal(t->kernel.alive, 1);
	assert_int_equal(backing_again(t->backing, t->a), id);
}

/* ---- threads ---- */

#define THREADS 8
#define ROUNDS 200

struct opener {
	struct bed *bed;
	bool odd;
};

static void *open_and_shut(void *arg)
{
	struct opener *o = arg;
	struct bed *t = o->bed;

	for (int i = 0; i < ROUNDS; i++) {
		int32_t id = open_it(t, t->a);
		int32_t again = open_it(t, t->a);

		if (id <= 0 || again != id)
			o->odd = true;
		(void)pthread_mutex_lock(&t->kernel.mutex);
		if (!t->kernel.has[id > 0 ? id : 0])
			o->odd = true; /* told, and gone */
		(void)pthread_mutex_unlock(&t->kernel.mutex);
		inode_close(t->inodes, t->a);
		inode_close(t->inodes, t->a);
		backing_let_go(t->backing);
	}
	return NULL;
}

static void many_open_one_file_and_are_told_one_id(void **state)
{
	struct bed *t = *state;
	struct opener openers[THREADS];
	pthread_t threads[THREADS];

	begin(t);
	for (int i = 0; i < THREADS; i++) {
		openers[i] = (struct opener){ t, false };
		assert_int_equal(pthread_create(&threads[i], NULL,
						open_and_shut, &openers[i]),
				 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(openers[i].odd);
	}
	assert_int_equal(t->kernel.alive, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(is_asked_for_by_nobody_who_switched_it_off),
		TEST(a_kernel_that_does_not_offer_it_is_named),
		TEST(a_refused_sample_is_told),
		TEST(who_requires_it_gets_no_mount_without),
		TEST(a_cache_without_a_file_is_no_obstacle),
		TEST(one_id_serves_all_opens_and_no_descriptor_is_held),
		TEST(an_id_is_kept_while_open_and_goes_when_idle),
		TEST(an_id_goes_with_its_inode),
		TEST(who_is_opened_with_kept_pages_stays_so_until_shut),
		TEST(a_refusal_that_is_not_about_a_file_ends_it),
		TEST(what_another_daemon_opened_is_never_mixed),
		TEST(nothing_reaches_a_connection_that_ended),
		TEST(of_two_opens_at_once_the_faster_decides_for_both),
		TEST(many_open_one_file_and_are_told_one_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
