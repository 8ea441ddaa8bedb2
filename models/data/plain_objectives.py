"""Training objectives: next token, masked tokens (BERT), span corruption (T5), source to target. Denoising (BART) is in
denoising.py.

An objective turns rows of text into batches; its randomness depends only on the given seed.

Letters in shape comments: B rows, L tokens of text, T tokens of the model's inputs, S of its source.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Sequence
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.data.batch import Batch, Rows
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import special_ids
from terrarium.models.tokenizers.special_tokens import end_id, mask_id, pad_id, sentinel_ids, start_id

NOISE_DENSITY = 0.15
"""Fraction of a text's tokens that is hidden (BERT, arXiv:1810.04805; T5, arXiv:1910.10683)."""
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Fractions of the hidden tokens that become the mask token and a random token; the rest stays unchanged (BERT)."""
MEAN_SPAN_LENGTH = 3
"""Mean length of hidden spans, in tokens (T5)."""


class Objective(Protocol):
    """Makes batches from rows of text."""

    width: int
    """Number of tokens of text per row."""
    overlap: int
    """Number of these tokens that the next row of the same text repeats."""
    predicts_text: bool
    """Whether each token of the text is predicted exactly once, so that the loss can be expressed in bits per byte."""
    ends_texts: bool
    """Whether the objective itself appends an end token to each text."""

    def batch(self, rows: Rows, seed: int) -> Batch:
        """Make a batch from `rows`, each at most `width` tokens long."""


class NextToken:
    """Causal language modelling: each token is predicted from those before it."""

    overlap = 1
    predicts_text = True
    ends_texts = False

    def __init__(self, context_length: int) -> None:
        self.width = context_length + 1

    def batch(self, rows: Rows, seed: int) -> Batch:
        ids, weights = rows.ids, rows.weights
        return Batch(
            ids[:, :-1].contiguous(),
            ids[:, 1:].contiguous(),
            weights[:, 1:].contiguous(),
            n_tokens=int(rows.real[:, :-1].sum()),  # the padding id may equal that of a real token
        )


class MaskedTokens:
    """Masked language modelling (BERT): hidden tokens are predicted from context; special tokens are never hidden."""

    overlap = 0
    predicts_text = False
    ends_texts = False

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.width = config.context_length
        found = mask_id(tokenizer)
        if found is None:
            raise ValueError("This tokenizer has no mask token, so nothing can be masked: start a new run with it.")
        self._mask_id = found
        self._is_special = torch.zeros(config.vocab_size, dtype=torch.bool)
        self._is_special[list(special_ids(tokenizer))] = True
        self._ordinary = (~self._is_special).nonzero().squeeze(1)

    def batch(self, rows: Rows, seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        ids, shape = rows.ids, rows.ids.shape
        can_be_hidden = rows.real & ~self._is_special[ids]  # (B, L)
        # The number of hidden tokens is rounded stochastically, so that the fraction is exact on average.
        wanted = (NOISE_DENSITY * can_be_hidden.sum(1) + torch.rand(shape[0], generator=generator)).floor().clamp(min=1)
        order = torch.rand(shape, generator=generator).masked_fill(~can_be_hidden, 2.0).argsort(dim=1)
        rank = torch.empty_like(order).scatter_(1, order, torch.arange(shape[1]).expand(shape))
        hidden = (rank < wanted[:, None]) & can_be_hidden
        fate = torch.rand(shape, generator=generator)
        others = self._ordinary[torch.randint(len(self._ordinary), shape, generator=generator)]
        inputs = ids.masked_fill(hidden & (fate < MASK_SHARE), self._mask_id)
        inputs = torch.where(hidden & (fate >= MASK_SHARE) & (fate < MASK_SHARE + RANDOM_SHARE), others, inputs)
        n_tokens = int(rows.real.sum())
        mask = None if n_tokens == rows.real.numel() else rows.real
        return Batch(inputs, ids, rows.weights * hidden, mask=mask, n_tokens=n_tokens)


class SpanCorruption:
    """T5's span corruption: sentinels replace spans in the source; the target lists the text behind each sentinel.

    “the cat sat on the mat” -> “the <|extra_0|> on the <|extra_1|>” and “<|extra_0|> cat sat <|extra_1|> mat”, both
    with an end token. Spans never contain special tokens. If a text needs more spans of 3 tokens than there are
    sentinels (beyond 640 tokens with our 32), the spans are longer.
    """

    overlap = 0
    predicts_text = False
    ends_texts = True

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.width = config.context_length - 1  # even if every span is one token, the source has space for an end token
        self._sentinels = sentinel_ids(tokenizer)
        end = end_id(tokenizer, config)
        if not self._sentinels or end is None:
            raise ValueError("This tokenizer has no sentinels or no end token: start a new run with it.")
        self._end, self._start = end, start_id(config, tokenizer)
        self._pad = pad_id(tokenizer) or 0
        self._specials = frozenset(special_ids(tokenizer))

    def batch(self, rows: Rows, seed: int) -> Batch:
        rng = random.Random(seed)
        sources, targets, weights = [], [], []
        lengths = rows.real.sum(1).tolist()
        for row, row_weights, length in zip(rows.ids.tolist(), rows.weights.tolist(), lengths, strict=True):
            source, target, weight = self._corrupt(row[:length], row_weights, rng)
            sources.append(source)
            targets.append(target)
            weights.append(weight)
        return seq2seq_batch(sources, targets, weights, start=self._start, pad=self._pad)

    def _corrupt(
        self, ids: list[int], weights: Sequence[float], rng: random.Random
    ) -> tuple[list[int], list[int], list[float]]:
        """Return source, target, and target weights: a sentinel has that of the token after it, an end token 1."""
        source: list[int] = []
        target: list[int] = []
        target_weights: list[float] = []
        position = 0
        drawn = draw_spans(len(ids), len(self._sentinels), rng)
        ordinary = (longest_ordinary(ids, *span, self._specials) for span in drawn)
        spans = [span for span in ordinary if span[0] < span[1]]
        for sentinel, (start, stop) in zip(self._sentinels, spans, strict=False):
            source += [*ids[position:start], sentinel]
            target += [sentinel, *ids[start:stop]]
            target_weights += [weights[start], *weights[start:stop]]
            position = stop
        return [*source, *ids[position:], self._end], [*target, self._end], [*target_weights, 1.0]


def longest_ordinary(ids: Sequence[int], start: int, stop: int, specials: Collection[int]) -> tuple[int, int]:
    """Return the longest part of a span without special tokens; start = stop if there is none."""
    borders = [start - 1, *(i for i in range(start, stop) if ids[i] in specials), stop]
    before, after = max(itertools.pairwise(borders), key=lambda pair: pair[1] - pair[0])
    return before + 1, after


def seq2seq_batch(
    sources: list[list[int]], targets: list[list[int]], weights: list[list[float]], *, start: int, pad: int
) -> Batch:
    """Assemble an encoder-decoder batch: sources, targets, and a loss weight for each target token."""
    source_ids, real = _stack(sources, pad)
    return Batch(
        inputs=_stack([[start, *target[:-1]] for target in targets], pad)[0],
        targets=_stack(targets, pad)[0],
        weights=_stack(weights, 0.0)[0],
        source=source_ids,
        source_mask=None if real.all() else real,
        n_tokens=sum(map(len, sources)) + sum(map(len, targets)),
    )


def draw_spans(n_tokens: int, max_spans: int, rng: random.Random) -> list[tuple[int, int]]:
    """Draw the spans to hide in a text of `n_tokens`: NOISE_DENSITY of it in at most `max_spans` spans (start, stop).

    They are in order and never touch; all placements are equally likely, including those at the text's ends.
    """
    if n_tokens == 0:
        return []
    n_noise = max(1, round(NOISE_DENSITY * n_tokens))
    n_spans = max(1, min(max_spans, round(n_noise / MEAN_SPAN_LENGTH)))
    return place_spans(n_tokens, _cut(n_noise, n_spans, rng), rng)


def place_spans(n_tokens: int, lengths: Sequence[int], rng: random.Random) -> list[tuple[int, int]]:
    """Place spans of these lengths in a text of `n_tokens`: (start, stop) in order, never touching, uniformly."""
    gaps = _cut(n_tokens - sum(lengths) + 2, len(lengths) + 1, rng)  # the first and the last may be 0, hence the 2
    spans, position = [], -1
    for gap, length in zip(gaps, lengths, strict=False):
        position += gap
        spans.append((position, position + length))
        position += length
    return spans


def fill_sentinels(
    source: Sequence[int], target: Sequence[int], sentinels: Sequence[int], end: int | None
) -> list[int]:
    """Replace the source's sentinels by the target's spans; sentinels missing from the target remain."""
    fillings: dict[int, list[int]] = {}
    current: list[int] = []  # ids before the first sentinel belong to no span
    for id in itertools.takewhile(lambda id: id != end, target):
        if id in sentinels:
            current = fillings.setdefault(id, [])
        else:
            current.append(id)
    text = source[:-1] if source and source[-1] == end else source
    return [id for token in text for id in fillings.get(token, [token])]


def _cut(total: int, n_parts: int, rng: random.Random) -> list[int]:
    """Split `total` into `n_parts` positive summands, all compositions equally likely."""
    cuts = sorted(rng.sample(range(1, total), n_parts - 1))
    return [after - before for before, after in itertools.pairwise([0, *cuts, total])]


def _stack(lists: Sequence[Sequence[float]], fill_value: float) -> tuple[Tensor, Tensor]:
    """Stack lists of numbers, padded at the end; return (B, longest), and which are not padding (B, longest) bool."""
    longest = max(map(len, lists))
    lengths = torch.tensor([len(numbers) for numbers in lists])
    rows = [[*numbers, *[fill_value] * (longest - len(numbers))] for numbers in lists]
    return torch.tensor(rows), torch.arange(longest) < lengths[:, None]


class SourceToTarget:
    """Rows of a source, whose tokens have weight 0, and its target, both with an end token (`fit_pair`)."""

    overlap = 0
    predicts_text = False
    ends_texts = False

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.width = 2 * config.context_length
        end = end_id(tokenizer, config)
        if end is None:
            raise ValueError("This tokenizer has no end token: start a new run with it.")
        self._end, self._start = end, start_id(config, tokenizer)
        self._pad = pad_id(tokenizer) or 0

    def batch(self, rows: Rows, seed: int) -> Batch:
        sources, targets, weights = list[list[int]](), list[list[int]](), list[list[float]]()
        lengths: Sequence[int] = rows.real.sum(1).tolist()
        for row, of_row, length in zip(rows.ids.tolist(), rows.weights.tolist(), lengths, strict=True):
            begin = next(i for i in range(length) if of_row[i] > 0)
            sources.append(row[:begin])
            targets.append(row[begin:length])
            weights.append(of_row[begin:length])
        return seq2seq_batch(sources, targets, weights, start=self._start, pad=self._pad)
