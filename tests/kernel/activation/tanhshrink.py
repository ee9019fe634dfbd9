# SPDX-License-Identifier: Apache-2.0
"""x less its tanh."""

import math

from ._each import each


@each
def tanhshrink(x):
    return x - math.tanh(x)
