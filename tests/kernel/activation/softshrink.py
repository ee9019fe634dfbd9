# SPDX-License-Identifier: Apache-2.0
"""x, moved towards 0 by a band."""

import math

from ._each import each


@each
def softshrink(x, band=0.5):
    return math.copysign(max(abs(x) - band, 0.0), x)
