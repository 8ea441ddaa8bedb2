"""From a corpus to tensors. A batch is a pure function of its step, so a checkpoint's data position is its step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.data.batch import Batch, Rows
from models.data.corpus import Corpus
from models.data.epoch_permutations import EpochPermutations
from models.data.examples import EncodedExample, ExampleForm, encode_examples
from models.data.old_rows import OldRows
from models.data.plain_objectives import Objective
from models.data.source_to_target import SourceToTarget
from models.number_words import format_count
from models.settings.run_spec import TrainConfig
from models.tokenizers import encode_text
from models.tokenizers.special_tokens import end_id

POOL_BATCHES = 16
"""Examples are sorted by length within pools of this many batches: little padding, yet every step is mixed."""


class Batches(Protocol):
    """What the trainer needs of one split of a corpus."""

    bytes_per_token: float | None
    """UTF-8 bytes of text per token of the split, which converts nats per token into bits per byte.

    None where the loss is not a plain mean over all tokens of the text: where the objective predicts only some of them,
    or they have different weights.
    """

    @property
    def n_batches(self) -> int:
        """Batches in one pass over the split."""

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        """The batch of a micro-step of a step (validation: steps 0 to n_batches - 1)."""


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """One split of a corpus as token ids: `ids` of one long text (n,), or `examples`."""

    split: str
    n_bytes: int
    ids: Tensor | None = None
    examples: Sequence[EncodedExample] = ()
    end: int = -1

    @property
    def n_tokens(self) -> int:
        """Number of tokens in the split."""
        return len(self.ids) if self.ids is not None else sum(len(ids) for ids, _ in self.examples)


def encode_split(corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm | None = None) -> EncodedSplit:
    """A split of a corpus, tokenized in the form in which a model reads examples.

    Raises:
        ValueError: where a file is damaged, or as `encode_examples`.
    """
    if corpus.kind == "text":
        text = corpus.read_text(split)
        return EncodedSplit(
            split=split, n_bytes=len(text.encode()), ids=torch.tensor(encode_text(tokenizer, text), dtype=torch.long)
        )
    encoded, n_bytes = encode_examples(corpus.read_examples(split), tokenizer, form or ExampleForm())
    return EncodedSplit(split=split, n_bytes=n_bytes, examples=encoded, end=end_id(tokenizer) or 0)


def objective_batches(
    encoded: EncodedSplit, objective: Objective, context_length: int, train: TrainConfig, old: OldRows | None = None
) -> Batches:
    """The batches that an objective makes of a split; ValueError where it is shorter than one context.

    old: what to mix into its examples.
    """
    shuffled = encoded.split == "train"
    if encoded.ids is not None:
        _check_length(len(encoded.ids), context_length, encoded.split)
        return TextBatches(encoded.ids, encoded.n_bytes, objective, train, shuffled=shuffled)
    examples = encoded.examples
    if isinstance(objective, SourceToTarget):
        train = dataclasses.replace(train, context_loss_weight=0.0)  # a source is never predicted
        whole, examples = examples, [objective.fit(example) for example in examples]
        batches = ExampleBatches(examples, encoded.n_bytes, objective, train, shuffled=shuffled, old=old)
        batches.n_cut = sum(sum(is_target) < sum(was) for (_, is_target), (_, was) in zip(examples, whole, strict=True))
        return batches
    if objective.ends_texts:
        examples = [(ids[:-1], reply[:-1]) if ids[-1] == encoded.end else (ids, reply) for ids, reply in examples]
    return ExampleBatches(examples, encoded.n_bytes, objective, train, shuffled=shuffled, old=old)


_FEW_TOKENS = 32


def _check_length(n_tokens: int, context_length: int, split: str) -> None:
    if n_tokens > context_length:
        return
    if split == "train" and n_tokens < _FEW_TOKENS:  # a context that short teaches nothing
        raise ValueError(
            f"The training text has only {format_count(n_tokens, 'token')}, too few to learn from: use a longer text, "
            "of some thousand words at least."
        )
    if split == "train":
        raise ValueError(
            f"The training text is {n_tokens} tokens long, but one context needs {context_length + 1}: use a longer "
            f"text, or a context length below {n_tokens}."
        )
    raise ValueError(
        f"The validation part is {n_tokens} tokens long, but one context needs {context_length + 1}: use a longer "
        f"text, a larger validation share, or a context length below {n_tokens}."
    )


class TextBatches:
    """Windows of one long text: in training in random order, with new boundaries in every epoch; else in order."""

    def __init__(self, ids: Tensor, n_bytes: int, objective: Objective, train: TrainConfig, *, shuffled: bool) -> None:
        self._ids, self._objective = ids, objective
        self._length = objective.width - objective.overlap
        self._batch_size, self._accum, self._seed = train.batch_size, train.grad_accum_steps, train.seed
        self._shuffled = shuffled
        self._permutations = EpochPermutations(train.seed)
        self.bytes_per_token = n_bytes / len(ids) if objective.predicts_text else None
        n_free = len(ids) - objective.overlap
        spare = n_free - self._length
        self._n_windows = max(1, spare // self._length) if shuffled else -(-n_free // self._length)
        self._spare = max(0, n_free - self._n_windows * self._length)

    @property
    def n_batches(self) -> int:
        return -(-self._n_windows // self._batch_size)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        first = (step * self._accum + micro_step) * self._batch_size if self._shuffled else step * self._batch_size
        last = first + self._batch_size if self._shuffled else min(first + self._batch_size, self._n_windows)
        starts = torch.tensor([self._start(index) for index in range(first, last)])
        positions = starts[:, None] + torch.arange(self._objective.width)  # (B, L)
        real = positions < len(self._ids)
        ids = self._ids[positions.clamp(max=len(self._ids) - 1)]
        seed = corruption_seed(self._seed, step, micro_step) if self._shuffled else corruption_seed(0, step, 0)
        return self._objective.batch(Rows(ids, real.float(), real), seed)

    def _start(self, index: int) -> int:
        if not self._shuffled:
            return index * self._length
        epoch, window = divmod(index, self._n_windows)
        order = self._permutations.permutation(epoch, self._n_windows)
        offset = int(order[0]) * 7919 % (self._spare + 1)  # the boundaries move from epoch to epoch
        return offset + int(order[window]) * self._length


class ExampleBatches:
    """Separate examples, padded at the end; of similar length within a batch, shuffled in every epoch.

    A batch has about batch_size × context_length tokens, so many short examples or a few long ones. Longer examples are
    truncated to the context: a reply that is cut has no end token. 94 to 98 % of the places are tokens, so that packing
    several examples into a row, which needs a mask, was 3 to 35 % slower (measured on a CPU, contexts of 256 and 512).

    n_examples: how many there are, without old ones. n_cut: how many of them are cut within or before a reply.
    """

    def __init__(
        self,
        encoded: Sequence[EncodedExample],
        n_bytes: int,
        objective: Objective,
        train: TrainConfig,
        *,
        shuffled: bool,
        old: OldRows | None = None,
    ) -> None:
        if not encoded:
            raise ValueError(
                "There are no examples in this part of the data: use a larger file or another validation share."
            )
        n_tokens = max(1, sum(len(ids) for ids, _ in encoded))
        self.n_cut = sum(any(reply[objective.width :]) for _, reply in encoded)
        self.n_examples, self._old = len(encoded), old if shuffled else None
        if self._old is not None:
            encoded = [*encoded, *self._old.examples]
        encoded = [(ids[: objective.width], reply[: objective.width]) for ids, reply in encoded]
        self._ids = torch.tensor([token for ids, _ in encoded for token in ids])
        reply = torch.tensor([flag for _, flags in encoded for flag in flags])
        self._weights = torch.where(reply, 1.0, train.context_loss_weight)
        equal_weights = bool((self._weights == 1.0).all())
        is_plain = objective.predicts_text and equal_weights and self._old is None
        self.bytes_per_token = n_bytes / n_tokens if is_plain else None
        self._lengths = torch.tensor([len(ids) for ids, _ in encoded])
        self._starts = self._lengths.cumsum(0) - self._lengths
        self._accum, self._shuffled, self._seed = train.grad_accum_steps, shuffled, train.seed
        self._objective = objective
        self._permutations = EpochPermutations(train.seed)
        per_batch = train.batch_size * (objective.width - objective.overlap)
        n_shown, mean = self.n_examples, float(self._lengths[: self.n_examples].float().mean())
        if self._old is not None:
            n_shown += self._old.count(self.n_examples)
            share = self._old.count(self.n_examples) / n_shown
            mean += share * (float(self._lengths[self.n_examples :].float().mean()) - mean)
        self._rows = max(1, int(per_batch / mean))
        self._n_batches = max(1, n_shown // self._rows) if shuffled else -(-n_shown // self._rows)
        self._plan: tuple[int, list[Tensor]] = (-1, [])

    @property
    def n_batches(self) -> int:
        return self._n_batches

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        if not self._shuffled:
            by_length = torch.argsort(self._lengths, stable=True)
            return self._gather(by_length[step * self._rows : (step + 1) * self._rows], corruption_seed(0, step, 0))
        epoch, index = divmod(step * self._accum + micro_step, self._n_batches)
        if self._plan[0] != epoch:
            self._plan = (epoch, self._plan_epoch(epoch))
        return self._gather(self._plan[1][index], corruption_seed(self._seed, step, micro_step))

    def _plan_epoch(self, epoch: int) -> list[Tensor]:
        """Each batch's rows in an epoch: shuffled, sorted by length within pools, the batches shuffled again."""
        order = self._permutations.permutation(epoch, self.n_examples)
        if self._old is not None:
            order = torch.cat((order, self.n_examples + self._old.rows_of(epoch, self.n_examples)))
            order = order[self._permutations.permutation(epoch, len(order))]
        batches: list[Tensor] = []
        for pool in order[: self._n_batches * self._rows].split(POOL_BATCHES * self._rows):
            by_length = pool[torch.argsort(self._lengths[pool], stable=True)]
            batches.extend(by_length.split(self._rows))
        return [batches[int(i)] for i in self._permutations.permutation(-1 - epoch, len(batches))]

    def _gather(self, rows: Tensor, seed: int) -> Batch:
        lengths, starts = self._lengths[rows], self._starts[rows]
        columns = torch.arange(int(lengths.max()))
        real = columns < lengths[:, None]  # (B, L)
        positions = torch.where(real, starts[:, None] + columns, 0)
        ids = torch.where(real, self._ids[positions], 0)
        weights = torch.where(real, self._weights[positions], 0.0)
        return self._objective.batch(Rows(ids, weights, real), seed)


def corruption_seed(seed: int, step: int, micro_step: int) -> int:
    """The seed for an objective's draws; differs from the one for dropout, which is derived in the same way."""
    return ((seed * 1_000_003 + step) * 65_539 + micro_step + 0x5EED) % 2**63
