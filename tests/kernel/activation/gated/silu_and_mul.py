# SPDX-License-Identifier: Apache-2.0
"""silu of one half, times the other."""

from .._each import gate
from ..silu import silu


def silu_and_mul(x):
    return gate(silu, x)
