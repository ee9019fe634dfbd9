# SPDX-License-Identifier: Apache-2.0
"""x / (1 + |x|)."""

from ._each import each


@each
def softsign(x):
    return x / (1 + abs(x))
