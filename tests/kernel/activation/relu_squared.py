# SPDX-License-Identifier: Apache-2.0
"""The square of relu."""

from ._each import each


@each
def relu_squared(x):
    return x * x if x > 0 else 0.0
