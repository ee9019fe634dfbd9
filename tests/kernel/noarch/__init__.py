# SPDX-License-Identifier: Apache-2.0
"""relu and silu_and_mul in pure Python: on tensors where torch is installed,
on numbers and nested lists of them anywhere.
"""

from . import layers
from ._math import relu, silu_and_mul

__all__ = ["layers", "relu", "silu_and_mul"]
