/* SPDX-License-Identifier: Apache-2.0 */
/* SHA_CTX and SHA256_CTX by themselves: the first EVP call of a process makes
 * libcrypto read its configuration and list all that it can do, 2 ms that are
 * half of a `kernelfs resolve`. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "digest.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hasher {
	enum digest_kind kind;
	union {
		SHA_CTX sha1; /* DIGEST_GIT */
		SHA256_CTX sha256;
	};
};

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

int digest_parse(struct digest *out, const char *hex)
{
	struct digest d = { .kind = DIGEST_NONE };

	if (text_is_hex(hex, 2 * (size_t)DIGEST_GIT))
		d.kind = DIGEST_GIT;
	else if (text_is_hex(hex, 2 * (size_t)DIGEST_SHA256))
		d.kind = DIGEST_SHA256;
	else
		return -EINVAL;
	for (size_t i = 0; i < d.kind; i++)
		d.bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 |
				       nibble(hex[2 * i + 1]));
	*out = d;
	return 0;
}

void digest_print(const struct digest *d, char out[DIGEST_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = d->kind <= sizeof(d->bytes) ? d->kind : 0;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[d->bytes[i] >> 4];
		out[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->kind == b->kind && a->kind <= sizeof(a->bytes) &&
	       memcmp(a->bytes, b->bytes, a->kind) == 0;
}

uint64_t digest_short(const struct digest *d)
{
	uint64_t v = 0;

	/* Byte by byte: the same number on every machine. */
	if (d->kind != DIGEST_NONE) {
		for (size_t i = 0; i < 8; i++)
			v = v << 8 | d->bytes[i];
	}
	return v ? v : 1;
}

int hasher_new(struct hasher **out, enum digest_kind kind, uint64_t size,
	       struct err *err)
{
	struct hasher *h;
	char head[32];
	int n, ok;

	if (kind != DIGEST_GIT && kind != DIGEST_SHA256)
		return err_set(err, EINVAL, "no hash of that kind");
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_errno(err, ENOMEM, "hash");
	h->kind = kind;
	ok = kind == DIGEST_GIT ? SHA1_Init(&h->sha1) : SHA256_Init(&h->sha256);
	if (ok && kind == DIGEST_GIT) {
		n = snprintf(head, sizeof(head), "blob %llu",
			     (unsigned long long)size);
		/* the NUL behind the size belongs to what is hashed */
		ok = hasher_add(h, head, (size_t)n + 1) == 0;
	}
	if (!ok) {
		hasher_free(h);
		return err_set(err, EIO, "libcrypto cannot hash");
	}
	*out = h;
	return 0;
}

int hasher_add(struct hasher *h, const void *p, size_t n)
{
	int ok = h->kind == DIGEST_GIT ? SHA1_Update(&h->sha1, p, n)
				       : SHA256_Update(&h->sha256, p, n);

	return ok == 1 ? 0 : -EIO;
}

int hasher_end(struct hasher *h, struct digest *out)
{
	struct digest d = { .kind = (uint8_t)h->kind };
	int ok = h->kind == DIGEST_GIT ? SHA1_Final(d.bytes, &h->sha1)
				       : SHA256_Final(d.bytes, &h->sha256);

	if (ok != 1)
		return -EIO;
	*out = d;
	return 0;
}

void hasher_free(struct hasher *h)
{
	free(h);
}
