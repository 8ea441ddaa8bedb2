"""LayerNorm and RMSNorm, as the design asks for them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.settings.model_config import ModelConfig


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """A LayerNorm or RMSNorm over the last `width` numbers."""
    if config.norm == "rmsnorm":
        return RMSNorm(width, eps=config.norm_eps)
    return nn.LayerNorm(width, eps=config.norm_eps, bias=config.norm_bias)


class RMSNorm(nn.RMSNorm):
    """As torch's, in its input's precision: bfloat16 (QK-norm under autocast) with a float32 weight is slow."""

    def forward(self, x: Tensor) -> Tensor:
        """x (…, width) -> the same shape and dtype."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)
