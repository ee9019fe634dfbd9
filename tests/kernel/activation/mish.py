# SPDX-License-Identifier: Apache-2.0
"""x times the tanh of its softplus."""

import math

from ._each import each
from .softplus import softplus as _softplus


@each
def mish(x):
    return x * math.tanh(_softplus(x))
