# SPDX-License-Identifier: Apache-2.0
"""elu with a slope that does not jump."""

import math

from ._each import each


@each
def celu(x, alpha=1.0):
    return x if x > 0 else alpha * math.expm1(x / alpha)
