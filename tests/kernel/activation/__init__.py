# SPDX-License-Identifier: Apache-2.0
"""Activation functions in pure Python, a module each: many small files."""

from . import gated, layers
from .celu import celu
from .elu import elu
from .gelu import gelu
from .gelu_quick import gelu_quick
from .gelu_tanh import gelu_tanh
from .hardshrink import hardshrink
from .hardsigmoid import hardsigmoid
from .hardswish import hardswish
from .hardtanh import hardtanh
from .leaky_relu import leaky_relu
from .logsigmoid import logsigmoid
from .mish import mish
from .relu import relu
from .relu6 import relu6
from .relu_squared import relu_squared
from .selu import selu
from .sigmoid import sigmoid
from .silu import silu
from .softplus import softplus
from .softshrink import softshrink
from .softsign import softsign
from .tanh import tanh
from .tanhshrink import tanhshrink
from .threshold import threshold

__all__ = [
    "gated", "layers", "celu", "elu", "gelu", "gelu_quick", "gelu_tanh",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "logsigmoid", "mish", "relu", "relu6", "relu_squared", "selu", "sigmoid",
    "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold",
]
