# SPDX-License-Identifier: Apache-2.0
"""relu, cut off at 6."""

from ._each import each


@each
def relu6(x):
    return min(max(x, 0.0), 6.0)
