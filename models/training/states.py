"""How an optimizer keeps what it remembers of past gradients: in float32, or rounded to bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 20
"""Numbers that are rounded at a time, so that what this needs stays in the cache."""


class States:
    """Keeps them in float32, as they are computed."""

    dtype = torch.float32

    def new(self, parameter: Tensor) -> Tensor:
        """Zeros of a parameter's shape."""
        return torch.zeros_like(parameter, dtype=self.dtype)

    def begin(self, step: int, device: torch.device) -> None:
        """Called before the update after `step` updates; what is rounded in it depends on its number alone."""

    def read(self, kept: Tensor) -> Tensor:
        """What is kept, in float32."""
        return kept

    def write(self, kept: Tensor, value: Tensor) -> None:
        """Keep `value`, the changed result of `read`, of which nothing more is needed."""


class RoundedStates(States):
    """Keeps them in bfloat16, rounded up or down at random, in proportion to the distance: right on average.

    Rounding to nearest would not do: a mean of squares with beta2 = 0.999 falls by less than half a unit of the last
    place of bfloat16 (a 256th to a 512th of it) per step, so it would stay where it is forever.

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
            # bfloat16 is the upper half of float32: a random lower half is added, which carries as often as it should.
            # Four numbers share one draw.
            drawn = torch.empty(-(-len(numbers) // 4), dtype=torch.int64, device=numbers.device)
            noise = drawn.random_(-(2**63), None, generator=self._generator).view(torch.int16)[: len(numbers)]
            bits = numbers.view(torch.int32).add_(noise).add_(1 << 15)  # the noise is signed
            into.view(torch.int16).copy_(bits.bitwise_right_shift_(16))
