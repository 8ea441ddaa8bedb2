"""The Transformer block: self-attention, cross-attention in an encoder-decoder's decoder, and feed-forward.

Letters in shape comments: B batch, T tokens, S source tokens, C d_model.

Letters in shape comments: B batch, T tokens, S tokens with those in the cache, C d_model, H n_head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from terrarium.models.architecture.attention import Attention, AttentionContext
from terrarium.models.architecture.cache import LayerCache
from terrarium.models.architecture.convolution import ShortConv, convolve
from terrarium.models.architecture.custom import CustomFeedForward
from terrarium.models.architecture.experts import FeedForward, MixtureOfExperts
from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.trace import Trace
from terrarium.models.custom_blocks.loading import PlacedBlock, PositionHelp, placing
from terrarium.models.custom_blocks.store import check_positions
from terrarium.models.settings.model_config import ModelConfig


class Block(nn.Module):
    """A layer of a stack. The output of each sublayer is added to the residual stream.

    The norm comes before the sublayer (pre-norm), or after the sum (post-norm).
    """

    def __init__(self, config: ModelConfig, *, has_cross: bool = False, layer: int = 0) -> None:
        super().__init__()
        self.is_pre = config.norm_place == "pre"
        self.attention_norm = make_norm(config, config.d_model)
        self.attention_conv = ShortConv(config) if config.conv_width else None
        # Typed as the built-in parts: what reads their matrices is only for designs without custom blocks.
        self.attention: Attention = _attention(config, layer)
        self.cross_attention_norm = make_norm(config, config.d_model) if has_cross else None
        self.cross_attention = Attention(config) if has_cross else None
        self.feed_forward_norm = make_norm(config, config.d_model)
        self.feed_forward_conv = ShortConv(config) if config.conv_width else None
        self.feed_forward: FeedForward | MixtureOfExperts = _feed_forward(config, layer)
        self.dropout = nn.Dropout(config.dropout)
        self.recomputes = False
        """Whether activation checkpointing is on: a training forward pass saves only the block's input, and the
        backward pass recomputes the rest, with the same dropout (Chen et al., “Training Deep Nets with Sublinear Memory
        Cost”, 2016, arXiv:1604.06174)."""

    def forward(self, x: Tensor, context: AttentionContext, *, trace: Trace | None = None, **more: Any) -> Tensor:
        """x (B, T, C) -> (B, T, C), or (N, C) with `keep`. For the arguments see `compute`."""
        is_training = torch.is_grad_enabled() and more.get("cache") is None
        if not (self.recomputes and is_training and (trace is None or trace.wanted <= {"router"})):
            return self.compute(x, context, trace=trace, **more)
        traces = [trace]  # used only in the forward pass: the loss depends on what it collects

        def compute(x: Tensor) -> Tensor:
            return self.compute(x, context, trace=traces.pop() if traces else None, **more)

        return checkpoint(  # type: ignore[no-any-return]
            compute, x, use_reentrant=False, preserve_rng_state=self.dropout.p > 0
        )

    def compute(
        self,
        x: Tensor,
        context: AttentionContext,
        *,
        segments: Tensor | None = None,
        cache: LayerCache | None = None,
        memory: Tensor | None = None,
        memory_context: AttentionContext | None = None,
        trace: Trace | None = None,
        site: str = "",
        keep: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C), or (N, C) with `keep`.

        Args:
            context: mask and rotation of self-attention; `memory_context`: of cross-attention.
            segments: (B, T) long; the short convolutions do not cross segment boundaries.
            memory: the encoder's output (B, S, C); None if the cache already has its keys and values.
            site: the block's path, for the trace.
            keep: (N) long; indices of the B·T tokens whose states are returned; not with a trace. Apart from the short
                convolution, tokens do not interact after attention, so only these go through the feed-forward.
        """

        def attend(h: Tensor) -> Tensor:
            h = convolve(self.attention_conv, h, cache, "attention", segments)
            return self.attention(h, context, cache, trace=trace, site=f"{site}.attention")  # type: ignore[no-any-return]

        def cross_attend(h: Tensor) -> Tensor:
            assert self.cross_attention is not None
            assert memory_context is not None
            where = f"{site}.cross_attention"
            out: Tensor = self.cross_attention(h, memory_context, cache, memory, is_cross=True, trace=trace, site=where)
            return out

        def feed(h: Tensor) -> Tensor:
            h = convolve(self.feed_forward_conv, h, cache, "feed_forward", segments)
            return self.feed_forward(h, trace, f"{site}.feed_forward")  # type: ignore[no-any-return]

        x = self._add(x, self.attention_norm, attend, trace, f"{site}.attention")
        if self.cross_attention_norm is not None:
            x = self._add(x, self.cross_attention_norm, cross_attend, trace, f"{site}.cross_attention")
        if keep is not None:
            return self._feed_some(x, keep, cache, segments)
        x = self._add(x, self.feed_forward_norm, feed, trace, f"{site}.feed_forward")
        if trace is not None and "residual" in trace.wanted:
            trace.residual[site] = x
        return x

    def _feed_some(self, x: Tensor, keep: Tensor, cache: LayerCache | None, segments: Tensor | None) -> Tensor:
        """Apply the feed-forward sublayer to the tokens `keep`: x (B, T, C) -> (N, C)."""
        kept = x.flatten(0, 1).index_select(0, keep)
        if self.feed_forward_conv is None:
            h = self.feed_forward_norm(kept) if self.is_pre else kept
        else:
            h = self.feed_forward_norm(x) if self.is_pre else x
            h = convolve(self.feed_forward_conv, h, cache, "feed_forward", segments).flatten(0, 1).index_select(0, keep)
        kept = kept + self.dropout(self.feed_forward(h))
        return kept if self.is_pre else self.feed_forward_norm(kept)  # type: ignore[no-any-return]

    def _add(
        self, x: Tensor, norm: nn.Module, sublayer: Callable[[Tensor], Tensor], trace: Trace | None, site: str
    ) -> Tensor:
        out = sublayer(norm(x) if self.is_pre else x)
        if trace is not None:
            out = trace.intercept_part(site, out)
        x = x + self.dropout(out)
        return x if self.is_pre else norm(x)


def _attention(config: ModelConfig, layer: int) -> Any:
    return CustomAttention(config, layer) if config.attention_block else Attention(config)


def _feed_forward(config: ModelConfig, layer: int) -> Any:
    if config.feed_forward_block:
        return CustomFeedForward(config, layer)
    return MixtureOfExperts(config) if config.n_expert else FeedForward(config)


def recompute_blocks(model: nn.Module, recomputes: bool) -> None:
    """Turn activation checkpointing of all blocks of a model on or off (`Block.recomputes`)."""
    for module in model.modules():
        if isinstance(module, Block):
            module.recomputes = recomputes


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
