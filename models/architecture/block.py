"""The block of every topology: attention, in a decoder over an encoder cross-attention, and feed-forward.

Letters in shape comments: B batch, T tokens, S source tokens, C d_model.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.architecture.attention import Attention, View
from models.architecture.cache import LayerCache
from models.architecture.convolution import ShortConv, convolve
from models.architecture.experts import FeedForward, MixtureOfExperts
from models.architecture.norms import make_norm
from models.architecture.trace import Trace
from models.settings.model_config import ModelConfig


class Block(nn.Module):
    """One layer of a stack. Each part's result is added back to the residual stream.

    The norm stands before the part ("pre"), or after the sum ("post").
    """

    def __init__(self, config: ModelConfig, *, has_cross: bool = False) -> None:
        super().__init__()
        self.is_pre = config.norm_place == "pre"
        self.attention_norm = make_norm(config, config.d_model)
        self.attention_conv = ShortConv(config) if config.conv_width else None
        self.attention = Attention(config)
        self.cross_attention_norm = make_norm(config, config.d_model) if has_cross else None
        self.cross_attention = Attention(config) if has_cross else None
        self.feed_forward_norm = make_norm(config, config.d_model)
        self.feed_forward_conv = ShortConv(config) if config.conv_width else None
        self.feed_forward = MixtureOfExperts(config) if config.n_expert else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        view: View,
        *,
        segments: Tensor | None = None,
        cache: LayerCache | None = None,
        memory: Tensor | None = None,
        memory_view: View | None = None,
        trace: Trace | None = None,
        site: str = "",
    ) -> Tensor:
        """x (B, T, C) -> (B, T, C).

        Args:
            view: what the block's tokens see of each other; `memory_view`: what they see of `memory` (B, S, C).
            segments: (B, T) long, which the short convolutions do not reach across.
            memory: the encoder's result; None where the cache already has its keys and values.
            site: the block's path, for the trace.
        """

        def attend(h: Tensor) -> Tensor:
            h = convolve(self.attention_conv, h, cache, "attention", segments)
            return self.attention(h, view, cache, trace=trace, site=f"{site}.attention")  # type: ignore[no-any-return]

        def cross_attend(h: Tensor) -> Tensor:
            assert self.cross_attention is not None
            assert memory_view is not None
            where = f"{site}.cross_attention"
            out: Tensor = self.cross_attention(h, memory_view, cache, memory, is_cross=True, trace=trace, site=where)
            return out

        def feed(h: Tensor) -> Tensor:
            h = convolve(self.feed_forward_conv, h, cache, "feed_forward", segments)
            return self.feed_forward(h, trace, f"{site}.feed_forward")  # type: ignore[no-any-return]

        x = self._add(x, self.attention_norm, attend, trace, f"{site}.attention")
        if self.cross_attention_norm is not None:
            x = self._add(x, self.cross_attention_norm, cross_attend, trace, f"{site}.cross_attention")
        x = self._add(x, self.feed_forward_norm, feed, trace, f"{site}.feed_forward")
        if trace is not None and "residual" in trace.wanted:
            trace.residual[site] = x
        return x

    def _add(
        self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor], trace: Trace | None, site: str
    ) -> Tensor:
        out = part(norm(x) if self.is_pre else x)
        if trace is not None:
            out = trace.follow_part(site, out)
        x = x + self.dropout(out)
        return x if self.is_pre else norm(x)
