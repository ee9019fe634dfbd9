# SPDX-License-Identifier: Apache-2.0
"""The gated functions as layers, where there is a torch to have them of."""

try:
    from torch import nn
except ImportError:
    nn = None

from ..gated import gelu_and_mul, silu_and_mul

if nn is not None:

    class SiluAndMul(nn.Module):
        def forward(self, x):
            return silu_and_mul(x)

    class GeluAndMul(nn.Module):
        def forward(self, x):
            return gelu_and_mul(x)
