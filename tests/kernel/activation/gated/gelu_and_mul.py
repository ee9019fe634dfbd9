# SPDX-License-Identifier: Apache-2.0
"""gelu of one half, times the other."""

from .._each import gate
from ..gelu import gelu


def gelu_and_mul(x):
    return gate(gelu, x)
