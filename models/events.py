"""The immutable events that long computations yield, for the worker and the command line alike. No torch import."""

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
    """Run a generator to its end and return its result; yields `event` instead of each of its events."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield event


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """A phase of a longer job begins; its name is for a status line: “Training the tokenizer”."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """Progress of the current phase. `seconds_left` is an estimate, or None before one exists."""

    done: int
    total: int
    seconds_left: float | None = None


class ProgressMeter:
    """Creates the Progress events of a phase that begins now, with the seconds left at the average speed so far."""

    def __init__(self, total: int) -> None:
        self._total, self._began, self._first = total, time.monotonic(), -1

    def progress(self, done: int) -> Progress:
        """Return the Progress at `done`. The speed excludes work done before the first call, by an earlier attempt."""
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
    """Examples of the data that is being generated or read."""

    texts: tuple[ShownText, ...]


@dataclass(frozen=True, kw_only=True)
class WordMerges:
    """A word, and its tokens after each merge of a tokenizer; the first state is its characters."""

    word: str
    states: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class WordsMerged(Event):
    """The merges of some words by the tokenizer just trained."""

    words: tuple[WordMerges, ...]


@dataclass(frozen=True, kw_only=True)
class VocabularyGrowth(Event):
    """The compression by the first `vocab_size` tokens of a BPE vocabulary, measured on `sample_bytes` bytes."""

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
    """A pause between two micro-batches in which other jobs may run; there is nothing to show."""

    step: int
    micro_step: int


@dataclass(frozen=True, kw_only=True)
class TrainMetrics(Event):
    """An optimizer step. `loss`: in nats per token. `elapsed_s`: the run's own clock, without pauses.

    `bits_per_byte`: the loss in another unit, or None as in ValMetrics. `memory_bytes`: the memory in use on the device
    (on the CPU: by this process), or None if not measured at this step. `peak_share`: the estimated FLOPs of the step,
    divided by those of the fastest matrix product measured on this machine in the same time (model FLOPs utilization).
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
    """The validation loss, in nats per token and in bits per byte of the text.

    `bits_per_byte` is None if only some tokens are predicted (masked tokens, span corruption), or if their weights
    differ (prompt loss weight below 1). `loss_error` is the standard error of the loss, a mean over tokens.

    For a dataset's task, `metric` (models.metrics) and `metric_value` are set; the value is None if undefined. An
    alignment has only a metric: its loss is NaN.
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
    """The figures of an alignment step, or of the validation after it (`is_validation`), by TRL's names."""

    step: int
    tokens: int
    elapsed_s: float
    is_validation: bool
    figures: tuple[tuple[str, float], ...]


ARROW = " → "
"""Separates, in a sample, the prompt as the model read it (with gaps, if any) from the model's text."""


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
    """The attention of a layer on a pinned prompt: weights (H, T, S), with `ids` as rows and as columns.

    `site`: the module's path, as in models.architecture.trace.
    """

    step: int
    prompt: str
    site: str
    ids: tuple[int, ...]
    weights: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """An entry of the run's events.jsonl at `step`: started, resumed, saved, learning rate …"""

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
    """Work is blocked by the `reason` (a sentence), such as a full disk; requesting the next event tries again."""

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

    outcome: accepted (the draft model proposed it), replaced (the model rejected the proposal and sampled this token),
    or bonus (the extra token that a pass of the model yields after the draft). proposed: the draft model's token; −1
    for a bonus. p, q: its probability in the model and in the draft model, both after the sampling settings.
    """

    outcome: str
    proposed: int = -1
    p: float = 0.0
    q: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TokenMade(Event):
    """A generated token. `text`: the new text that it completes, empty while a character is incomplete.

    From the model's own distribution at this position, before any sampling setting: the token's `probability` and
    `rank` (1 = most probable), the `entropy` in nats, and, if requested, the most probable tokens in `top`: ids and
    natural logarithms of their probabilities. `draw`: the random number in [0, 1) that selected the token; None if
    nothing was drawn (temperature 0), or if the token was not drawn from this distribution alone: with a draft model,
    see `speculated`.
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

    With a draft model: the number of tokens that it drafted (n_drafted), of those in the reply (n_accepted), and of the
    model's passes for all n_tokens (n_passes). All 0 without one.
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
    """Held-out accuracy on a kind of question, with its baselines (all between 0 and 1)."""

    kind: str
    n: int
    accuracy: float
    most_frequent: float
    last_mentioned: float | None = None
    without_story: float | None = None


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswer:
    """A model's reply to a held-out question. gold: the right answer; for a requested story, one of many."""

    kind: str
    question: str
    gold: str
    reply: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The held-out evaluation is complete. `accuracy`: the headline figure, the mean over the headline kinds.

    answers: those to the first question of each kind; () if they were not retained.
    """

    accuracy: float
    kinds: tuple[KindAccuracy, ...]
    seconds: float
    answers: tuple[HeldOutAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccuracyMeasured(Event):
    """Held-out accuracy at `step` of a training, on a few questions of each kind, always the same ones.

    accuracy: the mean over the headline kinds, as in Evaluated. answers: those to the first question of each kind.
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

    n_held_out, n_train: the numbers of held-out and training bytes. gzip: the growth of the compressed training text
    when the held-out bytes are appended. trigram, table: Kneser–Ney n-gram models of bytes, of order 3 and of the best
    order, `table_order`. model: the run's model after `step` steps, or None before the first evaluation.
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

    kind: the kind of question, or "loss". value: the share of right answers (0 to 1), or nats per token. n: the number
    of questions or tokens.
    """

    kind: str
    value: float
    n: int


@dataclass(frozen=True, kw_only=True)
class KnowledgeMeasured(Event):
    """Forgetting check: a fine-tuned model's scores at `step` on its parent's data, labelled `corpus`."""

    step: int
    corpus: str
    figures: tuple[KnownFigure, ...]
    seconds: float
