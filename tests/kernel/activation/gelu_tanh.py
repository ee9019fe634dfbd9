# SPDX-License-Identifier: Apache-2.0
"""gelu by its usual approximation."""

import math

from ._each import each


@each
def gelu_tanh(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + math.tanh(inner))
