"""LayerNorm (arXiv:1607.06450) and RMSNorm (arXiv:1910.07467)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.custom import CustomNorm
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.slots import check_complete


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """Build the design's norm over the last dimension, of size `width`."""
    if config.norm_block:
        return CustomNorm(config, width)
    return _MAKERS[config.norm](config, width)


class RMSNorm(nn.RMSNorm):
    """torch's RMSNorm with its weight cast to the input's dtype: mixing bfloat16 and float32 is slow."""

    def forward(self, x: Tensor) -> Tensor:
        """x (…, width) -> the same shape and dtype."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


_MAKERS: dict[str, Callable[[ModelConfig, int], nn.Module]] = {
    "layernorm": lambda config, width: nn.LayerNorm(width, eps=config.norm_eps, bias=config.norm_bias),
    "rmsnorm": lambda config, width: RMSNorm(width, eps=config.norm_eps),
}
check_complete(_MAKERS, NORMS, "code of norms")
