# SPDX-License-Identifier: Apache-2.0
"""x, or a little of it below 0."""

from ._each import each


@each
def leaky_relu(x, slope=0.01):
    return x if x > 0 else x * slope
