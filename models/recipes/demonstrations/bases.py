"""The models of the library that a demonstration of alignment can start from, and their accuracy. No torch import."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.library.run_record import RunInfo
from terrarium.models.number_words import format_percent
from terrarium.models.recipes.demonstrations.demonstrated import read_stage_mark
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec

STRONG = 0.97
"""The held-out accuracy of a base from which on the goals are meaningful."""
STRONG_STEPS = 3400
"""Steps of a quick start after which its model was that strong in every measured run."""
MIN_CONTEXT = 160
"""The maximum tokens of a question with a story."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A model that a demonstration can start from.

    headline: its held-out accuracy, None if not measured. step, total_steps: its last step, and the planned steps of
    its training. n_more: the steps that it is trained further first, 0 for none. seconds_more: their duration at the
    run's own speed, None if unknown.
    """

    run_id: str
    name: str
    step: int
    total_steps: int
    headline: float | None
    n_more: int = 0
    seconds_more: float | None = None

    @property
    def is_strong(self) -> bool:
        """Whether it is known to be good enough for the goals."""
        return self.headline is not None and is_strong(self.headline)


def is_strong(accuracy: float) -> bool:
    """Whether a base with this held-out accuracy is good enough for the goals."""
    return accuracy >= STRONG


def can_be_trained_on(spec: RunSpec, status: str) -> bool:
    """Whether more steps would improve a run on Tiny World: it was trained on it here, and from scratch."""
    return spec.data.source == "tiny-world" and spec.tune is None and status != "imported"


def steps_of_strong(step: int) -> int:
    """Return the step up to which a base is trained that is too weak after `step`."""
    return max(STRONG_STEPS, step + STRONG_STEPS // 2)


def format_accuracy(accuracy: float) -> str:
    """Format as “96.9 %”, rounded down, so that a value below a limit never appears to reach it."""
    return format_percent(math.floor(1000 * accuracy + 1e-9) / 1000, 1)


def list_bases(runs: Iterable[RunInfo]) -> list[Base]:
    """Return the runs that can answer questions and tell stories, in their order, without stages of demonstrations."""
    found = []
    for info in runs:
        if not info.has_model or (info.is_tuned and read_stage_mark(info.folder) is not None):
            continue
        with contextlib.suppress(ValueError):
            spec = RunFolder.open(info.folder).spec
            model = spec.model
            can_reply = model.topology == "decoder-only" and model.head == "language"
            if can_reply and spec.align is None and model.context_length >= MIN_CONTEXT:
                found.append(_base(info, spec))
    return found


def usual_base(bases: Sequence[Base]) -> Base | None:
    """Return the first strong base; else the best of those that were measured, else the first one."""
    strong = next((base for base in bases if base.is_strong), None)
    measured = [base for base in bases if base.headline is not None]
    best = max(measured, key=lambda base: base.headline or 0.0, default=None)
    return strong or best or next(iter(bases), None)


def _base(info: RunInfo, spec: RunSpec) -> Base:
    headline = None
    with contextlib.suppress(ValueError):  # a damaged evaluation can be measured again
        evaluated = read_evaluation(info.folder)
        headline = None if evaluated is None else evaluated.accuracy
    base = Base(run_id=info.id, name=info.name, step=info.step, total_steps=info.total_steps, headline=headline)
    if headline is None or base.is_strong or not can_be_trained_on(spec, info.status):
        return base
    n_more = steps_of_strong(info.step) - info.step
    per_step = info.elapsed_s / info.step if info.elapsed_s and info.step else None
    return dataclasses.replace(base, n_more=n_more, seconds_more=None if per_step is None else n_more * per_step)
