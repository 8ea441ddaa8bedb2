"""Where every head of a model looks in one text: measured in one traced pass, as maps of (queries, keys).

The weights are float32, as the softmax made them. Of long texts each map is pooled: a block of it is told by its
largest weight, so that a sharp head stays sharp. All weights of all layers are never held at once (30 layers of 9
heads over 2,048 tokens would be 4.5 GB); any part of a map can be read again, exactly (`read_window`).

Letters in shape comments: H heads, T tokens (queries), S tokens seen (keys), R and C blocks of them.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from models.architecture.mask_tables import Ints, block_edges
from models.architecture.transformer import AnyModel, EncoderDecoder
from models.events import Event, Progress
from models.inference.prefill import PrefixCache
from models.inspect.attention_maps import SiteMap, StackMaps, pool, pooled_to, with_aggregates
from models.inspect.attention_pass import (
    PIECE,
    AttentionStack,
    read_attention_of,
    read_encoder_of,
    stacks_of,
)
from models.inspect.head_patterns import Floats, RowScores, mean_scores, prefix_matching, score_rows

MOST_BLOCKS = 256
"""Rows and columns of a map; of longer texts, blocks of tokens."""

MOST_BYTES = 80 * 2**20
"""What the maps of all heads may take; of models with very many heads they are pooled further."""

SMALL_SIDE = 64
"""Rows and columns of a map among all others."""

_PROBE_LENGTH, _N_PROBES = 25, 4
"""Random tokens that are read twice, and how many such texts are drawn, to measure induction."""


class _Gathered:
    """One kind of attention while it is read: maps that fill up from above, and scores row by row."""

    def __init__(self, stack: AttentionStack, side: int) -> None:
        self._stack = stack
        self._rows, self._columns = block_edges(stack.n_queries, side), block_edges(stack.n_keys, side)
        shape = (stack.config.n_head + 2, len(self._rows) - 1, len(self._columns) - 1)
        self._maps = {site: np.full(shape, np.nan, np.float32) for site in stack.sites}
        self._scores: dict[str, list[RowScores]] = {site: [] for site in stack.sites}
        self.induction: dict[str, Floats] = {}

    def take(self, site: str, first: int, weights: Floats) -> None:
        """Take in rows (H, rows, S) from `first` on."""
        stack, (_, n_rows, n_keys) = self._stack, weights.shape
        seen = stack.seen(first, first + n_rows)
        scores = score_rows(weights, seen, first, is_self=stack.kind != "cross", is_causal=stack.is_causal)
        self._scores[site].append(scores)
        # A block may have begun in the piece before: what there is of it is the larger of both.
        down, across = _within(self._rows, first, first + n_rows), _within(self._columns, 0, n_keys)
        part = self._maps[site][:, down.blocks, across.blocks]
        np.fmax(part, pool(with_aggregates(weights), seen, down.edges, across.edges), out=part)

    def maps(self) -> StackMaps:
        """All of it, once it has been read."""
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
) -> Generator[Event, None, tuple[StackMaps, ...]]:
    """Every head's attention in a text, its mask, and what patterns it shows; with Progress (tokens) on the way.

    Modes, gradients and random state are left as they were.

    Args:
        ids: a decoder's or an encoder's text, an encoder-decoder's target. source_ids: what its encoder reads.
        random_ids: the tokens that may be drawn to measure induction with, after the first of `ids`; () leaves it out.
        prefix_cache: is what was read, afterwards, so that `read_window` need not read it again.

    Raises:
        ValueError: where there is no text, it does not fit the context, or is too long for an encoder to show.
    """
    stacks = stacks_of(model, len(ids), len(source_ids))
    side = _side(stacks)
    gathered = [_Gathered(stack, side) for stack in stacks]
    where = {site: of for stack, of in zip(stacks, gathered, strict=True) for site in stack.sites}

    def take(site: str, first: int, weights: Floats) -> None:
        where[site].take(site, first, weights[0])

    for read in read_attention_of(model, [ids], source_ids, take, prefix_cache=prefix_cache):
        yield Progress(done=read, total=len(ids))
    for stack, of in zip(stacks, gathered, strict=True):
        if stack.is_causal:
            of.induction = _measure_induction(model, ids[0], source_ids, random_ids, stack.sites)
    return tuple(of.maps() for of in gathered)


def read_window(
    model: AnyModel,
    ids: Sequence[int],
    source_ids: Sequence[int],
    kind: str,
    rows: range,
    columns: range,
    prefix_cache: PrefixCache | None = None,
) -> Generator[Event, None, dict[str, Floats]]:
    """Part of all layers' maps of one kind, without pooling: (H + 2, rows, columns) by site, as in `SiteMap`.

    What comes after the rows is not read where nothing depends on it, nor is what was read before.

    Raises:
        ValueError: as `read_attention`.
    """
    stack = next(stack for stack in stacks_of(model, len(ids), len(source_ids)) if stack.kind == kind)
    shape = (stack.config.n_head + 2, len(rows), len(columns))
    found = {site: np.full(shape, np.nan, np.float32) for site in stack.sites}

    def take(site: str, first: int, weights: Floats) -> None:
        if site not in found:
            return
        start, end = max(first, rows.start), min(first + weights.shape[2], rows.stop)
        seen = stack.seen(first, first + weights.shape[2])[start - first : end - first, columns.start : columns.stop]
        part = weights[0, :, start - first : end - first, columns.start : columns.stop]
        window = np.where(seen, with_aggregates(part), np.float32(np.nan))
        found[site][:, start - rows.start : end - rows.start, : window.shape[2]] = window

    if kind == "encoder":
        assert isinstance(model, EncoderDecoder)
        read_encoder_of(model, source_ids, take)
        return found
    for read in read_attention_of(
        model, [ids], source_ids, take, start=rows.start, end=rows.stop, prefix_cache=prefix_cache
    ):
        yield Progress(done=read, total=rows.stop)
    return found


@dataclass(frozen=True)
class _Blocks:
    blocks: slice
    edges: Ints  # of these blocks, counted from the first token


def _within(edges: Ints, start: int, end: int) -> _Blocks:
    """The blocks that tokens `start` to `end` lie in, cut off at both."""
    first, last = int(np.searchsorted(edges, start, "right")) - 1, int(np.searchsorted(edges, end, "left"))
    return _Blocks(slice(first, last), edges[first : last + 1].clip(start, end) - start)


def _side(stacks: Sequence[AttentionStack]) -> int:
    """Blocks to each side of a map, so that all maps together stay within MOST_BYTES."""
    n_maps = sum(len(stack.sites) * (stack.config.n_head + 2) for stack in stacks)
    return min(MOST_BLOCKS, int((MOST_BYTES / (4 * n_maps)) ** 0.5))


def _measure_induction(
    model: AnyModel, first_id: int, source_ids: Sequence[int], random_ids: Sequence[int], sites: Sequence[str]
) -> dict[str, Floats]:
    """(H) by site: see `models.inspect.head_patterns.prefix_matching`, over a few random texts."""
    length = min(_PROBE_LENGTH, (model.config.context_length - 1) // 2, len(random_ids))
    if length < 2:
        return {}
    draw = random.Random(0)  # the same tokens at each training step, so that scores can be compared
    texts = [[first_id, *(draw.sample(random_ids, length) * 2)] for _ in range(_N_PROBES)]
    found: dict[str, Floats] = {}

    def take(site: str, first: int, weights: Floats) -> None:
        if site in sites:
            found[site] = np.mean([prefix_matching(of, length) for of in weights], axis=0)

    assert len(texts[0]) <= PIECE
    for _ in read_attention_of(model, texts, source_ids, take):
        pass
    return found
