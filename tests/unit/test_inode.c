/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode.h"

#include "base/err.h"
#include "fs/spec.h"
#include "kernels/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers keep what was freed, and are slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#define FOLDERS 100u
#else
#define SANITIZED 0
#define FOLDERS 1000u
#endif
#define FILES 1000u

static struct inode_table *table_new(void)
{
	struct inode_table *t = NULL;

	assert_int_equal(inode_table_new(&t, NULL), 0);
	return t;
}

static struct node *root_of(struct inode_table *t)
{
	struct node *n = inode_get(t, INODE_ROOT);

	assert_non_null(n);
	return n;
}

/* A child, held. */
static struct node *child(struct inode_table *t, struct node *parent,
			  enum node_kind kind, const char *name,
			  const char *text)
{
	const struct node_make make = { .kind = kind,
					.name = name,
					.text = text };
	struct node *n = NULL;

	assert_int_equal(inode_child(t, parent, &make, &n), 0);
	return n;
}

/* The kernel looks a name up: counted, and held no more. */
static uint64_t look_up(struct inode_table *t, struct node *parent,
			enum node_kind kind, const char *name)
{
	struct node *n = child(t, parent, kind, name, NULL);
	uint64_t number = inode_number(n);

	inode_looked_up(t, n);
	inode_put(t, n);
	return number;
}

static bool knows(struct inode_table *t, uint64_t number)
{
	struct node *n = inode_get(t, number);

	inode_put(t, n);
	return n != NULL;
}

/* ---- numbers ---- */

static void has_a_root_that_stays(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);

	(void)state;
	assert_int_equal(root->kind, NODE_ROOT);
	assert_int_equal(inode_number(root), INODE_ROOT);
	inode_put(t, root);
	inode_forget(t, INODE_ROOT, 1000);
	assert_true(knows(t, INODE_ROOT));
	assert_int_equal(inode_count(t), 1);
	inode_table_free(t);
	inode_table_free(NULL);
}

static const struct step {
	enum node_kind kind;
	const char *name;
	const char *text;
} path[] = {
	{ NODE_OWNER, "kernels-community", NULL },
	{ NODE_COMMIT, "relu@0000000000000000000000000000000000000001", NULL },
	{ NODE_BUILDS, "build", NULL },
	{ NODE_VARIANT, "torch213-cxx11-cpu-x86_64-linux", NULL },
	{ NODE_LINK, "link", "../target" },
};

#define STEPS (sizeof(path) / sizeof(path[0]))

static void walk(struct inode_table *t, uint64_t numbers[STEPS])
{
	struct node *n = root_of(t);

	for (size_t i = 0; i < STEPS; i++) {
		struct node *next =
			child(t, n, path[i].kind, path[i].name, path[i].text);

		numbers[i] = inode_number(next);
		inode_put(t, n);
		n = next;
	}
	inode_put(t, n);
}

static void numbers_a_path_alike_in_every_table(void **state)
{
	struct inode_table *a = table_new(), *b = table_new();
	uint64_t in_a[STEPS], in_b[STEPS];
	struct node *root = root_of(b);

	(void)state;
	/* The second one knows other things first. */
	for (unsigned i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "other-%u", i);
		(void)look_up(b, root, NODE_OWNER, name);
	}
	inode_put(b, root);
	walk(a, in_a);
	walk(b, in_b);
	assert_memory_equal(in_a, in_b, sizeof(in_a));
	for (size_t i = 0; i < STEPS; i++) {
		assert_true(in_a[i] > INODE_ROOT);
		for (size_t j = 0; j < i; j++)
			assert_true(in_a[i] != in_a[j]);
	}
	inode_table_free(a);
	inode_table_free(b);
}

/* A number is handed on to the next daemon: it may not change unnoticed. */
static void numbers_a_path_as_every_release_does(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	uint64_t above = INODE_ROOT;
	uint64_t want = map_hash(&above, sizeof(above));
	struct node *n = child(t, root, NODE_LINK, "a", "b");

	(void)state;
	want = map_hash_more(want, "a", 2);
	want = map_hash_more(want, "b", 1);
	assert_true(inode_number(n) == want);
	inode_put(t, n);
	inode_put(t, root);
	inode_table_free(t);
}

