"""Events that long computations yield: immutable, used by the worker and the command line alike. No torch import."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")
Reported = TypeVar("Reported", bound="Event")

_MIN_S = 1.0
"""Minimum elapsed seconds before a remaining time is estimated."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base class of all events."""


def result_of(work: Generator[object, None, Result]) -> Result:
    """Run a generator to its end and return its result; the events are discarded."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


def reporting(work: Generator[object, None, Result], event: Reported) -> Generator[Reported, None, Result]:
    """Run a generator to its end and return its result; yields `event` wherever it yields."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield event


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """A phase of a longer job begins, with a name fit for a status line: “Training the tokenizer”."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """Progress of the current phase. `seconds_left` is an estimate, or None before one exists."""

    done: int
    total: int
    seconds_left: float | None = None


class ProgressMeter:
    """Makes the Progress of a phase that begins now, with the seconds left at the average speed so far."""

    def __init__(self, total: int) -> None:
        self._total, self._began, self._first = total, time.monotonic(), -1

    def progress(self, done: int) -> Progress:
        """Progress at `done`; what was done at the first call, by an earlier try, is not counted in the speed."""
        if self._first < 0:
            self._first = done
        seconds, n = time.monotonic() - self._began, done - self._first
        left = seconds / n * (self._total - done) if n > 0 and seconds > _MIN_S else None
        return Progress(done=done, total=self._total, seconds_left=left)


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """A message for the user; nothing has failed."""

    sentence: str


@dataclass(frozen=True, kw_only=True)
class ShownText:
    """A training example: a question with its answer, or a passage with an empty `answer`."""

    text: str
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class TextsShown(Event):
    """Some of the data that is being made or read."""

    texts: tuple[ShownText, ...]


@dataclass(frozen=True, kw_only=True)
class WordMerges:
    """A word, and the tokens that it consists of: at first its characters, then after each merge of a tokenizer."""

    word: str
    states: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class WordsMerged(Event):
    """How some words become tokens, by the tokenizer just trained."""

    words: tuple[WordMerges, ...]


@dataclass(frozen=True, kw_only=True)
class VocabularyGrowth(Event):
    """How well the first tokens of a BPE vocabulary compress, measured on `sample_bytes` bytes."""

    vocab_size: int
    bytes_per_token: float
    sample_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """Training starts or resumes at `step` of `total_steps`."""

    run_id: str
    name: str
    step: int
    total_steps: int
    device: str
    precision: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class MicroStep(Event):
    """Between two micro-batches: nothing to show, but other jobs may run now."""

    step: int
    micro_step: int


@dataclass(frozen=True, kw_only=True)
class TrainMetrics(Event):
    """One optimizer step. loss in nats/token; elapsed_s is the run's own clock, without pauses.

    `bits_per_byte` is the loss in another unit, or None as in ValMetrics. `memory_bytes` is the memory in use on
    the device (on the CPU: by this process), or None if not measured at this step. `peak_share` is the estimated
    arithmetic of the step divided by what the fastest matrix product measured on this machine would do in that time
    (model FLOPs utilization).
    """

    step: int
    total_steps: int
    tokens: int
    elapsed_s: float
    loss: float
    lr: float
    grad_norm: float
    tokens_per_s: float
    seconds_left: float
    bits_per_byte: float | None = None
    memory_bytes: int | None = None
    peak_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerMetrics(Event):
    """Relative size of each layer's update at `step`: its norm divided by the norm of the weights."""

    step: int
    tokens: int
    elapsed_s: float
    update_ratio: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class ValMetrics(Event):
    """Loss on the validation split, in nats/token and in bits per byte of its text.

    The latter is None where only some tokens are predicted (masked tokens, span corruption), or where their weights
    differ (prompt loss weight below 1). `loss_error` is the standard error of the loss, a mean over tokens.

    A dataset's task also has its `metric` (models.metrics) and its value, None where it is undefined. An alignment has
    a metric only: its loss is not a number (NaN).
    """

    step: int
    tokens: int
    elapsed_s: float
    loss: float
    bits_per_byte: float | None
    loss_error: float | None = None
    metric: str | None = None
    metric_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class AlignMetrics(Event):
    """Figures of a step of an alignment, or of the validation after it (`is_validation`), by TRL's names."""

    step: int
    tokens: int
    elapsed_s: float
    is_validation: bool
    figures: tuple[tuple[str, float], ...]


ARROW = " → "
"""In a sample: separates the prompt as the model read it, with its gaps, from the model's text."""


