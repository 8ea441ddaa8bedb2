"""Batches of sentences whose "it" points at a noun: a pure function of the step, like all batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.epoch_permutations import EpochPermutations
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tasks.pronouns.pronoun_reading import NounCandidate, Reading, prepare_text, read_sentences


class PronounBatches:
    """The batches of a split of the pronoun corpus; in training, reshuffled in every epoch."""

    bytes_per_token: float | None = None

    def __init__(
        self, corpus: Corpus, tokenizer: Tokenizer, context_length: int, train: TrainConfig, split: str
    ) -> None:
        """Raises ValueError if a sentence does not fit the context."""
        self._tokenizer, self._examples = tokenizer, corpus.read_examples(split)
        texts = [prepare_text(example["text"]) for example in self._examples]
        longest = max(map(len, tokenizer.encode_batch_fast(texts, add_special_tokens=False)))
        if longest > context_length:
            raise ValueError(
                f"The longest pronoun sentence has {longest} tokens, but the context has only {context_length}: use a "
                "larger context_length, or a word tokenizer."
            )
        self._size, self._accum = train.batch_size, train.grad_accum_steps
        self._shuffled = split == "train"
        self._permutations = EpochPermutations(train.seed)

    @property
    def n_batches(self) -> int:
        return max(1, len(self._examples) // self._size) if self._shuffled else -(-len(self._examples) // self._size)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        if not self._shuffled:
            return self._make_batch(range(step * self._size, min((step + 1) * self._size, len(self._examples))))
        epoch, index = divmod(step * self._accum + micro_step, self.n_batches)
        order = self._permutations.permutation(epoch, len(self._examples))
        return self._make_batch(order[index * self._size : (index + 1) * self._size].tolist())

    def _make_batch(self, rows: Sequence[int]) -> Batch:
        examples = [self._examples[i] for i in rows]
        readings = read_sentences(self._tokenizer, [example["text"] for example in examples])
        golds = [
            _position_of(reading.candidates, example["gold"])
            for reading, example in zip(readings, examples, strict=True)
        ]
        return pointing_batch(readings, golds)


def _position_of(candidates: Sequence[NounCandidate], noun: str) -> int:
    return next(candidate.position for candidate in candidates if candidate.noun == noun)


def pointing_batch(
    readings: Sequence[Reading], golds: Sequence[int] | None = None, *, without_adjective: bool = False
) -> Batch:
    """Make a batch of sentences, padded at the end; the target at each "it" is the position of its antecedent.

    golds: those positions (default: 0). without_adjective: mask the adjectives.
    """
    shape = len(readings), max(len(reading.ids) for reading in readings)
    ids, targets = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    weights = torch.zeros(shape)
    mask, candidates = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for i, reading in enumerate(readings):
        ids[i, : len(reading.ids)] = torch.tensor(reading.ids)
        mask[i, : len(reading.ids)] = True
        candidates[i, [candidate.position for candidate in reading.candidates]] = True
        weights[i, reading.it] = 1.0
        if golds is not None:
            targets[i, reading.it] = golds[i]
        if without_adjective:
            mask[i, list(reading.adjective)] = False
    n_tokens = sum(len(reading.ids) for reading in readings)
    return Batch(ids, targets, weights, mask=mask, n_tokens=n_tokens, candidates=candidates)
