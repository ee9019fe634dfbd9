# SPDX-License-Identifier: Apache-2.0
"""Turns a function of one number into one of numbers, lists and tensors."""

import functools

try:
    import torch
except ImportError:
    torch = None


def is_tensor(x):
    return torch is not None and isinstance(x, torch.Tensor)


def each(function):
    """The function, applied to each element of whatever comes in."""

    @functools.wraps(function)
    def apply(x, *rest):
        if is_tensor(x):
            flat = [function(v, *rest) for v in x.flatten().tolist()]
            return torch.tensor(flat, dtype=x.dtype).reshape(x.shape)
        if isinstance(x, (list, tuple)):
            return [apply(v, *rest) for v in x]
        return function(x, *rest)

    return apply


def gate(activation, x):
    """activation of the first half of the last dimension, times the rest."""
    if is_tensor(x):
        first, second = x.chunk(2, dim=-1)
        return activation(first) * second
    if x and isinstance(x[0], (list, tuple)):
        return [gate(activation, row) for row in x]
    half = len(x) // 2
    return [activation(a) * b for a, b in zip(x[:half], x[half:])]
