# SPDX-License-Identifier: Apache-2.0
"""gelu_tanh of one half, times the other."""

from .._each import gate
from ..gelu_tanh import gelu_tanh


def gelu_tanh_and_mul(x):
    return gate(gelu_tanh, x)
