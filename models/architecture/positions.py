"""Position encodings: RoPE, sinusoidal and learned embeddings, ALiBi, T5's relative position bias, and FIRE.

Letters in shape comments: B batch, T tokens (queries), S keys, C d_model, H n_head, D head_dim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.custom import CustomPositions
from terrarium.models.architecture.rope import (
    FIRE_C,
    alibi_slopes,
    attention_factor,
    fire_threshold,
    rope_base,
    scale_frequencies,
)
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import FIRE_WIDTH, POSITIONS, scheme_of
from terrarium.models.settings.slots import check_complete


def sinusoidal(positions: Tensor, width: int) -> Tensor:
    """Compute sinusoidal encodings: positions (…) -> (…, width) float32, sines and cosines interleaved.

    Source: Attention Is All You Need, section 3.5.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    angles = positions[..., None].float() * 10_000.0**-exponents
    waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
    return waves[..., :width]


class LearnedPositions(nn.Embedding):
    """A learned vector for each position, added to the token embeddings."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.context_length, config.d_model)


class Sinusoids(nn.Module):
    """Sinusoidal position encodings, added to the token embeddings."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._width = config.d_model

    def forward(self, positions: Tensor) -> Tensor:
        """positions (…) -> (…, C) float32."""
        return sinusoidal(positions, self._width)


class Rotary(nn.Module):
    """Rotary position embedding (RoFormer, arXiv:2104.09864), in the half-split layout that LLaMA uses.

    The angles are computed in each call, which is cheap at these sizes and needs no table of limited length.
    """

    inverse_frequency: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self.register_buffer("inverse_frequency", inverse_frequencies(config), persistent=False)
        self._factor = attention_factor(config)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions (B or 1, T) -> cos and sin, each (B or 1, 1, T, D), float32."""
        frequencies = self.inverse_frequency
        if self._config.rope_scaling == "dynamic":
            length = int(positions.max()) + 1
            frequencies = inverse_frequencies(self._config, length).to(positions.device)
        angles = positions[:, None, :, None].float() * frequencies  # (B, 1, T, D/2)
        angles = torch.cat((angles, angles), dim=-1)
        if self._factor == 1.0:
            return angles.cos(), angles.sin()
        return angles.cos() * self._factor, angles.sin() * self._factor


def inverse_frequencies(config: ModelConfig, length: int = 0) -> Tensor:
    """Compute the radians per token of each pair (D/2), on the CPU, scaled according to config.rope_scaling.

    Only "dynamic" scaling depends on `length`.
    """
    pairs = torch.arange(config.head_dim // 2, dtype=torch.float32, device="cpu")
    plain: Tensor = rope_base(config, length) ** -(2 * pairs / config.head_dim)
    frequencies: Tensor = scale_frequencies(plain, pairs, config)
    return frequencies


class _Rotation(torch.autograd.Function):
    """A fused rotation of pairs: a third of the time of autograd's own chain of multiplications.

    The gradient of a rotation is the inverse rotation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotate(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotate(gradients[0], cos, -sin), None, None


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.size(-1) // 2
    out = x * cos
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x[i], x[i + D/2]) of x (B, H, T, D) by the angles of their positions, in the dtype of x."""
    apply: Callable[..., Tensor] = _Rotation.apply
    return apply(x, cos.to(x.dtype), sin.to(x.dtype))


class Alibi(nn.Module):
    """A penalty on attention scores proportional to the distance, with a slope per head (ALiBi, arXiv:2108.12409)."""

    slopes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(alibi_slopes(config.n_head), device="cpu"), persistent=False)

    def forward(self, distance: Tensor, positions: Tensor | None = None) -> Tensor:
        """distance, key - query (T, S) long -> bias of the scores (1, H, T, S)."""
        return -self.slopes[None, :, None, None] * distance.abs().to(self.slopes.dtype)


class RelativeBias(nn.Module):
    """A learned bias per head and distance bucket, added to attention scores (T5, arXiv:1910.10683, section 2.1).

    One table serves all layers of a stack.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self.weight = nn.Parameter(torch.empty(config.n_bucket, config.n_head))

    def forward(self, distance: Tensor, positions: Tensor | None = None) -> Tensor:
        """distance, key - query (T, S) long -> bias of the scores (1, H, T, S)."""
        bucket = relative_bucket(
            distance, self._config.n_bucket, self._config.max_distance, both_ways=not self._config.is_causal
        )
        return self.weight[bucket].permute(2, 0, 1)[None]


