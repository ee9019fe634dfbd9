/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "walk.h"

#include "kernels/tree.h"
#include "kernels/tree_format.h"

#include "base/cleanup.h"

#include <errno.h>

static bool open_bytes(const void *bytes, size_t n)
{
	struct tree *t = NULL;
	int r = tree_from_bytes(&t, bytes, n, NULL);

	FUZZ_CHECK(r == 0 || (r == -EBADMSG && !t));
	if (r == 0)
		walk_all(t);
	tree_unref(t);
	return r == 0;
}

static bool open_file(const void *bytes, size_t n)
{
	AUTO(auto_close) int fd = fuzz_file(bytes, n);
	struct tree *t = NULL;
	int r = tree_open(&t, fd, NULL);

	if (r == 0)
		walk_all(t);
	tree_unref(t);
	return r == 0;
}

/* As it is; and with magic, format and checksum put right, which nobody
 * finds by chance: the proofs behind them are for a file that somebody made. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *made = NULL;
	struct tree_header h = { .magic = TREE_MAGIC };

	(void)open_bytes(data, size);
	if (size < sizeof(h))
		return 0;
	made = malloc(size);
	FUZZ_CHECK(made);
	memcpy(made, data, size);
	memcpy(&h, made, sizeof(h));
	memcpy(h.magic, TREE_MAGIC, sizeof(h.magic));
	h.format = TREE_FORMAT;
	h.checksum = tree_checksum(&h, made + sizeof(h), size - sizeof(h));
	memcpy(made, &h, sizeof(h));
	FUZZ_CHECK(open_bytes(made, size) == open_file(made, size));
	return 0;
}
