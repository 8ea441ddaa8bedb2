"""The attention masks of a design as grids of tokens, or of blocks of tokens in long texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from terrarium.app.builder.positions.schemes import display_of
from terrarium.app.plots.pictures import Floats
from terrarium.models.architecture.mask_tables import MaskedText, block_edges, seen_across, seen_from, seen_pairs
from terrarium.models.inspect.position_weights import stacks
from terrarium.models.number_words import format_percent
from terrarium.models.settings.model_config import ModelConfig

MAX_BLOCKS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """The mask of one kind of attention: rows of queries, columns of keys.

    Args:
        edges: the start of each block, and the end of the last; short texts have blocks of one token.
        share: (n, n), the fraction of each block's pairs that is visible, 0 to 1.
        strength: (n, n) factors on the attention weights (ALiBi), 0 to 1.
        n_real: the number of tokens that are not padding, in rows and in columns.
        describe: returns the read-out of a cell (row, column).
        summary: a line about the whole mask.
    """

    title: str
    rows: str
    columns: str
    edges: np.ndarray
    share: Floats
    strength: Floats | None
    n_real: int
    describe: Callable[[int, int], str]
    summary: str


def grids(config: ModelConfig, text: MaskedText, head: int | None = None) -> list[Grid]:
    """Return the masks of a design: one, or those of encoder, decoder and cross-attention.

    Args:
        text: the input; for an encoder-decoder, both source and target.
        head: the head whose distance penalty becomes `Grid.strength`; None: no strength.
    """
    if config.topology != "encoder-decoder":
        return [_self_grid("Self-attention", config, text, head)]
    both = stacks(config)
    return [
        _self_grid("Encoder", both["encoder"], text, head),
        _self_grid("Decoder", both["decoder"], text, head),
        _cross_grid(text),
    ]


def describe_mask(config: ModelConfig) -> str:
    """Describe the attention mask of a design in a sentence or two."""
    window = f", at most {config.sliding_window - 1:,} tokens away" if config.sliding_window else ""
    if config.topology == "decoder-only":
        return (
            f"Causal: each token sees itself and the tokens before it{window}. So training predicts all tokens of a "
            "text in parallel, without looking ahead."
        )
    if config.topology == "encoder-only":
        return f"Bidirectional: each token sees the whole text, before and after it{window}."
    return (
        f"The encoder sees the whole source{window}. The decoder sees what it has generated so far{window}, and by "
        "cross-attention the whole source."
    )


def _self_grid(title: str, config: ModelConfig, text: MaskedText, head: int | None) -> Grid:
    edges = block_edges(text.length, MAX_BLOCKS)
    sizes = np.diff(edges)
    pairs = seen_pairs(config, text, edges)
    strength, log_decay = None, display_of(config).log_decay
    if head is not None and log_decay is not None:
        distance = (edges[:-1] + edges[1:]) // 2
        head = min(head, config.n_head - 1)
        strength = np.exp(log_decay(config.n_head, distance[None, :] - distance[:, None])[head])
    by_token = len(sizes) == text.length

    def describe(row: int, column: int) -> str:
        if not by_token:
            seen, all_pairs = int(pairs[row, column]), int(sizes[row] * sizes[column])
            part = "all" if seen == all_pairs else "none" if not seen else f"{seen:,} of {all_pairs:,} pairs"
            return f"tokens {_span(edges, row)} see of {_span(edges, column)}: {part}"
        words = _describe_row(config, text, row)
        why = _why_hidden(config, text, row, column) if not pairs[row, column] else ""
        return f"{words}; {column} is masked: {why}" if why else words

    n_seen, n_all = int(pairs.sum()), text.length**2
    return Grid(
        title=title,
        rows="query",
        columns="key",
        edges=edges,
        share=(pairs / np.outer(sizes, sizes)).astype(np.float32),
        strength=strength,
        n_real=text.n_real,
        describe=describe,
        summary=f"{n_seen:,} of {n_all:,} pairs, {format_percent(n_seen / n_all)}",
    )


def _cross_grid(text: MaskedText) -> Grid:
    edges = block_edges(text.length, MAX_BLOCKS)
    first, stop = seen_across(text)
    n_seen = stop - first
    seen = np.diff(edges.clip(first, stop)) / np.diff(edges)
    by_token = len(edges) - 1 == text.length

    def describe(row: int, column: int) -> str:
        who = f"token {row}" if by_token else f"tokens {_span(edges, row)}"
        hidden = "" if seen[column] else "; the source is padding there"
        return f"{who} of the target: {_sees(first, stop, of='of the source')}{hidden}"

    return Grid(
        title="Cross-attention",
        rows="target (query)",
        columns="source (key)",
        edges=edges,
        share=np.tile(seen.astype(np.float32), (len(seen), 1)),
        strength=None,
        n_real=text.n_real,
        describe=describe,
        summary=f"{text.length * n_seen:,} of {text.length**2:,} pairs, {format_percent(n_seen / text.length)}",
    )


def _describe_row(config: ModelConfig, text: MaskedText, query: int) -> str:
    first, stop = seen_from(config, text, query)
    if query >= text.n_real:
        others = f"{first}…{stop - 1} and itself" if stop > first else "itself"
        return f"token {query} is padding: it sees {others}, and no other token sees it"
    return f"token {query} {_sees(first, stop)}"


def _sees(first: int, stop: int, of: str = "") -> str:
    n = stop - first
    which = f"{first:,}…{stop - 1:,}" if n > 1 else f"{first:,}"
    return f"sees {which}{' ' * bool(of)}{of}: {n:,} token{'s' if n != 1 else ''}"


def _why_hidden(config: ModelConfig, text: MaskedText, query: int, key: int) -> str:
    if key >= text.n_real:
        return "it is padding"
    if text.second_start and (query < text.second_start) != (key < text.second_start):
        return "it belongs to the other document"
    if config.is_causal and key > query:
        return "it comes later"
    return f"it is beyond the window of {config.sliding_window:,}"


def _span(edges: np.ndarray, block: int) -> str:
    first, last = int(edges[block]), int(edges[block + 1]) - 1
    return f"{first:,}…{last:,}" if last > first else f"{first:,}"
