"""Where every head of a model looks in one text: measured in one traced forward pass, layer by layer.

The weights are float32, as the softmax made them. Of long texts each map is pooled: a block of it is told by its
largest weight, so that a sharp head stays sharp. All weights of all layers are never held at once (30 layers of 9
heads over 2,048 tokens would be 4.5 GB); any part of a map can be read again, exactly (`read_window`).

Letters in shape comments: L sites, H heads, T tokens (queries), S tokens seen (keys), R and C blocks of them.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.config import ModelConfig
from models.inference.continuation import evaluating
from models.inspect.patterns import Floats, Scores, Seen, prefix_matching, score_patterns
from models.mask_tables import Ints, block_edges
from models.masks import distances, within_reach
from models.trace import Trace
from models.transformer import AnyModel, EncoderDecoder

MOST_BLOCKS = 256
"""Rows and columns of a map; of longer texts, blocks of tokens."""

MOST_BYTES = 80 * 2**20
"""What the maps of all heads may take; of models with very many heads they are pooled further."""

MEAN, MAX = -2, -1
"""In `SiteMap.weights`, after all heads: the mean and the largest over them, of each pair of tokens."""

_PROBE_LENGTH, _N_PROBES = 25, 4
"""Random tokens that are read twice, and how often another such text is drawn, to measure induction."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteMap:
    """One layer's attention.

    weights: (H + 2, R, C), NaN where the mask lets nothing through: the heads, then MEAN and MAX over them.
    scores: of each head, by pattern (see `models.inspect.patterns`).
    """

    site: str
    weights: Floats
    scores: Scores

    @property
    def n_head(self) -> int:
        """Heads, without what is made of all of them."""
        return len(self.weights) - 2


@dataclass(frozen=True, kw_only=True, eq=False)
class StackMaps:
    """All layers of one kind of attention.

    kind: "self" (a decoder's or an encoder's), or of an encoder-decoder "encoder", "decoder" or "cross".
    rows, columns: where the blocks of tokens begin that the maps are pooled to, and the end: (R + 1) and (C + 1).
    is_causal: whether tokens see only what comes before them, and themselves.
    """

    kind: str
    sites: tuple[SiteMap, ...]
    rows: Ints
    columns: Ints
    is_causal: bool

    @property
    def is_pooled(self) -> bool:
        """Whether a cell stands for more than one pair of tokens."""
        return bool(len(self.rows) <= self.rows[-1] or len(self.columns) <= self.columns[-1])


@dataclass(frozen=True, kw_only=True)
class _Stack:
    kind: str
    config: ModelConfig
    n_layer: int
    site: str  # with {} for the layer
    n_queries: int
    n_keys: int

    @property
    def is_causal(self) -> bool:
        return self.kind != "cross" and bool(self.config.is_causal)

    def seen(self) -> Seen:
        """(T, S): what the mask lets through."""
        if self.kind == "cross":
            return np.ones((self.n_queries, self.n_keys), np.bool_)
        allowed: Seen = within_reach(self.config, distances(self.n_queries, 0, torch.device("cpu"))).numpy()
        return allowed

    def sites(self) -> list[str]:
        return [self.site.format(i) for i in range(self.n_layer)]


def read_attention(
    model: AnyModel, ids: Sequence[int], source_ids: Sequence[int] = (), random_ids: Sequence[int] = ()
) -> tuple[StackMaps, ...]:
    """Every head's attention in a text, its mask, and what pattern it shows.

    Modes, gradients and random state are left as they were.

    Args:
        ids: a decoder's or an encoder's text, an encoder-decoder's target. source_ids: what its encoder reads.
        random_ids: the tokens that may be drawn to measure induction with, after the first of `ids`; () leaves it out.

    Raises:
        ValueError: where there is no text, or it does not fit the context.
    """
    stacks = _stacks_of(model, len(ids), len(source_ids))
    side = _side(stacks)
    seen = {stack.kind: stack.seen() for stack in stacks}
    edges = {stack.kind: (block_edges(stack.n_queries, side), block_edges(stack.n_keys, side)) for stack in stacks}
    where = {site: stack for stack in stacks for site in stack.sites()}
    maps: dict[str, SiteMap] = {}

    def keep(site: str, weights: Tensor) -> None:
        of_heads, stack = weights[0].numpy(force=True), where[site]
        scores = score_patterns(of_heads, seen[stack.kind], is_self=stack.kind != "cross", is_causal=stack.is_causal)
        pooled = pool(with_aggregates(of_heads), seen[stack.kind], *edges[stack.kind])
        maps[site] = SiteMap(site=site, weights=pooled, scores=scores)

    _run(model, [list(ids)], source_ids, keep)
    for site, induction in _measure_induction(model, ids, source_ids, random_ids, where).items():
        maps[site] = SiteMap(
            site=site, weights=maps[site].weights, scores={**maps[site].scores, "induction": induction}
        )
    return tuple(
        StackMaps(
            kind=stack.kind,
            sites=tuple(maps[site] for site in stack.sites()),
            rows=edges[stack.kind][0],
            columns=edges[stack.kind][1],
            is_causal=stack.is_causal,
        )
        for stack in stacks
    )


