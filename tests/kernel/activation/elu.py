# SPDX-License-Identifier: Apache-2.0
"""x, or exp(x) - 1 below 0."""

import math

from ._each import each


@each
def elu(x, alpha=1.0):
    return x if x > 0 else alpha * math.expm1(x)
