# SPDX-License-Identifier: Apache-2.0
"""The logarithm of the sigmoid."""

import math

from ._each import each


@each
def logsigmoid(x):
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))