class Fire(nn.Module):
    """A bias of attention scores by a small network of the distance, relative to the length of the text so far.

    Source: Li et al., "Functional Interpolation for Relative Positions Improves Long Context Transformers" (2023,
    arXiv:2310.04418). The distance is divided by the query's position, or by a learned threshold if that is larger,
    after a logarithm of both; so distances in longer texts stay within the range that was trained. For a key after the
    query, as an encoder has it, the key's position counts instead, which makes the bias symmetric. At first c is 0.1,
    and the threshold is a quarter of the context (the paper: 512 of 2,048). Both are positive, so their logarithms are
    learned. One network serves all layers of a stack; it has no bias per head, which softmax would cancel.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.log_c = nn.Parameter(torch.tensor([math.log(FIRE_C)]))
        self.log_threshold = nn.Parameter(torch.tensor([math.log(fire_threshold(config))]))
        self.scale = nn.Parameter(torch.empty(FIRE_WIDTH))
        self.shift = nn.Parameter(torch.empty(FIRE_WIDTH))
        self.weight = nn.Parameter(torch.empty(FIRE_WIDTH, config.n_head))
        nn.init.uniform_(self.scale, -1.0, 1.0)
        nn.init.uniform_(self.shift, -1.0, 1.0)

    def forward(self, distance: Tensor, positions: Tensor) -> Tensor:
        """distance, key - query (T, S) long; positions of the queries (B or 1, T) -> bias (B or 1, H, T, S)."""
        query = positions[:, :, None]
        c, threshold = self.log_c.float().exp(), self.log_threshold.float().exp()
        farthest = torch.maximum(torch.maximum(query, query + distance), threshold)  # (B or 1, T, S)
        relative = torch.log1p(c * distance.abs()) / torch.log1p(c * farthest)
        hidden = F.relu(relative[..., None].to(self.scale.dtype) * self.scale + self.shift)
        return (hidden @ self.weight).permute(0, 3, 1, 2)


def relative_bucket(distance: Tensor, n_bucket: int, max_distance: int, *, both_ways: bool) -> Tensor:
    """Compute T5's bucket of each distance (key - query): one per short distance, logarithmically wider beyond.

    With `both_ways`, half of the buckets are for keys after the query; otherwise those are all in bucket 0.
    """
    offset = torch.zeros_like(distance)
    if both_ways:
        n_bucket //= 2
        offset = (distance > 0).long() * n_bucket
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = n_bucket // 2
    share = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (share * (n_bucket - exact)).long()).clamp(max=n_bucket - 1)
    return offset + torch.where(distance < exact, distance, far)


_MODULES: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "learned": LearnedPositions,
    "sinusoidal": Sinusoids,
    "rope": Rotary,
    "alibi": Alibi,
    "t5": RelativeBias,
    "fire": Fire,
}
check_complete(
    _MODULES, (name for name, scheme in POSITIONS.items() if scheme.applied_to), "modules of position schemes"
)


def position_module(config: ModelConfig, applied_to: str) -> nn.Module | None:
    """Build the module of a stack's position scheme if the scheme is applied to `applied_to`, else return None.

    "embeddings": positions (…) -> added vectors (…, C). "queries": positions (B or 1, T) -> cos and sin, as in
    `Rotary`. "scores": distances (T, S) and positions (B or 1, T) -> added bias (B or 1, H, T, S).
    """
    if scheme_of(config).applied_to != applied_to:
        return None
    return CustomPositions(config) if config.position_block else _MODULES[config.position](config)
