# SPDX-License-Identifier: Apache-2.0
"""The functions as layers, where there is a torch to have layers of."""

try:
    from torch import nn
except ImportError:
    nn = None

from ._math import relu, silu_and_mul

if nn is not None:

    class ReLU(nn.Module):
        can_torch_compile: bool = True

        def forward(self, x):
            return relu(x)

    class SiluAndMul(nn.Module):
        can_torch_compile: bool = True

        def forward(self, x):
            return silu_and_mul(x)