static void numbers_by_parent_name_and_target(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *a = child(t, root, NODE_OWNER, "a", NULL);
	struct node *n[] = {
		a,
		child(t, root, NODE_OWNER, "b", NULL),
		child(t, a, NODE_REPO, "b", NULL),
		child(t, a, NODE_REPO, "b", "b@v1"),
		child(t, a, NODE_REPO, "b", "b@v2"),
		child(t, a, NODE_REPO, "bb@v2", NULL),
	};
	size_t count = sizeof(n) / sizeof(n[0]);

	(void)state;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(inode_number(n[i]) != inode_number(n[j]));
	assert_string_equal(n[3]->text, "b@v1");
	assert_null(n[2]->text);
	assert_int_equal(inode_count(t), count + 1);
	for (size_t i = 0; i < count; i++)
		inode_put(t, n[i]);
	inode_put(t, root);
	inode_table_free(t);
}

/* A list that arrives may turn an owner's name into an import name, while
 * the kernel still knows the owner. */
static void gives_an_owner_and_an_import_name_two_numbers(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *owner = child(t, root, NODE_OWNER, "relu", NULL);
	struct node *import = child(t, root, NODE_IMPORT, "relu", NULL);

	(void)state;
	assert_true(inode_number(owner) != inode_number(import));
	assert_int_equal(owner->kind, NODE_OWNER);
	assert_int_equal(import->kind, NODE_IMPORT);
	inode_put(t, owner);
	inode_put(t, import);
	inode_put(t, root);
	inode_table_free(t);
}

static void makes_a_name_once(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *a = child(t, root, NODE_OWNER, "a", NULL);
	struct node *again = child(t, root, NODE_OWNER, "a", NULL);

	(void)state;
	assert_ptr_equal(a, again);
	assert_int_equal(inode_count(t), 2);
	inode_put(t, again);
	assert_true(knows(t, inode_number(a)));
	inode_put(t, a);
	assert_int_equal(inode_count(t), 1);
	inode_put(t, root);
	inode_table_free(t);
}

/* ---- life ---- */

static void lives_as_long_as_the_kernel_counts_it(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	uint64_t number = look_up(t, root, NODE_OWNER, "a");

	(void)state;
	assert_true(number == look_up(t, root, NODE_OWNER, "a"));
	assert_true(number == look_up(t, root, NODE_OWNER, "a"));
	inode_forget(t, number, 2);
	assert_true(knows(t, number));
	inode_forget(t, number, 1);
	assert_false(knows(t, number));
	inode_forget(t, number, 1); /* not known: nothing happens */
	assert_int_equal(inode_count(t), 1);
	/* More than was counted is no more than all of it. */
	number = look_up(t, root, NODE_OWNER, "a");
	inode_forget(t, number, UINT64_MAX);
	assert_int_equal(inode_count(t), 1);
	inode_put(t, root);
	inode_table_free(t);
}

static void lives_as_long_as_it_is_held(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *n = child(t, root, NODE_OWNER, "a", NULL);
	uint64_t number = inode_number(n);

	(void)state;
	inode_looked_up(t, n);
	inode_forget(t, number, 1);
	assert_true(knows(t, number));
	assert_string_equal(n->name, "a");
	inode_put(t, n);
	assert_false(knows(t, number));
	inode_put(t, NULL);
	inode_put(t, root);
	inode_table_free(t);
}

static void frees_what_is_forgotten_upwards(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *a = child(t, root, NODE_OWNER, "a", NULL);
	struct node *b = child(t, a, NODE_COMMIT, "b", NULL);
	uint64_t in_a = inode_number(a), in_b = inode_number(b);
	uint64_t in_c = look_up(t, b, NODE_BUILDS, "c");

	(void)state;
	inode_looked_up(t, a);
	inode_put(t, a);
	inode_put(t, b);
	/* The kernel forgets in any order: parents wait for their children. */
	inode_forget(t, in_a, 1);
	assert_int_equal(inode_count(t), 4);
	assert_true(knows(t, in_a) && knows(t, in_b));
	inode_forget(t, in_c, 1);
	assert_int_equal(inode_count(t), 1);
	inode_put(t, root);
	inode_table_free(t);
}

