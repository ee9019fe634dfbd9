# SPDX-License-Identifier: Apache-2.0
"""The kernel's operators as layers that `kernelize` can put into a model."""

import torch
from torch import nn

from ._ops import ops


class ReLU(nn.Module):
    can_torch_compile: bool = True
    has_backward: bool = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        ops.relu(out, x)
        return out


class SiluAndMul(nn.Module):
    can_torch_compile: bool = True
    has_backward: bool = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x.new_empty(x.shape[:-1] + (x.shape[-1] // 2,))
        ops.silu_and_mul(out, x)
        return out