def read_window(
    model: AnyModel,
    ids: Sequence[int],
    source_ids: Sequence[int],
    sites: Sequence[str],
    rows: slice,
    columns: slice,
) -> dict[str, Floats]:
    """Part of some layers' maps, without pooling: (H + 2, rows, columns) by site, as in `SiteMap`.

    The layers after the last of `sites` are not computed.

    Raises:
        ValueError: as `read_attention`.
    """
    where = {
        site: stack for stack in _stacks_of(model, len(ids), len(source_ids)) for site in stack.sites() if site in sites
    }
    assert set(where) == set(sites), sites
    found: dict[str, Floats] = {}

    def keep(site: str, weights: Tensor) -> None:
        if site in where:
            window = with_aggregates(weights[0, :, rows, columns].numpy(force=True))
            window[:, ~where[site].seen()[rows, columns]] = np.nan
            found[site] = window
            if len(found) == len(where):
                raise _EnoughError

    with contextlib.suppress(_EnoughError):
        _run(model, [list(ids)], source_ids, keep)
    return found


def with_aggregates(weights: Floats) -> Floats:
    """(H, T, S) -> (H + 2, T, S): MEAN and MAX over the heads behind them."""
    return np.concatenate([weights, weights.mean(axis=0, keepdims=True), weights.max(axis=0, keepdims=True)])


def pool(weights: Floats, seen: Seen, rows: Ints, columns: Ints) -> Floats:
    """(H, T, S) -> (H, R, C): the largest weight of each block, NaN where `seen` (T, S) lets nothing through.

    rows, columns: where blocks begin, and the end.
    """
    pooled: Floats = _by_block(np.maximum, _by_block(np.maximum, weights, rows, 1), columns, 2)
    any_seen = _by_block(np.logical_or, _by_block(np.logical_or, seen, rows, 0), columns, 1)
    if pooled is weights:
        pooled = weights.copy()
    pooled[:, ~any_seen] = np.nan
    return pooled


def _by_block(reduce: np.ufunc, values: NDArray[np.generic], edges: Ints, axis: int) -> NDArray:  # type: ignore[type-arg]
    if len(edges) - 1 == values.shape[axis]:
        return values
    return reduce.reduceat(values, edges[:-1], axis=axis)


def _stacks_of(model: AnyModel, n_ids: int, n_source: int) -> list[_Stack]:
    config = model.config
    if not n_ids or (isinstance(model, EncoderDecoder) and not n_source):
        raise ValueError("There is no text to look into: write one first.")
    if not isinstance(model, EncoderDecoder):
        return [
            _Stack(
                kind="self",
                config=config,
                n_layer=config.n_layer,
                site="blocks.{}.attention",
                n_queries=n_ids,
                n_keys=n_ids,
            )
        ]
    encoder, n_layer = config.encoder(), config.n_layer
    own, across = "decoder.blocks.{}.attention", "decoder.blocks.{}.cross_attention"
    return [
        _Stack(
            kind="encoder",
            config=encoder,
            n_layer=encoder.n_layer,
            site=f"encoder.{own[8:]}",
            n_queries=n_source,
            n_keys=n_source,
        ),
        _Stack(kind="decoder", config=config, n_layer=n_layer, site=own, n_queries=n_ids, n_keys=n_ids),
        _Stack(kind="cross", config=config, n_layer=n_layer, site=across, n_queries=n_ids, n_keys=n_source),
    ]


def _side(stacks: Sequence[_Stack]) -> int:
    """Blocks to each side of a map, so that all maps together stay within MOST_BYTES."""
    n_maps = sum(stack.n_layer * (stack.config.n_head + 2) for stack in stacks)
    return min(MOST_BLOCKS, int((MOST_BYTES / (4 * n_maps)) ** 0.5))


def _measure_induction(
    model: AnyModel,
    ids: Sequence[int],
    source_ids: Sequence[int],
    random_ids: Sequence[int],
    where: dict[str, _Stack],
) -> dict[str, Floats]:
    """(H) by site of causal self-attention: see `models.inspect.patterns.prefix_matching`, over a few random texts."""
    length = min(_PROBE_LENGTH, (model.config.context_length - 1) // 2, len(random_ids))
    if length < 2 or model.config.topology == "encoder-only":
        return {}
    draw = random.Random(0)  # the same tokens at each training step, so that scores can be compared
    texts = [[ids[0], *(draw.sample(random_ids, length) * 2)] for _ in range(_N_PROBES)]
    found: dict[str, Floats] = {}

    def keep(site: str, weights: Tensor) -> None:
        if where[site].is_causal:
            found[site] = np.mean([prefix_matching(of, length) for of in weights.numpy(force=True)], axis=0)

    _run(model, texts, source_ids, keep)
    return found


class _EnoughError(Exception):
    """All that was asked for has been read."""


class _Taken(dict[str, Tensor]):
    """Stands where a trace would hold every layer's weights, and hands each on instead."""

    def __init__(self, take: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self._take = take

    def __setitem__(self, site: str, weights: Tensor) -> None:
        self._take(site, weights)


def _run(
    model: AnyModel, texts: list[list[int]], source_ids: Sequence[int], take: Callable[[str, Tensor], None]
) -> None:
    """Read texts of one length; `take` is given each site's weights (B, H, T, S), which are gone afterwards."""
    trace = Trace(frozenset({"attention"}))
    trace.attention = _Taken(take)
    device = model.embedding.weight.device
    read = torch.tensor(texts, device=device)
    with evaluating(model):
        if isinstance(model, EncoderDecoder):
            model.hidden(torch.tensor([list(source_ids)] * len(texts), device=device), read, trace=trace)
        else:
            model.hidden(read, trace=trace)
