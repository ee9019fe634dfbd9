/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/http/head.h"

/* 2026-01-31 */
#define NOW 1769817600

static void check(const struct head *h)
{
	FUZZ_CHECK(h->bytes <= HEAD_BYTES_MAX);
	FUZZ_CHECK(strnlen(h->next, sizeof(h->next)) < sizeof(h->next));
	FUZZ_CHECK(fuzz_is_plain(h->next) && fuzz_is_plain(h->error_code));
	FUZZ_CHECK(fuzz_is_plain(h->error_message));
	FUZZ_CHECK(h->retry_after_s >= -1);
	FUZZ_CHECK(h->retry_after_s <= HEAD_WAIT_MAX_S);
	FUZZ_CHECK(h->limited_s >= -1 && h->limited_s <= HEAD_WAIT_MAX_S);
	FUZZ_CHECK(head_wait_s(h) >= -1);
	FUZZ_CHECK(head_wait_s(h) <= HEAD_WAIT_MAX_S + 1);
}

/* Lines as they stand between newlines, each in memory of its own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	const char *end = p + size;
	struct head h;
	int r = 0;

	head_reset(&h);
	while (p < end && r == 0) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl + 1 : end) - p);
		char *line = malloc(n);

		FUZZ_CHECK(line);
		memcpy(line, p, n);
		r = head_line(&h, line, n, NOW);
		free(line);
		p += n;
	}
	check(&h);
	return 0;
}
