# SPDX-License-Identifier: Apache-2.0
"""x times the normal distribution below it."""

import math

from ._each import each


@each
def gelu(x):
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))
