# SPDX-License-Identifier: Apache-2.0
"""1 / (1 + exp(-x)), without an overflow on either side."""

import math

from ._each import each


@each
def sigmoid(x):
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))
