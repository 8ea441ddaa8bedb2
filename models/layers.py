"""The building blocks of every topology: norms, rotary positions, short convolution, attention, feed-forward.

Letters in shape comments: B batch, T tokens (queries), S tokens seen (keys: past and present), C d_model,
H n_head, G n_kv_head, D head_dim, F d_ff, W conv_width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import ModelConfig
from models.inference.cache import LayerCache


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """A LayerNorm or RMSNorm over the last `width` numbers."""
    if config.norm == "rmsnorm":
        return RMSNorm(width, eps=config.norm_eps)
    return nn.LayerNorm(width, eps=config.norm_eps, bias=config.bias)


class RMSNorm(nn.RMSNorm):
    """As torch's, in its input's precision: bfloat16 (QK-norm under autocast) with a float32 weight is slow."""

    def forward(self, x: Tensor) -> Tensor:
        """x (…, width) -> the same shape and dtype."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Rotary(nn.Module):
    """Rotary position embedding (RoFormer, arXiv:2104.09864), in the half-split layout that LLaMA uses.

    The angles are computed per call: cheap at our sizes, and no table limits or travels with the weights.
    """

    inverse_frequency: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        self.register_buffer("inverse_frequency", config.rope_theta**-exponent, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions (B or 1, T) -> cos and sin, each (B or 1, 1, T, D), float32."""
        angles = positions[:, None, :, None].float() * self.inverse_frequency  # (B, 1, T, D/2)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


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


class _ShortConvolution(torch.autograd.Function):
    """x (B, T, C) plus the sum of its last W tokens, each times its row of `weight` (W, C).

    In place and token by token: on a CPU a third of the time, forward and backward, of torch's depthwise convolution.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        out = x * (weight[-1] + 1)
        for back in _reach(x, weight):
            out[:, back:].addcmul_(x[:, :-back], weight[-1 - back])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        for_x, for_weight = gradient * (weight[-1] + 1), torch.zeros_like(weight)
        torch.sum(gradient * x, dim=(0, 1), out=for_weight[-1])
        for back in _reach(x, weight):
            for_x[:, :-back].addcmul_(gradient[:, back:], weight[-1 - back])
            torch.sum(gradient[:, back:] * x[:, :-back], dim=(0, 1), out=for_weight[-1 - back])
        return for_x, for_weight


def _reach(x: Tensor, weight: Tensor) -> range:
    """How many tokens back the convolution reaches within x."""
    return range(1, min(weight.size(0), x.size(1)))


def _mix(padded: Tensor, weight: Tensor, length: int) -> Tensor:
    """The same for the last `length` tokens of padded (B, length + W - 1, C)."""
    past = weight.size(0) - 1
    out = padded[:, past:] * (weight[past] + 1)
    for back in range(1, past + 1):
        out.addcmul_(padded[:, past - back : past - back + length], weight[past - back])
    return out


class ShortConv(nn.Module):
    """A causal depthwise convolution over the last W tokens, added to its input: a Canon layer.

    Source: Physics of Language Models, part 4.1 (Allen-Zhu, 2025). It lets a token see its neighbours before attention,
    without which a small model is slow to learn to bind a name to what is said about it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.conv_width
        self.weight = nn.Parameter(torch.empty(config.conv_width, config.d_model))
        nn.init.uniform_(self.weight, -(self.width**-0.5), self.width**-0.5)

    def forward(self, x: Tensor, tail: Tensor | None, segments: Tensor | None) -> Tensor:
        """x (B, T, C) -> (B, T, C).

        `tail` holds the W - 1 inputs before x (B, W - 1, C), None = zeros. Where `segments` (B, T) is given, nothing
        crosses from one segment into the next.
        """
        past, weight = self.width - 1, self.weight.to(x.dtype)
        if segments is None and tail is None:
            apply: Callable[..., Tensor] = _ShortConvolution.apply
            return apply(x, weight)
        padded = F.pad(x, (0, 0, past, 0)) if tail is None else torch.cat((tail.to(x.dtype), x), dim=1)
        if segments is None:
            return _mix(padded, weight, x.size(1))
        out = x + x * weight[past]
        length = x.size(1)
        for back in range(1, self.width):
            same = F.pad(segments[:, back:] == segments[:, :-back], (min(back, length), 0))[:, :length]
            out = out + padded[:, past - back : past - back + length] * same[..., None] * weight[past - back]
        return out


class Attention(nn.Module):
    """Multi-head, grouped-query or multi-query self-attention, fused (scaled_dot_product_attention)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.kv_heads, config.head_dim
        self.dropout = config.dropout
        self.query = nn.Linear(config.d_model, config.n_head * config.head_dim, bias=config.bias)
        self.key = nn.Linear(config.d_model, config.kv_heads * config.head_dim, bias=config.bias)
        self.value = nn.Linear(config.d_model, config.kv_heads * config.head_dim, bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.query_norm = make_norm(config, config.head_dim) if config.qk_norm else None
        self.key_norm = make_norm(config, config.head_dim) if config.qk_norm else None

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor] | None, mask: Tensor | None, cache: LayerCache | None
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C); mask (B, 1, T, S) bool or None = plainly causal from an empty cache."""
        batch, length, width = x.shape
        q = self.query(x).view(batch, length, self.n_head, self.head_dim).transpose(1, 2)  # (B, H, T, D)
        k = self.key(x).view(batch, length, self.n_kv_head, self.head_dim).transpose(1, 2)  # (B, G, T, D)
        v = self.value(x).view(batch, length, self.n_kv_head, self.head_dim).transpose(1, 2)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        if x.device.type == "cpu" and v.dtype == torch.bfloat16:
            v = v.float()  # measured: the CPU's fused attention is three times as slow in bfloat16
        q, k = q.to(v.dtype), k.to(v.dtype)
        if cache is not None:
            k, v = cache.extend(k, v)  # (B, G, S, D)
        with torch.autocast(x.device.type, enabled=False):
            out = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=mask is None,
                enable_gqa=self.n_kv_head != self.n_head,
            )
        return self.output(out.to(x.dtype).transpose(1, 2).reshape(batch, length, width))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Position-wise feed-forward: two matrices, or three where the activation is gated (SwiGLU, arXiv:2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.gate = (
            nn.Linear(config.d_model, config.ff_width, bias=config.bias) if config.activation == "swiglu" else None
        )
        self.up = nn.Linear(config.d_model, config.ff_width, bias=config.bias)
        self.down = nn.Linear(config.ff_width, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, C) -> (B, T, C)."""
        h = self.up(x)  # (B, T, F)
        if self.gate is not None:
            h = F.silu(self.gate(x)) * h
        elif self.activation == "relu2":
            h = F.relu(h).square()
        elif self.activation == "relu":
            h = F.relu(h)
        else:
            h = F.gelu(h, approximate="tanh" if self.activation == "gelu_tanh" else "none")
        return self.down(h)  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer of the stack: attention and feed-forward, each normed before and added back to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.d_model)
        self.attention_conv = ShortConv(config) if config.conv_width else None
        self.attention = Attention(config)
        self.feed_forward_norm = make_norm(config, config.d_model)
        self.feed_forward_conv = ShortConv(config) if config.conv_width else None
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        segments: Tensor | None,
        cache: LayerCache | None,
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C)."""
        h = _convolve(self.attention_conv, self.attention_norm(x), cache, "attention", segments)
        x = x + self.dropout(self.attention(h, rotation, mask, cache))
        h = _convolve(self.feed_forward_conv, self.feed_forward_norm(x), cache, "feed_forward", segments)
        return x + self.dropout(self.feed_forward(h))  # type: ignore[no-any-return]


def _convolve(
    conv: ShortConv | None, x: Tensor, cache: LayerCache | None, site: str, segments: Tensor | None
) -> Tensor:
    """Apply `conv`, where there is one, continuing from the inputs that the cache kept for `site`."""
    if conv is None:
        return x
    tail = None if cache is None else cache.shift(site, x, conv.width - 1)
    return conv(x, tail, segments)  # type: ignore[no-any-return]
