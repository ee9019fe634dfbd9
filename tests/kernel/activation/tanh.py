# SPDX-License-Identifier: Apache-2.0
"""The hyperbolic tangent."""

import math

from ._each import each


@each
def tanh(x):
    return math.tanh(x)
