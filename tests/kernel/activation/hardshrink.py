# SPDX-License-Identifier: Apache-2.0
"""x outside a band around 0, else 0."""

from ._each import each


@each
def hardshrink(x, band=0.5):
    return x if abs(x) > band else 0.0