@dataclass(frozen=True, kw_only=True)
class SampleMade(Event):
    """The model's continuation of a pinned prompt at `step`; `top`: the most probable next tokens (id, probability)."""

    step: int
    prompt: str
    seed: int
    text: str
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class AttentionSeen(Event):
    """One layer's attention in a pinned prompt: weights (H, T, S), rows of `ids` over columns of `ids`.

    `site` is the module's path, as in models.architecture.trace.
    """

    step: int
    prompt: str
    site: str
    ids: tuple[int, ...]
    weights: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something happened to the run at `step`, as in events.jsonl: started, resumed, saved, learning rate …"""

    step: int
    event: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint is complete on disk."""

    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Blocked(Event):
    """Work is blocked until the `reason` (a sentence) is removed; requesting the next event tries again."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run has ended with `status`, one of: finished, stopped, paused."""

    run_id: str
    status: str
    step: int


@dataclass(frozen=True, kw_only=True)
class Speculated:
    """How speculative decoding produced a token.

    outcome: accepted (the draft model proposed it), replaced (the model rejected the proposal and
    sampled this token), or bonus (the extra token that a pass of the model yields beyond the draft).
    proposed: the draft model's token; −1 for a bonus. p, q: its probability in the model and in the draft
    model, both after the sampling settings.
    """

    outcome: str
    proposed: int = -1
    p: float = 0.0
    q: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TokenMade(Event):
    """One generated token. `text` is the new text that it completes: empty while a character is still incomplete.

    Of the model's own distribution at this position, before any sampling setting: the token's `probability` and `rank`
    (1 = most probable), the `entropy` in nats, and, where requested, the most probable tokens in `top`: ids and natural
    logarithms of their probabilities. `draw` is the random number in [0, 1) that selected the token; None where nothing
    was drawn (temperature 0), or not from this distribution alone: with a draft model, see `speculated`.
    """

    id: int
    text: str
    probability: float
    entropy: float
    rank: int
    draw: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    speculated: Speculated | None = None


@dataclass(frozen=True, kw_only=True)
class ReplyFinished(Event):
    """A generation has ended. `reason`: stop (end token or stop text), or length (max_tokens or full context).

    With a draft model: how many tokens it drafted (n_drafted), how many of them are in the reply (n_accepted), and in
    how many passes the model made all n_tokens (n_passes); 0 without one.
    """

    reason: str
    n_prompt: int
    n_tokens: int
    prefill_s: float
    tokens_per_s: float
    n_drafted: int = 0
    n_accepted: int = 0
    n_passes: int = 0


@dataclass(frozen=True, kw_only=True)
class KindAccuracy:
    """Held-out accuracy of one kind of question, with its baselines (all shares between 0 and 1)."""

    kind: str
    n: int
    accuracy: float
    most_frequent: float
    last_mentioned: float | None = None
    without_story: float | None = None


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswer:
    """A model's reply to a held-out question. gold: the right answer; for requested stories, one of many."""

    kind: str
    question: str
    gold: str
    reply: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The held-out evaluation is done. `accuracy` is the headline figure: the mean of the headline kinds.

    answers: to the first question of each kind; () if they were not retained.
    """

    accuracy: float
    kinds: tuple[KindAccuracy, ...]
    seconds: float
    answers: tuple[HeldOutAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccuracyMeasured(Event):
    """Held-out accuracy at `step` of a training, on few questions of each kind, always the same ones.

    accuracy: the mean of the headline kinds, as in Evaluated. answers: to the first question of each kind.
    """

    step: int
    tokens: int
    elapsed_s: float
    accuracy: float
    kinds: tuple[KindAccuracy, ...]
    answers: tuple[HeldOutAnswer, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TextCompared(Event):
    """Bits per byte of the held-out end of a text, under models fitted to the rest.

    n_held_out, n_train: numbers of held-out and of training bytes. gzip: growth of the compressed training text when
    the held-out bytes are appended. trigram, table: Kneser–Ney n-gram models of bytes, of order 3 and of the best
    order, `table_order`.
    model: the run's model after `step` steps, or None before the first evaluation.
    """

    n_held_out: int
    n_train: int
    gzip: float
    trigram: float
    table: float
    table_order: int
    model: float | None = None
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class KnownFigure:
    """A model's score on one kind of question, or its loss on a text.

    kind: the kind of question, or "loss". value: the share of right answers (0 to 1), or nats per token. n: how many
    questions, or tokens, it is measured on.
    """

    kind: str
    value: float
    n: int


@dataclass(frozen=True, kw_only=True)
class KnowledgeMeasured(Event):
    """Forgetting check: a fine-tuned model's scores at `step` on its parent's training corpus, `corpus` (a label)."""

    step: int
    corpus: str
    figures: tuple[KnownFigure, ...]
    seconds: float