static struct tree *tree_of_one(void)
{
	struct tree_builder *b = NULL;
	struct digest d = { .kind = DIGEST_GIT };
	struct tree *tree = NULL;
	void *bytes = NULL;
	size_t n = 0;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	assert_int_equal(tree_builder_add(b, "f", TREE_FILE, 1, &d, NULL), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	tree_builder_free(b);
	assert_int_equal(tree_from_bytes(&tree, bytes, n, NULL), 0);
	free(bytes);
	return tree;
}

static void keeps_its_tree_and_environment(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t), *n = NULL, *same = NULL;
	struct env env = { .cpu = "x86_64", .os = "linux" };
	struct spec *spec = spec_new(&env);
	struct tree *tree = tree_of_one();
	const struct node_make make = {
		.kind = NODE_FILE, .name = "f", .tree = tree, .spec = spec
	};

	(void)state;
	assert_non_null(spec);
	assert_int_equal(inode_child(t, root, &make, &n), 0);
	assert_int_equal(inode_child(t, root, &make, &same), 0);
	assert_ptr_equal(n, same);
	assert_int_equal(spec->refs, 2); /* the spare node has let go */
	tree_unref(tree);
	assert_int_equal(tree_count(n->tree), 1);
	inode_put(t, same);
	inode_put(t, n);
	assert_int_equal(spec->refs, 1);
	spec_unref(spec);
	inode_put(t, root);
	inode_table_free(t);
}

static size_t resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size = 0, resident = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
	(void)fclose(f);
	return resident;
}

static void a_million_names_leave_nothing_behind(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	uint64_t *numbers = calloc(FOLDERS * FILES, sizeof(*numbers));
	size_t before, count = 0;

	(void)state;
	assert_non_null(numbers);
	memset(numbers, 1, FOLDERS * FILES * sizeof(*numbers));
	before = resident_pages();
	for (unsigned i = 0; i < FOLDERS; i++) {
		char name[32];
		struct node *dir;

		(void)snprintf(name, sizeof(name), "folder-%u", i);
		dir = child(t, root, NODE_OWNER, name, NULL);
		for (unsigned j = 0; j < FILES; j++) {
			(void)snprintf(name, sizeof(name), "file-%u", j);
			numbers[count++] = look_up(t, dir, NODE_REPO, name);
		}
		inode_put(t, dir);
	}
	assert_int_equal(inode_count(t), FOLDERS * FILES + FOLDERS + 1);
	for (size_t i = 0; i < count; i++) /* far from each other */
		inode_forget(t, numbers[i * 7919 % count], 1);
	assert_int_equal(inode_count(t), 1);
	if (!SANITIZED) /* and the memory is the system's again */
		assert_true(resident_pages() <= before + before / 10 + 256);
	free(numbers);
	inode_put(t, root);
	inode_table_free(t);
}

/* ---- open files ---- */

static int new_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void keeps_one_descriptor_while_it_is_open(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *n = child(t, root, NODE_FILE, "f", NULL);
	int first = new_fd(), second = new_fd(), third;

	(void)state;
	assert_int_equal(inode_fd(t, n), -1);
	(void)inode_open(t, n, first, 0);
	(void)inode_open(t, n, second, 0);
	assert_int_equal(inode_fd(t, n), first);
	assert_true(is_open(first));
	assert_false(is_open(second));
	inode_close(t, n);
	assert_int_equal(inode_fd(t, n), first);
	inode_close(t, n);
	assert_int_equal(inode_fd(t, n), -1);
	assert_false(is_open(first));
	inode_close(t, n); /* one too many: nothing happens */
	third = new_fd();
	(void)inode_open(t, n, third, 0);
	assert_int_equal(inode_fd(t, n), third);
	inode_close(t, n);
	assert_false(is_open(third));
	/* Who reads yet holds the node, and is not robbed of it. */
	third = new_fd();
	(void)inode_open(t, n, third, 0);
	assert_ptr_equal(inode_get(t, inode_number(n)), n);
	inode_close(t, n);
	assert_int_equal(inode_fd(t, n), third);
	assert_true(is_open(third));
	inode_put(t, n);
	assert_true(is_open(third));
	inode_looked_up(t, n);
	inode_put(t, n);
	assert_false(is_open(third));
	inode_forget(t, inode_number(n), 1);
	inode_put(t, root);
	inode_table_free(t);
}

