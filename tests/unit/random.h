/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_RANDOM_H
#define UNIT_RANDOM_H

/*
 * Texts that a parser may be given by anybody: pieces of its grammar in any
 * order, and bytes. The same ones on each run.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
	uint64_t state; /* not 0 */
};

static inline uint32_t random_next(struct random *r, uint32_t below)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return (uint32_t)(r->state >> 32) % below;
}

/* A text of at most room - 1 bytes, none of them NUL. */
static inline void random_text(struct random *r, char *out, size_t room,
			       const char *const *pieces, size_t count)
{
	uint32_t parts = random_next(r, 14);
	size_t len = 0;

	while (parts-- > 0) {
		const char *piece = pieces[random_next(r, (uint32_t)count)];
		char byte[2] = { (char)(1 + random_next(r, 255)), '\0' };

		if (random_next(r, 12) == 0)
			piece = byte;
		if (strlen(piece) >= room - len)
			break;
		memcpy(out + len, piece, strlen(piece));
		len += strlen(piece);
	}
	out[len] = '\0';
}

#endif
