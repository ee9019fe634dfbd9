/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "base/cleanup.h"
#include "base/text.h"

#define STRINGIFY(x) #x
#define TO_STRING(x) STRINGIFY(x)

int verb_version(const struct cli *c)
{
	AUTO(auto_text) struct text out = TEXT_INIT(256);

	(void)c;
	text_add(&out, "kernelfs " TO_STRING(KERNELFS_VERSION) "\n");
	return cli_put(&out);
}
