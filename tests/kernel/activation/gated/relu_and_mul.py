# SPDX-License-Identifier: Apache-2.0
"""relu of one half, times the other."""

from .._each import gate
from ..relu import relu


def relu_and_mul(x):
    return gate(relu, x)
