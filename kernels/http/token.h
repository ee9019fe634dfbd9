/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H

/*
 * The secret that is shown to the Hub. From, in this order: the file of the
 * option; HF_TOKEN, HUGGING_FACE_HUB_TOKEN; the file HF_TOKEN_PATH; the file
 * <HF_HOME>/token. HF_HUB_DISABLE_IMPLICIT_TOKEN leaves only the first. The
 * environment is read once, a file again whenever it has changed.
 *
 * Blanks around it are dropped; one with any other byte that does not belong
 * into a header is no token. Nobody prints it. Any thread.
 */

#include <stdbool.h>

struct err;
struct token;

#define TOKEN_MAX 8192

/* `file` NULL: none was given as an option. */
int token_new(struct token **out, const char *file, struct err *err);
void token_free(struct token *t); /* NULL allowed; wipes */
/* false: there is none. Who asked wipes `out` after use. */
bool token_get(struct token *t, char out[TOKEN_MAX + 1]);

#endif
