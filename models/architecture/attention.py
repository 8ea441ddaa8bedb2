"""Attention: multi-head, grouped-query (arXiv:2305.13245) or multi-query; self-attention or cross-attention.

Letters in shape comments: B batch, T tokens (queries), S keys, C d_model, H n_head, G n_kv_head, D head_dim.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.cache import LayerCache
from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.positions import rotate
from terrarium.models.architecture.trace import Trace
from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True)
class AttentionContext:
    """The mask and the rotation that all attention layers of a stack share in one forward pass."""

    mask: Tensor | None = None
    """(B or 1, 1 or H, T, S): bool, True = may be attended to; or float, added to the scores."""
    causal: bool = False
    """Whether attention is causal if `mask` is None."""
    rotation: tuple[Tensor, Tensor] | None = None
    """RoPE's cos and sin for queries and keys, each (B or 1, 1, T, D)."""


class Attention(nn.Module):
    """Scaled dot-product attention (Attention Is All You Need, section 3.2), fused unless the weights are traced."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.kv_heads, config.head_dim
        self.dropout = config.dropout
        self.scale = config.head_dim**-0.5 if config.scaled_scores else 1.0
        width, inner, bias = config.d_model, config.n_head * config.head_dim, config.attention_bias
        self.query = nn.Linear(width, inner, bias=bias)
        self.key = nn.Linear(width, config.kv_heads * config.head_dim, bias=bias)
        self.value = nn.Linear(width, config.kv_heads * config.head_dim, bias=bias)
        self.output = nn.Linear(inner, width, bias=bias)
        self.query_norm = make_norm(config, config.head_dim) if config.qk_norm else None
        self.key_norm = make_norm(config, config.head_dim) if config.qk_norm else None

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
        """x (B, T, C) -> (B, T, C).

        With `is_cross`, keys and values come from `memory` (B, S, C), or from the cache if it has them.
        """
        batch, length, _ = x.shape
        q = self._split(self.query(x), self.query_norm)  # (B, H, T, D)
        if is_cross and cache is not None and cache.cross is not None:
            k, v = cache.cross
        else:
            source = memory if is_cross else x
            assert source is not None
            k, v = self._split(self.key(source), self.key_norm), self._split(self.value(source), None)  # (B, G, S, D)
            if context.rotation is not None:
                k = rotate(k, *context.rotation)
        if context.rotation is not None:
            q = rotate(q, *context.rotation)
        if x.device.type == "cpu" and v.dtype == torch.bfloat16:
            v = v.float()  # measured: the CPU's fused attention is three times as slow in bfloat16
        q, k = q.to(v.dtype), k.to(v.dtype)
        if cache is not None and is_cross:
            cache.cross = k, v
        elif cache is not None:
            k, v = cache.extend(k, v)  # (B, G, S, D)
        out = self._attend(q, k, v, context, trace, site)
        if trace is not None:
            out = trace.intercept_heads(site, out)
        return self.output(out.to(x.dtype).transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]

    def _split(self, x: Tensor, norm: nn.Module | None) -> Tensor:
        """Split into heads: (B, T, n·D) -> (B, n, T, D), normalised if there is a norm. Normalising before the
        transposition avoids a copy."""
        heads = x.unflatten(-1, (-1, self.head_dim))
        return (heads if norm is None else norm(heads)).transpose(1, 2)  # type: ignore[no-any-return]

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, context: AttentionContext, trace: Trace | None, site: str
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        mask = context.mask if context.mask is None or context.mask.dtype == torch.bool else context.mask.to(q.dtype)
        with torch.autocast(q.device.type, enabled=False):
            if trace is None or "attention" not in trace.wanted:
                return F.scaled_dot_product_attention(
                    q,
                    k,
                    v,
                    attn_mask=mask,
                    dropout_p=dropout,
                    is_causal=context.causal and mask is None,
                    scale=self.scale,
                    enable_gqa=self.n_kv_head != self.n_head,
                )
            shared = self.n_head // self.n_kv_head
            scores = self.scale * q @ k.repeat_interleave(shared, dim=1).mT  # (B, H, T, S)
            if mask is not None and mask.dtype == torch.bool:
                scores = scores.masked_fill(~mask, -torch.inf)
            elif mask is not None:
                scores = scores + mask
            elif context.causal:
                scores = scores.masked_fill(~torch.ones_like(scores[0, 0], dtype=torch.bool).tril(), -torch.inf)
            weights = trace.attention[site] = torch.softmax(scores.float(), dim=-1)
            return F.dropout(weights, dropout).to(v.dtype) @ v.repeat_interleave(shared, dim=1)
