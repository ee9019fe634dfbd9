# SPDX-License-Identifier: Apache-2.0
"""x times its sigmoid."""

from ._each import each
from .sigmoid import sigmoid as _sigmoid


@each
def silu(x):
    return x * _sigmoid(x)
