"""Measurements of a model that learns, to show."""

from __future__ import annotations

from terrarium.models.events import AccuracyMeasured, HeldOutAnswer, KindAccuracy
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KINDS


def measured(step: int, accuracy: float, reply: str = "The the.") -> AccuracyMeasured:
    """All headline kinds have this accuracy on 24 questions, the others none; stories alone are right."""
    kinds = tuple(
        KindAccuracy(
            kind=kind,
            n=24,
            accuracy=accuracy if kind in HEADLINE_KINDS else 0.0,
            most_frequent=0.125,
            last_mentioned=0.25 if kind in ("reading", "state") else None,
        )
        for kind in KINDS
    )
    answers = tuple(
        HeldOutAnswer(
            kind=kind, question=f"A question of {kind}?", gold=f"{kind}.", reply=reply, right=kind == "requests"
        )
        for kind in KINDS
    )
    return AccuracyMeasured(
        step=step, tokens=100 * step, elapsed_s=0.1 * step, accuracy=accuracy, kinds=kinds, answers=answers, seconds=0.2
    )
