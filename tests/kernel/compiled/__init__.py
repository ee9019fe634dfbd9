# SPDX-License-Identifier: Apache-2.0
"""relu and silu_and_mul, compiled for the CPU."""

import torch

from . import layers
from ._ops import ops

__all__ = ["layers", "ops", "relu", "silu_and_mul"]


def relu(x, out=None):
    """max(x, 0), into out where one is given."""
    if out is None:
        out = torch.empty_like(x)
    ops.relu(out, x)
    return out


def silu_and_mul(x, out=None):
    """silu of the first half of the last dimension, times the second."""
    if out is None:
        out = x.new_empty(x.shape[:-1] + (x.shape[-1] // 2,))
    ops.silu_and_mul(out, x)
    return out
