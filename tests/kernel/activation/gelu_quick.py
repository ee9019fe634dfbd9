# SPDX-License-Identifier: Apache-2.0
"""gelu by a sigmoid."""

from ._each import each
from .sigmoid import sigmoid as _sigmoid


@each
def gelu_quick(x):
    return x * _sigmoid(1.702 * x)
