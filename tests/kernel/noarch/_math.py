# SPDX-License-Identifier: Apache-2.0
"""The two functions, for whichever kind of number comes in."""

import math

try:
    import torch
except ImportError:
    torch = None


def is_tensor(x):
    return torch is not None and isinstance(x, torch.Tensor)


def relu(x):
    """max(x, 0), of each element."""
    if is_tensor(x):
        return torch.relu(x)
    if isinstance(x, (list, tuple)):
        return [relu(v) for v in x]
    return x if x > 0 or x != x else type(x)(0)


def silu(x):
    # the first form overflows below -709, the second does not
    if x >= 0:
        return x / (1 + math.exp(-x))
    return x * math.exp(x) / (1 + math.exp(x))


def silu_and_mul(x):
    """silu of the first half of the last dimension, times the second."""
    if is_tensor(x):
        first, second = x.chunk(2, dim=-1)
        return torch.nn.functional.silu(first) * second
    if x and isinstance(x[0], (list, tuple)):
        return [silu_and_mul(row) for row in x]
    if len(x) % 2:
        raise ValueError("the last dimension must be even, it is %d" % len(x))
    half = len(x) // 2
    return [silu(a) * b for a, b in zip(x[:half], x[half:])]
