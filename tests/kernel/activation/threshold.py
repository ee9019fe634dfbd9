# SPDX-License-Identifier: Apache-2.0
"""x above a limit, else a constant."""

from ._each import each


@each
def threshold(x, limit=0.0, value=0.0):
    return x if x > limit else value
