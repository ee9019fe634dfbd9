/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/text.h"
#include "http_hop.h"

#include <inttypes.h>
#include <string.h>

void http_count(struct http *h, const char *label)
{
	struct http_count *c = NULL;

	lock_take(&h->mu);
	for (size_t i = 0; i < h->count_n && !c; i++)
		if (strcmp(h->counts[i].label, label) == 0)
			c = &h->counts[i];
	if (!c && h->count_n < HTTP_LABELS_MAX) {
		c = &h->counts[h->count_n++];
		(void)text_copy(c->label, sizeof(c->label), label);
	}
	if (c)
		c->requests++;
	lock_drop(&h->mu);
}

static size_t copy_counts(struct http *h, struct http_count *out,
			  uint64_t *bytes)
{
	size_t n;

	lock_take(&h->mu);
	n = h->count_n;
	memcpy(out, h->counts, sizeof(h->counts));
	*bytes = h->bytes;
	lock_drop(&h->mu);
	return n;
}

void http_report(struct http *h, struct text *out)
{
	struct http_count counts[HTTP_LABELS_MAX];
	uint64_t bytes;
	size_t n = copy_counts(h, counts, &bytes);

	text_add_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		text_add_json(out, counts[i].label);
		text_printf(out, ": %" PRIu64 ", ", counts[i].requests);
	}
	text_printf(out, "\"bytes\": %" PRIu64 "}", bytes);
}

void http_metrics(struct http *h, struct text *out)
{
	struct http_count counts[HTTP_LABELS_MAX];
	uint64_t bytes;
	size_t n = copy_counts(h, counts, &bytes);

	for (size_t i = 0; i < n; i++)
		text_printf(out,
			    "kernelfs_source_requests_total{endpoint=\"%s\"} "
			    "%" PRIu64 "\n",
			    counts[i].label, counts[i].requests);
	text_printf(out, "kernelfs_source_bytes_total %" PRIu64 "\n", bytes);
}
