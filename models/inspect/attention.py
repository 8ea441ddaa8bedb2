"""The attention of every head in one text, measured in one traced pass, as maps of (queries, keys).

The weights are float32, as the softmax returns them. For long texts the maps are max-pooled into blocks, so that a
sharp head stays sharp. The weights of all layers are never in memory together (30 layers of 9 heads over 2,048 tokens
would be 4.5 GB); any part of a map can be read again, unpooled (`read_window`).

Letters in shape comments: H heads, T tokens (queries), S tokens in the context (keys), R and C blocks of them.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.models.architecture.mask_tables import Ints, block_edges
from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.events import Event, Progress
from terrarium.models.inference.prefill import PrefixCache
from terrarium.models.inspect.attention_maps import SiteMap, StackMaps, pool, pooled_to, with_aggregates
from terrarium.models.inspect.attention_pass import (
    CHUNK_SIZE,
    AttentionStack,
    check_weights,
    stacks_of,
    stream_attention,
    stream_encoder_attention,
)
from terrarium.models.inspect.head_patterns import Floats, RowScores, mean_scores, prefix_matching, score_rows

MAX_BLOCKS = 256
"""Maximum number of rows and columns of a map; longer texts are pooled into blocks of tokens."""

MAX_BYTES = 80 * 2**20
"""Memory limit of the maps of all heads; with very many heads they are pooled further."""

SMALL_SIDE = 64
"""Rows and columns of a thumbnail."""

_PROBE_LENGTH, _N_PROBES = 25, 4
"""For measuring induction: the number of random tokens that are repeated, and of such texts."""


class _MapBuilder:
    """Builds the maps of one kind of attention row by row, with the scores of each row."""

    def __init__(self, stack: AttentionStack, side: int) -> None:
        self._stack = stack
        self._rows, self._columns = block_edges(stack.n_queries, side), block_edges(stack.n_keys, side)
        shape = (stack.config.n_head + 2, len(self._rows) - 1, len(self._columns) - 1)
        self._maps = {site: np.full(shape, np.nan, np.float32) for site in stack.sites}
        self._scores: dict[str, list[RowScores]] = {site: [] for site in stack.sites}
        self.induction: dict[str, Floats] = {}

    def add(self, site: str, first: int, weights: Floats) -> None:
        """Add rows (H, rows, S), starting at row `first`."""
        stack, (_, n_rows, n_keys) = self._stack, weights.shape
        seen = stack.seen(first, first + n_rows)
        scores = score_rows(weights, seen, first, is_self=stack.kind != "cross", is_causal=stack.is_causal)
        self._scores[site].append(scores)
        # A block may have started in the previous chunk: take the maximum of both.
        down, across = _within(self._rows, first, first + n_rows), _within(self._columns, 0, n_keys)
        part = self._maps[site][:, down.blocks, across.blocks]
        np.fmax(part, pool(with_aggregates(weights), seen, down.edges, across.edges), out=part)

    def maps(self) -> StackMaps:
        """Return the maps, after all rows have been added. Raises ValueError if a custom block returned no weights."""
        check_weights(self._stack.config, self._maps, [site for site, scores in self._scores.items() if scores])
        sites = []
        for site, weights in self._maps.items():
            scores = mean_scores(self._scores[site])
            if site in self.induction:
                scores["induction"] = self.induction[site]
            small = pooled_to(weights, SMALL_SIDE)
            sites.append(SiteMap(site=site, weights=weights, small=small, scores=scores))
        stack = self._stack
        return StackMaps(
            kind=stack.kind, sites=tuple(sites), rows=self._rows, columns=self._columns, is_causal=stack.is_causal
        )


def read_attention(
    model: AnyModel,
    ids: Sequence[int],
    source_ids: Sequence[int] = (),
    random_ids: Sequence[int] = (),
    prefix_cache: PrefixCache | None = None,
    segments: Sequence[int] = (),
) -> Generator[Event, None, tuple[StackMaps, ...]]:
    """Compute every head's attention in a text, its mask, and its pattern scores; yields Progress (tokens).

    Modes, gradients and random state are unchanged.

    Args:
        ids: the text of a decoder or encoder, or the target of an encoder-decoder. source_ids: what its encoder reads.
        random_ids: tokens to sample from for measuring induction, after the first of `ids`; () to skip it.
        prefix_cache: filled during the pass, so that `read_window` does not read the text again.
        segments: one per token of `ids`, for an encoder that reads pairs.

    Raises:
        ValueError: if there is no text, it does not fit the context, it is too long for an encoder to show, or a custom
            block returns no weights.
    """
    stacks = stacks_of(model, len(ids), len(source_ids))
    side = _side(stacks)
    builders = [_MapBuilder(stack, side) for stack in stacks]
    where = {site: of for stack, of in zip(stacks, builders, strict=True) for site in stack.sites}

    def on_rows(site: str, first: int, weights: Floats) -> None:
        where[site].add(site, first, weights[0])

    for read in stream_attention(model, [ids], source_ids, on_rows, prefix_cache=prefix_cache, segments=segments):
        yield Progress(done=read, total=len(ids))
    for stack, of in zip(stacks, builders, strict=True):
        if stack.is_causal:
            of.induction = _measure_induction(model, ids[0], source_ids, random_ids, stack.sites)
    return tuple(of.maps() for of in builders)


def read_window(
    model: AnyModel,
    ids: Sequence[int],
    source_ids: Sequence[int],
    kind: str,
    rows: range,
    columns: range,
    prefix_cache: PrefixCache | None = None,
    segments: Sequence[int] = (),
) -> Generator[Event, None, dict[str, Floats]]:
    """Compute a window of all layers' maps of one kind, unpooled: (H + 2, rows, columns) by site, as in `SiteMap`.

    A causal model reads neither the text after the rows nor what is already in the cache.

    Raises:
        ValueError: as `read_attention`, and if the model has no attention of this kind.
    """
    stack = {stack.kind: stack for stack in stacks_of(model, len(ids), len(source_ids))}.get(kind)
    if stack is None:  # another model may have been chosen since the maps were computed
        raise ValueError(f"This model has no {kind} attention: choose another map.")
    shape = (stack.config.n_head + 2, len(rows), len(columns))
    found = {site: np.full(shape, np.nan, np.float32) for site in stack.sites}

    def on_rows(site: str, first: int, weights: Floats) -> None:
        if site not in found:
            return
        start, end = max(first, rows.start), min(first + weights.shape[2], rows.stop)
        seen = stack.seen(first, first + weights.shape[2])[start - first : end - first, columns.start : columns.stop]
        part = weights[0, :, start - first : end - first, columns.start : columns.stop]
        window = np.where(seen, with_aggregates(part), np.float32(np.nan))
        found[site][:, start - rows.start : end - rows.start, : window.shape[2]] = window

    if kind == "encoder":
        assert isinstance(model, EncoderDecoder)
        stream_encoder_attention(model, source_ids, on_rows)
        return found
    ends = {"start": rows.start, "end": rows.stop}
    for read in stream_attention(
        model, [ids], source_ids, on_rows, **ends, prefix_cache=prefix_cache, segments=segments
    ):
        yield Progress(done=read, total=rows.stop)
    return found


@dataclass(frozen=True)
class _Blocks:
    blocks: slice
    edges: Ints  # of these blocks, relative to `start`


def _within(edges: Ints, start: int, end: int) -> _Blocks:
    """Return the blocks that contain tokens `start` to `end`, clipped to them."""
    first, last = int(np.searchsorted(edges, start, "right")) - 1, int(np.searchsorted(edges, end, "left"))
    return _Blocks(slice(first, last), edges[first : last + 1].clip(start, end) - start)


def _side(stacks: Sequence[AttentionStack]) -> int:
    """Return the number of rows (and columns) of a map with which all maps together stay within MAX_BYTES."""
    n_maps = sum(len(stack.sites) * (stack.config.n_head + 2) for stack in stacks)
    return min(MAX_BLOCKS, int((MAX_BYTES / (4 * n_maps)) ** 0.5))


def _measure_induction(
    model: AnyModel, decoder_start_id: int, source_ids: Sequence[int], random_ids: Sequence[int], sites: Sequence[str]
) -> dict[str, Floats]:
    """Compute (H) by site: `models.inspect.head_patterns.prefix_matching`, averaged over a few random texts."""
    length = min(_PROBE_LENGTH, (model.config.context_length - 1) // 2, len(random_ids))
    if length < 2:
        return {}
    draw = random.Random(0)  # the same tokens at each training step, so that scores can be compared
    texts = [[decoder_start_id, *(draw.sample(random_ids, length) * 2)] for _ in range(_N_PROBES)]
    found: dict[str, Floats] = {}

    def on_rows(site: str, first: int, weights: Floats) -> None:
        if site in sites:
            found[site] = np.mean([prefix_matching(of, length) for of in weights], axis=0)

    assert len(texts[0]) <= CHUNK_SIZE
    for _ in stream_attention(model, texts, source_ids, on_rows):
        pass
    return found
