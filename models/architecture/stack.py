"""The stack of every topology: positions, blocks and final norm.

Letters in shape comments: B batch, T tokens, S keys (past and present), C d_model.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from terrarium.models.architecture.attention import AttentionContext
from terrarium.models.architecture.block import Block
from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.inputs import check_cache, check_mask, check_per_token, look_up
from terrarium.models.architecture.masks import cross_attention_mask, distances, self_attention_mask
from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.positions import position_module
from terrarium.models.architecture.trace import Trace
from terrarium.models.settings.model_config import ModelConfig


class Stack(nn.Module):
    """Positions, blocks and final norm: from token embeddings to hidden states."""

    def __init__(self, config: ModelConfig, *, has_cross: bool = False, site: str = "") -> None:
        super().__init__()
        self.config = config
        self.site = site
        self.position = position_module(config, "embeddings")
        self.rotary = position_module(config, "queries")
        self.score_bias = position_module(config, "scores")
        self.embedding_norm = make_norm(config, config.d_model) if config.embedding_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, has_cross=has_cross, layer=layer) for layer in range(config.n_layer))
        self.final_norm = make_norm(config, config.d_model) if config.norm_place == "pre" else None

    def transform(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        packing: Tensor | None = None,
        cache: KVCache | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        trace: Trace | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Token embeddings (B, T, C) -> hidden states (B, T, C). Arguments as in `Decoder.forward`; packing: segments.

        keep: (N) long, indices into the B·T tokens; only their states (N, C) are returned, and the last feed-forward is
        computed only for them. Not with a trace.

        Raises:
            ValueError: if the tokens do not fit the context, a mask or position is malformed, packing is given with a
                non-empty cache, or the cache is of another model or batch size.
        """
        assert keep is None or trace is None
        length, past = x.size(1), cache.length if cache is not None else 0
        if past + length > self.config.context_length:
            raise ValueError(
                f"{past + length} tokens do not fit the context of {self.config.context_length}: shorten the text."
            )
        if packing is not None and past:
            raise ValueError("segments cannot be given with a cache that holds tokens: read the sequences at once.")
        shape = x.shape[:2]
        check_cache(cache, self.config.n_layer, x.size(0))
        check_mask(mask, shape)
        if memory is not None:
            check_mask(memory_mask, memory.shape[:2])
        elif cache is not None:
            check_mask(memory_mask, (x.size(0), cache.source_length))
        if positions is None:
            positions = torch.arange(past, past + length, device=x.device)
        positions = positions[None] if positions.dim() == 1 else positions
        check_per_token(positions, shape, "Positions")
        check_per_token(packing, shape, "Segments")
        x = self._enter(x, positions, trace)
        apart = packing  # segments of the short convolutions, in which padding is a segment of its own
        if mask is not None and not past:
            apart = mask.long() if packing is None else 2 * packing + mask
        seen = _seen_mask(mask, cache, x)
        if cache is not None and self.config.attention_block:  # such a block reads its earlier inputs again
            positions, past = cache.extend_positions(positions.expand(x.size(0), -1)), 0
        context = self.attention_context(positions, seen, packing, past)
        without_rotation = dataclasses.replace(context, rotation=None)
        memory_context = AttentionContext(mask=cross_attention_mask(memory_mask))
        for i, block in enumerate(self.blocks):
            site = f"{self.site}blocks.{i}"
            if trace is not None and site in trace.known:
                x = trace.known[site]
                continue
            x = block(
                x,
                context if self.config.rotates(i) else without_rotation,
                segments=apart,
                cache=cache.layers[i] if cache is not None else None,
                memory=memory,
                memory_context=memory_context,
                trace=trace,
                site=site,
                keep=keep if i == len(self.blocks) - 1 else None,
            )
        return x if self.final_norm is None else self.final_norm(x)

    def _enter(self, x: Tensor, positions: Tensor, trace: Trace | None) -> Tensor:
        """Compute the start of the residual stream: embeddings plus positions, with the norm and dropout."""
        if isinstance(self.position, nn.Embedding):
            x = x + look_up(self.position, positions, "Positions")
        elif self.position is not None:
            x = x + self.position(positions).to(x.dtype)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if trace is not None:
            x = trace.intercept_embedding(f"{self.site}embedding", x)
        return self.dropout(x)  # type: ignore[no-any-return]

    def attention_context(
        self, positions: Tensor, mask: Tensor | None = None, packing: Tensor | None = None, past: int = 0
    ) -> AttentionContext:
        """Return mask and rotation for tokens at `positions` (B or 1, T), after `past` others.

        mask: (B, S). packing: (B, T). Distances are differences of indices in the row, not of positions, since padding
        shifts query and key alike.
        """
        distance = distances(positions.size(1), past, positions.device)
        allowed = self_attention_mask(self.config, distance, mask, packing)
        rotation = self.rotary(positions) if self.rotary is not None else None
        if self.score_bias is None:
            return AttentionContext(mask=allowed, causal=self.config.is_causal, rotation=rotation)
        if allowed is None and self.config.is_causal:
            allowed = (distance <= 0)[None, None]
        bias = self.score_bias(distance, positions)  # (B or 1, H, T, S)
        return AttentionContext(mask=bias if allowed is None else bias.masked_fill(~allowed, -torch.inf))


def _seen_mask(mask: Tensor | None, cache: KVCache | None, x: Tensor) -> Tensor | None:
    """Append `mask` to the cache's mask, and return the mask of all keys, (B, S) bool; None = no padding."""
    if cache is None or (mask is None and cache.mask is None):
        return mask
    present = mask if mask is not None else torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    before = cache.mask if cache.mask is not None else present.new_ones(x.size(0), cache.length)
    cache.mask = torch.cat((before, present), dim=1)
    return cache.mask
