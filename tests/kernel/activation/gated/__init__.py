# SPDX-License-Identifier: Apache-2.0
"""Functions that halve the last dimension."""

from .gelu_and_mul import gelu_and_mul
from .gelu_tanh_and_mul import gelu_tanh_and_mul
from .relu_and_mul import relu_and_mul
from .silu_and_mul import silu_and_mul

__all__ = ["gelu_and_mul",
           "gelu_tanh_and_mul",
           "relu_and_mul",
           "silu_and_mul"]
