"""Which models of the library a demonstration of alignment can start from, and how good each is. No torch import."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.evaluation.record import read_evaluation
from models.library.run_record import RunInfo
from models.recipes.alignment.results import STRONG, Demonstrated, DemonstrationResult, read_stage_mark
from models.runs.run_folder import RunFolder

MIN_CONTEXT = 160
"""Tokens that a question and a story need, at most."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A model that a demonstration can start from. headline: its share of right answers to held-out questions, None if
    that was not measured. step, total_steps: where it is, and where its training was to end."""

    run_id: str
    name: str
    step: int
    total_steps: int
    headline: float | None

    @property
    def is_strong(self) -> bool:
        """Whether it is known to be good enough for the bars."""
        return self.headline is not None and self.headline >= STRONG


def list_bases(runs: Iterable[RunInfo], demonstrated: Sequence[Demonstrated]) -> list[Base]:
    """Those of the runs that can be asked and tell stories, in their order; stages of demonstrations are left out.

    demonstrated: what has come to its end; some of these have measured their base.
    """
    found = []
    for info in runs:
        if not info.has_model or read_stage_mark(info.folder) is not None:
            continue
        with contextlib.suppress(ValueError):
            spec = RunFolder.open(info.folder).spec
            model = spec.model
            can_reply = model.topology == "decoder-only" and model.head == "language"
            if can_reply and spec.align is None and model.context_length >= MIN_CONTEXT:
                base = Base(
                    run_id=info.id,
                    name=info.name,
                    step=info.step,
                    total_steps=info.total_steps,
                    headline=_headline(info, demonstrated),
                )
                found.append(base)
    return found


def usual_base(bases: Sequence[Base]) -> Base | None:
    """The first one that is strong; else the best of those that were measured, else the first one."""
    strong = next((base for base in bases if base.is_strong), None)
    measured = [base for base in bases if base.headline is not None]
    best = max(measured, key=lambda base: base.headline or 0.0, default=None)
    return strong or best or next(iter(bases), None)


def _headline(info: RunInfo, demonstrated: Sequence[Demonstrated]) -> float | None:
    with contextlib.suppress(ValueError):  # what is damaged can be measured again
        evaluated = read_evaluation(info.folder)
        if evaluated is not None:
            return evaluated.accuracy
    for each in demonstrated:
        if each.result.base == info.id and isinstance(each.result, DemonstrationResult):
            return each.result.stages["base"].headline
    return None
