"""Custom blocks in the place of the feed-forward, the positions and the norms (models.custom_blocks).

Letters in shape comments: B batch, T tokens, C d_model.
"""

from __future__ import annotations

from torch import Tensor

from terrarium.models.architecture.trace import Trace
from terrarium.models.custom_blocks.loading import PlacedBlock, placing
from terrarium.models.settings.model_config import ModelConfig


class CustomFeedForward(PlacedBlock):
    """A custom block in the place of the feed-forward: each token on its own."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(*placing(config, "feed_forward", layer=layer))

    def forward(self, x: Tensor, trace: Trace | None = None, site: str = "") -> Tensor:
        """x (…, C) -> (…, C); the block always gets (B, T, C)."""
        given = x if x.dim() == 3 else x[None]
        return self.check_like(self.call(given), given).view_as(x)


class CustomNorm(PlacedBlock):
    """A custom block in the place of a norm over the last dimension, of size `width`."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        super().__init__(*placing(config, "norm", width=width))

    def forward(self, x: Tensor) -> Tensor:
        """x (…, width) -> the same shape."""
        return self.check_like(self.call(x), x)


class CustomPositions(PlacedBlock):
    """A custom block in the place of a position scheme: see `position_module` for what it is given and returns."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(*placing(config, "position"))

    def forward(self, positions: Tensor, *others: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Positions or distances -> vectors, cos and sin, or a bias. others: what only built-in schemes are given."""
        return self.call(positions)  # type: ignore[no-any-return]
