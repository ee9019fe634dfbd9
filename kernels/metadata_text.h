/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_METADATA_TEXT_H
#define KERNELS_METADATA_TEXT_H

/*
 * Texts with a grammar of their own in metadata.json, judged as the
 * reference judges them. Pure.
 */

#include <stdbool.h>

#include "metadata.h"

/* Three numbers; white space around all and a '+' before each pass. The
 * normal spelling into `out`, which is untouched when it is none. */
bool metadata_text_minver(const char *s, char out[METADATA_MINVER_MAX]);
/*
 * A git URL, or host:path as scp spells it. Not as far as a whole parser of
 * URLs would go: nothing is ever fetched from there.
 */
bool metadata_text_is_git_url(const char *s);

#endif
