"""One traced pass over a text that hands on each layer's attention as it is made, a few rows at a time.

A causal stack reads its text in pieces, with a cache between them, as it does when it writes: so that no more than the
weights of one layer and some rows are ever held, and whoever reads can stop in between. An encoder sees its whole text
at once, and must read it so.

Letters in shape comments: B rows of the batch, H heads, T tokens (queries), S tokens seen (keys).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.architecture.cache import KVCache
from models.architecture.masks import distances, within_reach
from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from models.inference.continuation import evaluating
from models.inference.prefill import PrefixCache
from models.inference.threads import ThreadTuner
from models.inspect.head_patterns import Floats, Seen
from models.settings.model_config import ModelConfig

PIECE = 128
"""Tokens that a causal stack reads at a time."""

MOST_WEIGHTS = 2**28
"""Weights of one layer that may be made at once, 1 GiB: an encoder with 12 heads reads 4,700 tokens."""

Take = Callable[[str, int, Floats], None]
"""Given a site, the number of the first row, and weights (B, H, rows, S); S is what has been read so far."""


@dataclass(frozen=True, kw_only=True)
class AttentionStack:
    """All layers' attention of one kind: "self", or of an encoder-decoder "encoder", "decoder" or "cross"."""

    kind: str
    config: ModelConfig
    sites: tuple[str, ...]
    n_queries: int
    n_keys: int

    @property
    def is_causal(self) -> bool:
        """Whether tokens see only what comes before them, and themselves."""
        return self.kind != "cross" and self.config.is_causal

    def n_seen(self, end: int) -> int:
        """Keys that there are once the rows up to `end` have been read."""
        return end if self.is_causal else self.n_keys

    def seen(self, start: int, end: int) -> Seen:
        """Rows `start` to `end` of the mask: (rows, n_seen(end)), whether a key may be seen."""
        if self.kind == "cross":
            return np.ones((end - start, self.n_keys), np.bool_)
        cpu = torch.device("cpu")
        distance = distances(end - start, start, cpu) if self.is_causal else distances(self.n_keys, 0, cpu)[start:end]
        allowed: Seen = within_reach(self.config, distance).numpy()
        return allowed


def stacks_of(model: AnyModel, n_ids: int, n_source: int) -> tuple[AttentionStack, ...]:
    """What a model with such texts has to show.

    Raises:
        ValueError: where there is no text, or an encoder's is too long to be looked into.
    """
    config = model.config
    if not n_ids or (isinstance(model, EncoderDecoder) and not n_source):
        raise ValueError("There is no text to look into: write one first.")

    def stack(kind: str, site: str, config: ModelConfig, n_queries: int, n_keys: int) -> AttentionStack:
        if not config.is_causal and config.n_head * n_queries * n_keys > MOST_WEIGHTS:
            most = int((MOST_WEIGHTS / config.n_head) ** 0.5)
            raise ValueError(
                f"The encoder reads its {n_keys:,} tokens at once, too many to hold the attention of: shorten the text "
                f"to {most:,}."
            )
        sites = tuple(site.format(i) for i in range(config.n_layer))
        return AttentionStack(kind=kind, config=config, sites=sites, n_queries=n_queries, n_keys=n_keys)

    if not isinstance(model, EncoderDecoder):
        return (stack("self", "blocks.{}.attention", config, n_ids, n_ids),)
    return (
        stack("encoder", "encoder.blocks.{}.attention", config.encoder(), n_source, n_source),
        stack("decoder", "decoder.blocks.{}.attention", config, n_ids, n_ids),
        stack("cross", "decoder.blocks.{}.cross_attention", config, n_ids, n_source),
    )


def read_attention_of(
    model: AnyModel,
    texts: Sequence[Sequence[int]],
    source_ids: Sequence[int],
    take: Take,
    *,
    start: int = 0,
    end: int | None = None,
    prefix_cache: PrefixCache | None = None,
) -> Iterator[int]:
    """Read texts of one length; `take` is given all weights of rows `start` to `end`, which are gone afterwards.

    Yields how many tokens have been read, after each piece. The encoder's rows are told whatever `start` and `end`.
    What stands before `start` is not read again where a decoder has read the one text before.

    Raises:
        ValueError: where a text does not fit the context, holds no ids of the vocabulary, or the weights are NaN.
    """
    device = model.embedding.weight.device
    ids = torch.tensor([list(text) for text in texts], device=device)
    if isinstance(model, Encoder):
        with evaluating(model):
            model.hidden(ids, trace=_trace_into(take, 0))
        yield ids.size(1)
        return
    source = torch.tensor([list(source_ids)] * len(texts), device=device)
    cache, tuner = KVCache(model.config.n_layer), ThreadTuner(is_small=False)
    if prefix_cache is not None and isinstance(model, Decoder):
        known = prefix_cache.lookup(model, ids[0].tolist())
        cache = known.beginning(start) if 0 < start < known.length else known
        if not start:
            cache.cut(0)
    at, end = cache.length, ids.size(1) if end is None else end
    while at < end:
        upto = min(at + PIECE, end) if at >= start else min(at + PIECE, start)
        trace = _trace_into(take, at) if at >= start else None
        texts_read = (source, ids[:, at:upto]) if isinstance(model, EncoderDecoder) else (ids[:, at:upto],)
        with evaluating(model):
            tuner.run(functools.partial(model.hidden, *texts_read, cache=cache, trace=trace))
        at = upto
        yield at


def read_encoder_of(model: EncoderDecoder, source_ids: Sequence[int], take: Take) -> None:
    """Read an encoder-decoder's source alone; errors as above."""
    with evaluating(model):
        model.encode(torch.tensor([list(source_ids)], device=model.embedding.weight.device), trace=_trace_into(take, 0))


def _trace_into(take: Take, first: int) -> Trace:
    def check_and_take(site: str, weights: Tensor) -> None:
        if not weights.isfinite().all():
            raise ValueError(
                f"The attention at {site} is not a number: this model's training went wrong. Choose an earlier "
                "checkpoint or another model."
            )
        take(site, first, weights.numpy(force=True))

    trace = Trace(frozenset({"attention"}))
    trace.attention = _HandedOn(check_and_take)
    return trace


class _HandedOn(dict[str, Tensor]):
    """Stands where a trace would hold every layer's weights, and hands each on instead."""

    def __init__(self, take: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, site: str, weights: Tensor) -> None:
        self._take(site, weights)
