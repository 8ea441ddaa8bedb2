"""How an optimizer stores its moments: in float32, or rounded to bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 20
"""How many numbers are rounded at a time, so that the temporary tensors stay in the cache."""


class States:
    """Stores optimizer states in float32, as they are computed."""

    dtype = torch.float32

    def new(self, parameter: Tensor) -> Tensor:
        """Return zeros of a parameter's shape."""
        return torch.zeros_like(parameter, dtype=self.dtype)

    def begin(self, step: int, device: torch.device) -> None:
        """Prepare for the update after `step` updates. The rounding in it depends on this number alone."""

    def read(self, kept: Tensor) -> Tensor:
        """Return a stored state in float32."""
        return kept

    def write(self, kept: Tensor, value: Tensor) -> None:
        """Store `value`, the changed result of `read`. May overwrite `value`."""


class RoundedStates(States):
    """Stores states in bfloat16 with stochastic rounding: up or down with a probability by distance, so unbiased.

    Rounding to nearest would not do: a mean of squares with beta2 = 0.999 falls by less than half a unit of the last
    place of bfloat16 (a 256th to a 512th of it) per step, so it would never change.

    Sources: stochastic rounding: Gupta et al., “Deep Learning with Limited Numerical Precision” (2015,
    arXiv:1502.02551); with bfloat16: Zamirai et al., “Revisiting BFloat16 Training” (2020, arXiv:2010.06192).
    """

    dtype = torch.bfloat16

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator()

    def begin(self, step: int, device: torch.device) -> None:
        if self._generator.device != device:
            self._generator = torch.Generator(device)
        self._generator.manual_seed((self._seed * 1_000_003 + step) % 2**63)

    def read(self, kept: Tensor) -> Tensor:
        return kept.float()

    def write(self, kept: Tensor, value: Tensor) -> None:
        for into, numbers in zip(kept.view(-1).split(CHUNK), value.view(-1).split(CHUNK), strict=True):
            # bfloat16 is the upper half of float32: adding a random lower half carries with the right probability.
            # Four numbers share one draw.
            drawn = torch.empty(-(-len(numbers) // 4), dtype=torch.int64, device=numbers.device)
            noise = drawn.random_(-(2**63), None, generator=self._generator).view(torch.int16)[: len(numbers)]
            bits = numbers.view(torch.int32).add_(noise).add_(1 << 15)  # the noise is signed
            into.view(torch.int16).copy_(bits.bitwise_right_shift_(16))
