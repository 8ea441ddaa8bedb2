"""How a model knows the order of its tokens: rotation, waves, penalties and learned biases by distance.

Letters in shape comments: B batch, T tokens (queries), S tokens seen (keys), C d_model, H n_head, D head_dim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from models.architecture.rope import attention_factor, yarn_edges
from models.settings.model_config import ModelConfig


def sinusoidal(positions: Tensor, width: int) -> Tensor:
    """positions (…) -> (…, width) float32: sines and cosines in turn (Attention Is All You Need, section 3.5)."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) / width
    angles = positions[..., None].float() * 10_000.0**-exponents
    waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
    return waves[..., :width]


class Rotary(nn.Module):
    """Rotary position embedding (RoFormer, arXiv:2104.09864), in the half-split layout that LLaMA uses.

    The angles are computed per call: cheap at our sizes, and no table limits or travels with the weights.
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
    """Radians per token of each pair (D/2), on the CPU, stretched as config.rope_scaling says.

    `length` matters to "dynamic" only.

    Sources: linear, position interpolation (arXiv:2306.15595); dynamic, NTK-aware scaling as in Hugging Face's
    transformers; llama3, the Llama 3.1 release; yarn (arXiv:2309.00071).
    """
    width, theta, factor = config.head_dim, config.rope_theta, config.rope_factor
    if config.rope_scaling == "dynamic" and length > config.rope_original_context:
        growth = factor * length / config.rope_original_context - (factor - 1)
        theta *= growth ** (width / (width - 2))
    plain: Tensor = theta ** -(torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width)
    if config.rope_scaling == "linear":
        return plain / factor
    if config.rope_scaling == "llama3":
        turns = config.rope_original_context * plain / (2 * math.pi)
        low, high = config.rope_low_rotations, config.rope_high_rotations
        kept = ((turns - low) / (high - low)).clamp(0, 1)  # 1 = as it is, 0 = slowed down in full
        return plain / factor * (1 - kept) + plain * kept
    if config.rope_scaling == "yarn":
        first, last = yarn_edges(config)
        ramp = (torch.arange(width // 2, dtype=torch.float32, device="cpu") - first) / (last - first or 0.001)
        kept = 1 - ramp.clamp(0, 1)
        return plain / factor * (1 - kept) + plain * kept
    return plain


class _Rotation(torch.autograd.Function):
    """Rotates pairs in place of a chain of multiplications: a third of the time in training.

    The gradient of a rotation is the rotation back.
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
    """Rotate the pairs (x[i], x[i + D/2]) of x (B, H, T, D) by their position's angles; keeps the dtype of x."""
    apply: Callable[..., Tensor] = _Rotation.apply
    return apply(x, cos.to(x.dtype), sin.to(x.dtype))


def alibi_slopes(n_head: int) -> Tensor:
    """How fast each head's penalty grows with distance, (H) float32 (ALiBi, arXiv:2108.12409, appendix of its code).

    A geometric series from 2^(-8/n) for a power of two; other numbers of heads take every other one of the next series.
    """

    def series(n: int) -> list[float]:
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    power = 2 ** math.floor(math.log2(n_head))
    return torch.tensor(series(power) + series(2 * power)[0::2][: n_head - power], device="cpu")


class Alibi(nn.Module):
    """A penalty on attention scores in proportion to the distance between query and key, each head its own slope."""

    slopes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("slopes", alibi_slopes(config.n_head), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """distance, key - query (T, S) long -> what is added to scores (1, H, T, S)."""
        return -self.slopes[None, :, None, None] * distance.abs().to(self.slopes.dtype)


class RelativeBias(nn.Module):
    """A learned number per head and class of distance, added to attention scores (T5, arXiv:1910.10683, section 2.1).

    One table serves all layers of a stack.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self.weight = nn.Parameter(torch.empty(config.n_bucket, config.n_head))

    def forward(self, distance: Tensor) -> Tensor:
        """distance, key - query (T, S) long -> what is added to scores (1, H, T, S)."""
        bucket = relative_bucket(
            distance, self._config.n_bucket, self._config.max_distance, both_ways=not self._config.is_causal
        )
        return self.weight[bucket].permute(2, 0, 1)[None]


def relative_bucket(distance: Tensor, n_bucket: int, max_distance: int, *, both_ways: bool) -> Tensor:
    """T5's class of each distance (key - query): near ones have their own, farther ones share in a logarithmic way.

    With `both_ways`, half of the classes are for keys after the query; else those all fall into class 0.
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
