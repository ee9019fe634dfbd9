/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PLUGINS_H
#define RESOLVER_PLUGINS_H

/*
 * The device plugins that torch imports by itself: entry points of the
 * group torch.backends of any installed distribution.
 */

#include "version.h"

#include <stdbool.h>

struct err;
struct sitepath;
struct text;

struct plugins {
	bool tpu;    /* torch_tpu */
	bool neuron; /* torch_neuronx */
	bool npu;    /* torch_npu */
};

/* What one entry_points.txt names, added to `out`. */
void plugins_parse(struct plugins *out, const char *text, struct text *notes);

/* Of all folders; none when TORCH_DEVICE_BACKEND_AUTOLOAD is not 1. */
void plugins_find(struct plugins *out, const struct sitepath *s,
		  struct text *notes);

/*
 * CANN's version as torch_npu's users see it: the `version=` line of a file
 * ascend_*_install.info below ASCEND_HOME_PATH, its characters 0 and 2.
 */
int plugins_cann(struct version *out, struct err *err);

#endif
