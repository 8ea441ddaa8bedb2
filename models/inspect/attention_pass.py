"""A traced pass over a text that forwards each layer's attention as it is computed, a few rows at a time.

A causal stack reads its text in chunks with a KV cache, as in generation, so that only some rows of one layer are in
memory, and the caller can cancel in between. An encoder has to read its whole text in one pass.

Letters in shape comments: B rows of the batch, H heads, T tokens (queries), S tokens in the context (keys).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.masks import distances, within_reach
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inference.threads import ThreadTuner
from terrarium.models.inspect.head_patterns import Floats, Seen
from terrarium.models.settings.block_references import block_in
from terrarium.models.settings.model_config import ModelConfig

CHUNK_SIZE = 128
"""Number of tokens per chunk of a causal stack."""

MAX_WEIGHTS = 2**28
"""Maximum number of attention weights of one layer, 1 GiB: an encoder with 12 heads can read 4,700 tokens."""

RowCallback = Callable[[str, int, Floats], None]
"""Called with a site, the index of the first row, and weights (B, H, rows, S), where S tokens have been read so far."""


@dataclass(frozen=True, kw_only=True)
class AttentionStack:
    """All layers' attention of one kind: "self", or in an encoder-decoder "encoder", "decoder" or "cross"."""

    kind: str
    config: ModelConfig
    sites: tuple[str, ...]
    n_queries: int
    n_keys: int

    @property
    def is_causal(self) -> bool:
        """Whether tokens attend only to themselves and earlier tokens."""
        return self.kind != "cross" and self.config.is_causal

    def n_seen(self, end: int) -> int:
        """Return the number of keys after the rows up to `end` have been read."""
        return end if self.is_causal else self.n_keys

    def seen(self, start: int, end: int) -> Seen:
        """Return rows `start` to `end` of the mask: (rows, n_seen(end)), true where a key may be attended to."""
        if self.kind == "cross":
            return np.ones((end - start, self.n_keys), np.bool_)
        cpu = torch.device("cpu")
        distance = distances(end - start, start, cpu) if self.is_causal else distances(self.n_keys, 0, cpu)[start:end]
        allowed: Seen = within_reach(self.config, distance).numpy()
        return allowed


def stacks_of(model: AnyModel, n_ids: int, n_source: int) -> tuple[AttentionStack, ...]:
    """Return the attention stacks of a model for texts of these lengths.

    Raises:
        ValueError: if there is no text, or an encoder's text is too long to inspect.
    """
    config = model.config
    if not n_ids or (isinstance(model, EncoderDecoder) and not n_source):
        raise ValueError("There is no text to inspect: write one first.")

    def stack(kind: str, site: str, config: ModelConfig, n_queries: int, n_keys: int) -> AttentionStack:
        if not config.is_causal and config.n_head * n_queries * n_keys > MAX_WEIGHTS:
            limit = int((MAX_WEIGHTS / config.n_head) ** 0.5)
            raise ValueError(
                f"The attention of an encoder over {n_keys:,} tokens does not fit in memory: shorten the text to "
                f"{limit:,} tokens."
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


def check_weights(config: ModelConfig, sites: Iterable[str], found: Container[str]) -> None:
    """Raise ValueError if some of these sites are not among those whose weights were found: a custom block, which may
    return only its output, has none.
    """
    if any(site not in found for site in sites):
        block = block_in(config, "attention")
        assert block is not None
        raise ValueError(
            f"The attention of the block “{block.name}” cannot be shown, because the block returns only its output: a "
            "block that returns a pair, its output and its weights, can be looked into."
        )


def stream_attention(
    model: AnyModel,
    texts: Sequence[Sequence[int]],
    source_ids: Sequence[int],
    on_rows: RowCallback,
    *,
    start: int = 0,
    end: int | None = None,
    prefix_cache: PrefixCache | None = None,
    segments: Sequence[int] = (),
) -> Iterator[int]:
    """Read texts of one length and call `on_rows` with the weights of rows `start` to `end`, without storing them.

    Yields the number of tokens read so far after each chunk. All rows of an encoder are forwarded, regardless of
    `start` and `end`. With a prefix cache, a decoder does not read again what comes before `start`.

    Args:
        segments: one per token, for an encoder that reads pairs; () if all are in the first segment.

    Raises:
        ValueError: if a text does not fit the context, has ids outside the vocabulary, or the weights are NaN.
    """
    device = model.embedding.weight.device
    ids = torch.tensor([list(text) for text in texts], device=device)
    if isinstance(model, Encoder):
        with evaluating(model):
            pairs = torch.tensor([list(segments)] * len(texts), device=device) if segments else None
            model.hidden(ids, segments=pairs, trace=_trace_into(on_rows, 0))
        yield ids.size(1)
        return
    source = torch.tensor([list(source_ids)] * len(texts), device=device)
    cache, tuner = KVCache(model.config.n_layer), ThreadTuner(is_small=False)
    if prefix_cache is not None and isinstance(model, Decoder):
        known = prefix_cache.lookup(model, ids[0].tolist())
        cache = known.prefix(start) if 0 < start < known.length else known
        if not start:
            cache.truncate(0)
    at, end = cache.length, ids.size(1) if end is None else end
    while at < end:
        upto = min(at + CHUNK_SIZE, end) if at >= start else min(at + CHUNK_SIZE, start)
        trace = _trace_into(on_rows, at) if at >= start else None
        texts_read = (source, ids[:, at:upto]) if isinstance(model, EncoderDecoder) else (ids[:, at:upto],)
        with evaluating(model):
            tuner.run(functools.partial(model.hidden, *texts_read, cache=cache, trace=trace))
        at = upto
        yield at


def stream_encoder_attention(model: EncoderDecoder, source_ids: Sequence[int], on_rows: RowCallback) -> None:
    """Read only the source of an encoder-decoder; raises as `stream_attention`."""
    with evaluating(model):
        model.encode(
            torch.tensor([list(source_ids)], device=model.embedding.weight.device), trace=_trace_into(on_rows, 0)
        )


def _trace_into(on_rows: RowCallback, first: int) -> Trace:
    def check_and_pass_on(site: str, weights: Tensor) -> None:
        if not weights.isfinite().all():
            raise ValueError(
                f"The attention at {site} is not a number, so this model's training diverged: choose an earlier "
                "checkpoint or another model."
            )
        on_rows(site, first, weights.numpy(force=True))

    trace = Trace(frozenset({"attention"}))
    trace.attention = _ForwardingDict(check_and_pass_on)
    return trace


class _ForwardingDict(dict[str, Tensor]):
    """A replacement for a trace's dict of weights: forwards each layer's weights instead of storing them."""

    def __init__(self, on_weights: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self._on_weights = on_weights

    def __setitem__(self, site: str, weights: Tensor) -> None:
        self._on_weights(site, weights)
