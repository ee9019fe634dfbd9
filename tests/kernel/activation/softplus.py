# SPDX-License-Identifier: Apache-2.0
"""log(1 + exp(x))."""

import math

from ._each import each


@each
def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
