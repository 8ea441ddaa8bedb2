"""A custom block in the place of self-attention (models.custom_blocks).

Letters in shape comments: B batch, T tokens, S tokens with those in the cache, C d_model, H n_head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from terrarium.models.architecture.attention import AttentionContext
from terrarium.models.architecture.cache import LayerCache
from terrarium.models.architecture.trace import Trace
from terrarium.models.custom_blocks.loading import PlacedBlock, PositionHelp, placing
from terrarium.models.custom_blocks.store import check_positions
from terrarium.models.settings.model_config import ModelConfig


class CustomAttention(PlacedBlock):
    """A custom block in the place of self-attention. It sees x and which tokens may attend to which.

    In generation, the cache holds its inputs, and it reads them all again for each token: right for every block, slower
    than keys and values.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(*placing(config, "attention", layer=layer))
        check_positions(self.about, config)

    def forward(
        self,
        x: Tensor,
        context: AttentionContext,
        cache: LayerCache | None = None,
        memory: Tensor | None = None,
        *,
        is_cross: bool = False,
        trace: Trace | None = None,
        site: str = "",
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C). context: of all S tokens, those in the cache included."""
        assert not is_cross
        seen = x if cache is None else cache.extend_inputs(x)  # (B, S, C)
        allowed, bias = _allowed(context, seen.size(1), x.device)
        out, weights = self.attend(seen, allowed, PositionHelp(context.rotation, bias))
        past = seen.size(1) - x.size(1)
        if weights is not None and trace is not None and "attention" in trace.wanted:
            trace.attention[site] = weights.float()[:, :, past:]
        return out[:, past:]


def _allowed(context: AttentionContext, n: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return which tokens may attend to which (B or 1, 1, S, S) bool, and the bias of scores (1, H, S, S) or None."""
    mask = context.mask
    if mask is None:
        allowed = torch.ones(1, 1, n, n, dtype=torch.bool, device=device)
        return allowed.tril() if context.causal else allowed, None
    if mask.dtype == torch.bool:
        return mask.expand(-1, -1, n, n), None
    allowed = (mask > -torch.inf).any(dim=1, keepdim=True)
    return allowed, mask.masked_fill(mask == -torch.inf, 0.0)