static void closes_what_is_open_when_it_goes(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *a = child(t, root, NODE_FILE, "a", NULL);
	struct node *b = child(t, root, NODE_FILE, "b", NULL);
	int in_a = new_fd(), in_b = new_fd();

	(void)state;
	(void)inode_open(t, a, in_a, 0);
	(void)inode_open(t, b, in_b, 0);
	inode_put(t, a); /* nobody wants it any more */
	assert_false(is_open(in_a));
	assert_true(is_open(in_b));
	inode_put(t, b);
	inode_put(t, root);
	inode_table_free(t);
	assert_false(is_open(in_b));
}

static void a_table_takes_all_with_it(void **state)
{
	struct inode_table *t = table_new();
	struct node *root = root_of(t);
	struct node *n = child(t, root, NODE_FILE, "f", "text");
	int fd = new_fd();

	(void)state;
	(void)inode_open(t, n, fd, 0);
	inode_looked_up(t, n);
	inode_table_free(t); /* held, counted and open */
	assert_false(is_open(fd));
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 20000u

struct walker {
	struct inode_table *table;
	unsigned seed;
	bool odd; /* found what cannot be */
};

static void *wander(void *arg)
{
	struct walker *w = arg;
	struct node *root = inode_get(w->table, INODE_ROOT);

	for (unsigned i = 0; i < ROUNDS; i++) {
		const char name[] = { (char)('a' + (w->seed + i) % 7), '\0' };
		const struct node_make outer = { .kind = NODE_OWNER,
						 .name = name };
		const struct node_make inner = { .kind = NODE_FILE,
						 .name = "f" };
		struct node *dir = NULL, *n = NULL, *found;
		uint64_t number;

		if (inode_child(w->table, root, &outer, &dir) < 0 ||
		    inode_child(w->table, dir, &inner, &n) < 0)
			break;
		number = inode_number(n);
		inode_looked_up(w->table, n);
		(void)inode_open(w->table, n, dup(0), 0);
		inode_put(w->table, n);
		inode_put(w->table, dir);
		found = inode_get(w->table, number);
		if (!found || found->parent != dir || inode_fd(w->table, n) < 0)
			w->odd = true;
		inode_close(w->table, n);
		inode_put(w->table, found);
		inode_forget(w->table, number, 1);
	}
	inode_put(w->table, root);
	return NULL;
}

static void many_threads_leave_it_empty(void **state)
{
	struct inode_table *t = table_new();
	struct walker w[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct walker){ .table = t, .seed = i };
		assert_int_equal(
			pthread_create(&threads[i], NULL, wander, &w[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(w[i].odd);
	}
	assert_int_equal(inode_count(t), 1);
	inode_table_free(t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_a_root_that_stays),
		cmocka_unit_test(numbers_a_path_alike_in_every_table),
		cmocka_unit_test(numbers_a_path_as_every_release_does),
		cmocka_unit_test(numbers_by_parent_name_and_target),
		cmocka_unit_test(gives_an_owner_and_an_import_name_two_numbers),
		cmocka_unit_test(makes_a_name_once),
		cmocka_unit_test(lives_as_long_as_the_kernel_counts_it),
		cmocka_unit_test(lives_as_long_as_it_is_held),
		cmocka_unit_test(frees_what_is_forgotten_upwards),
		cmocka_unit_test(keeps_its_tree_and_environment),
		cmocka_unit_test(a_million_names_leave_nothing_behind),
		cmocka_unit_test(keeps_one_descriptor_while_it_is_open),
		cmocka_unit_test(closes_what_is_open_when_it_goes),
		cmocka_unit_test(a_table_takes_all_with_it),
		cmocka_unit_test(many_threads_leave_it_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
