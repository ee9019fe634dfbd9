# SPDX-License-Identifier: Apache-2.0
"""x times hardsigmoid."""

from ._each import each


@each
def hardswish(x):
    return x * min(max(x / 6 + 0.5, 0.0), 1.0)
