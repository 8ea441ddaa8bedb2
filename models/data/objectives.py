"""The training objective for a model's topology and task.

Source: Lewis et al., "BART: Denoising Sequence-to-Sequence Pre-training" (arXiv:1910.13461), combining its two best
kinds of noise: text infilling (spans of any length become one mask each) and sentence permutation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.batch import Batch, Rows
from terrarium.models.data.plain_objectives import (
    MaskedTokens,
    NextToken,
    Objective,
    SourceToTarget,
    SpanCorruption,
    longest_ordinary,
    place_spans,
    seq2seq_batch,
)
from terrarium.models.settings.model_config import ModelConfig, objective_of
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tokenizers import special_ids
from terrarium.models.tokenizers.special_tokens import end_id, mask_id, pad_id, start_id
from terrarium.models.tokenizers.token_bytes import TokenBytes


def make_objective(config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """Make the plain-text objective for the topology; `wanted` (TrainConfig.objective) chooses an encoder-decoder's.

    Raises:
        ValueError: if no objective fits, or the tokenizer lacks a token that it requires.
    """
    check_trainable(config)
    match objective_of(config, wanted):
        case "masked-tokens":
            return MaskedTokens(config, tokenizer)
        case "span-corruption":
            return SpanCorruption(config, tokenizer)
        case "denoising":
            return Denoising(config, tokenizer)
        case _:
            return NextToken(config.context_length)


def objective_on(corpus: Corpus, config: ModelConfig, tokenizer: Tokenizer, wanted: str = "auto") -> Objective:
    """Make the objective for the rows of a corpus: as `make_objective`, or source to target for an encoder-decoder.

    Raises:
        ValueError: as `make_objective`, or if the design cannot learn the corpus's task.
    """
    task = TASKS.get(corpus.task)
    if task is not None and config.topology not in task.heads:
        raise ValueError(
            f"{corpus.label!r} is a dataset for {task.title.lower()}, which this design ({config.topology}) cannot "
            f"learn: use one that is {' or '.join(task.heads)}."
        )
    if corpus.task == "text-to-text" and config.topology == "encoder-decoder":
        return SourceToTarget(config, tokenizer)
    return make_objective(config, tokenizer, wanted)


def check_trainable(config: ModelConfig) -> None:
    """Raise ValueError if no plain-text objective can train this design."""
    if config.topology == "encoder-only" and config.head != "language":
        raise ValueError(
            f"An encoder with the head {config.head!r} cannot learn from plain text, which has no labels: choose the "
            "head language, which guesses masked tokens."
        )
    if config.topology == "encoder-decoder" and config.context_length < 3:
        raise ValueError("Hidden spans need a context of at least 3 tokens: use a larger context_length.")


MASK_RATIO = 0.3
"""Fraction of a text's tokens that is hidden (BART)."""

MEAN_SPAN_LENGTH = 3.0
"""Mean of the Poisson distribution of the lengths of hidden spans (BART)."""

_SENTENCE_ENDS = (b".", b"!", b"?", b"\n")


class Denoising:
    """“A cat sat. It was warm.” -> “It was warm. A <mask>.” and the original text, both with an end token.

    A span of length 0 inserts an extra mask. Special tokens are never hidden, and sentences never move across one.
    """

    overlap = 0
    predicts_text = False
    ends_texts = True

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.width = config.context_length - 1  # reserves one position for the end token
        mask, end = mask_id(tokenizer), end_id(tokenizer, config)
        if mask is None or end is None:
            raise ValueError("This tokenizer has no mask token or no end token: start a new run with it.")
        self._mask, self._end, self._start = mask, end, start_id(config, tokenizer)
        self._pad = pad_id(tokenizer) or 0
        self._specials = frozenset(special_ids(tokenizer))
        table = TokenBytes(tokenizer)
        ids = (id for id in range(tokenizer.get_vocab_size()) if id not in self._specials)
        self._sentence_ends = frozenset(id for id in ids if table[id].rstrip(b" ").endswith(_SENTENCE_ENDS))

    def batch(self, rows: Rows, seed: int) -> Batch:
        rng = random.Random(seed)
        sources, targets, weights = [], [], []
        lengths = rows.real.sum(1).tolist()
        for row, row_weights, length in zip(rows.ids.tolist(), rows.weights.tolist(), lengths, strict=True):
            ids = row[:length]
            sources.append([*self.infill(self.permute(ids, rng), rng), self._end])
            targets.append([*ids, self._end])
            weights.append([*row_weights[:length], 1.0])
        return seq2seq_batch(sources, targets, weights, start=self._start, pad=self._pad)

    def permute(self, ids: list[int], rng: random.Random) -> list[int]:
        """Shuffle the sentences of a text."""
        noised: list[int] = []
        for part in _split(ids, self._specials):
            sentences = list(_split(part, self._sentence_ends, keep_together=True))
            rng.shuffle(sentences)
            noised += [id for sentence in sentences for id in sentence]
        return noised

    def infill(self, ids: list[int], rng: random.Random) -> list[int]:
        """Replace each hidden span by one mask (text infilling). The result is never longer than the text."""
        if not ids:
            return []
        n_noise = max(1, round(MASK_RATIO * len(ids)))
        lengths: list[int] = []
        n_empty, left = 0, n_noise
        while left:
            length = min(_poisson(MEAN_SPAN_LENGTH, rng), left)
            if length:
                lengths.append(length)
            else:
                n_empty += 1
            left -= length
        spans = place_spans(len(ids), lengths, rng)
        spans = [longest_ordinary(ids, *span, self._specials) for span in spans]
        source: list[int] = []
        position = 0
        for start, stop in spans:
            source += [*ids[position:start], *([self._mask] if start < stop else [])]
            position = stop
        source += ids[position:]
        for _ in range(min(n_empty, len(ids) - len(source))):
            source.insert(rng.randint(0, len(source)), self._mask)
        return source


def _split(ids: list[int], ends: frozenset[int], *, keep_together: bool = False) -> Iterator[list[int]]:
    """Split `ids` after each of `ends`, which stays in its part (`keep_together`) or becomes a part of its own."""
    part: list[int] = []
    for id in ids:
        if id not in ends:
            part.append(id)
        elif keep_together:
            yield [*part, id]
            part = []
        else:
            yield from (part, [id])
            part = []
    yield part


def _poisson(mean: float, rng: random.Random) -> int:
    """Sample from the Poisson distribution (Knuth's algorithm)."""
    n, chance, least = 0, rng.random(), math.exp(-mean)
    while chance > least:
        n, chance = n + 1, chance * rng.random()
    return n
