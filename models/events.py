"""What long work yields: frozen facts, driven alike by the worker thread and the command line. No torch import."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of everything a generator yields."""


def result_of(work: Generator[object, None, Result]) -> Result:
    """Do all of some long work at one go -> what it returns; what it yields is not looked at."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """A stage of a longer job begins, in words fit for a status line: “Training the tokenizer”."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far the current phase is. `seconds_left` is an estimate, None while there is none."""

    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """A sentence the user should read, without anything having failed."""

    sentence: str


@dataclass(frozen=True, kw_only=True)
class VocabularyGrowth(Event):
    """How well the first tokens of a BPE vocabulary compress: measured on a sample of `sample_bytes` bytes."""

    vocab_size: int
    bytes_per_token: float
    sample_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """Training begins or goes on at `step` of `total_steps`."""

    run_id: str
    name: str
    step: int
    total_steps: int
    device: str
    precision: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class MicroStep(Event):
    """Between two micro-batches: nothing to show, but a moment at which others may be served."""

    step: int
    micro_step: int


@dataclass(frozen=True, kw_only=True)
class TrainMetrics(Event):
    """One optimizer step. loss in nats/token; elapsed_s is the run's own clock, waits left out.

    `bits_per_byte` is the loss in another unit, None where ValMetrics has none. `memory_bytes` is what the device holds
    (on the CPU: this process), None where it was not looked at after this step; `peak_share` what the arithmetic of the
    step's tokens (estimated) is of the fastest matrix product measured here.
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
    """How much the update of `step` changed each layer: its length divided by that of the weights."""

    step: int
    tokens: int
    elapsed_s: float
    update_ratio: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class ValMetrics(Event):
    """Loss on the validation split, in nats/token and in bits per byte of its text.

    The latter is None where only some tokens are guessed (masked tokens, span corruption), or some count more than
    others (a weight outside replies below 1). `loss_error` is the standard error of the loss, a mean over tokens.
    """

    step: int
    tokens: int
    elapsed_s: float
    loss: float
    bits_per_byte: float | None
    loss_error: float | None = None


ARROW = " → "
"""In a sample: what stands before is the prompt as it was read, with its gaps; what follows is the model's."""


@dataclass(frozen=True, kw_only=True)
class SampleMade(Event):
    """What the model at `step` writes after a pinned prompt; `top`: the most probable next tokens (id, probability)."""

    step: int
    prompt: str
    seed: int
    text: str
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class AttentionSeen(Event):
    """Where one layer looks in a pinned prompt: weights (H, T, S) of its heads, rows of `ids` over columns of them.

    `site` is the module's path, as in models.architecture.trace.
    """

    step: int
    prompt: str
    site: str
    ids: tuple[int, ...]
    weights: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something happened to the run at `step`, as events.jsonl says: started, resumed, saved, learning rate …"""

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
    """Nothing can go on until `reason` (a sentence) is mended; asking for the next event tries again."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run has ended with `status`, one of: finished, stopped, paused."""

    run_id: str
    status: str
    step: int


@dataclass(frozen=True, kw_only=True)
class TokenMade(Event):
    """One generated token. `text` is the new text it completes: empty while a character is still incomplete.

    The model's own distribution at this place, before any setting changed it: `probability` of the token in it, its
    `rank` (1 = the likeliest of the whole vocabulary), the distribution's `entropy` in nats, and, where they were asked
    for, the likeliest tokens in `top`: ids and natural logarithms of their probabilities. `draw` is the number in
    [0, 1) that the token was drawn with; None where nothing was drawn (temperature 0).
    """

    id: int
    text: str
    probability: float
    entropy: float
    rank: int
    draw: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReplyFinished(Event):
    """A generation has ended. `reason`: stop (end token or stop string), length (max_tokens or context full)."""

    reason: str
    n_prompt: int
    n_tokens: int
    prefill_s: float
    tokens_per_s: float


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
class Evaluated(Event):
    """The held-out evaluation is done. `accuracy` is the headline, the mean of the headline kinds."""

    accuracy: float
    kinds: tuple[KindAccuracy, ...]
    seconds: float
