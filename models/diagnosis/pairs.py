"""Checks of runs that learn from pairs of replies: DPO, KTO and reward models."""

from __future__ import annotations

import math

from terrarium.models.diagnosis import breakdown
from terrarium.models.diagnosis.breakdown import format_figure
from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding, Remedy
from terrarium.models.diagnosis.remedies import new_run
from terrarium.models.diagnosis.replies import SOME, align_of, calmer_remedy
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.number_words import format_percent
from terrarium.models.settings.align_spec import usual_align_train

_FELL = -0.1
"""The chosen replies of the pairs have become unlikely below this change, in nats per token."""
_GUESSING = 0.55
"""A share of pairs in the right order that is hardly better than guessing."""
_LEARNED = 0.7
"""A model has learned its training pairs if it orders at least this share of them rightly."""
_BY_LENGTH = 0.78
"""The rank correlation of scores and lengths from which a judge is considered to read little else: 0.86 and more, if
length was all that its annotator considered, and up to 0.76 if it was one thing among others (measured).
"""
_TOO_SURE = 0.1
"""By how much a judge's confidence may exceed its accuracy."""
_ERRORS = 2.0
_USUAL_PAIRS = 100
"""The assumed number of held-out pairs, if a run did not record it."""
_RECENT = 10
"""The number of recent steps in a mean: a batch has few pairs."""


def divergence(signs: Signs) -> Finding:
    """Check for divergence as for texts, but only above the initial loss: the loss of a few pairs is noisy."""
    finding = breakdown.divergence(signs)
    if not isinstance(finding, Diagnosis) or finding.evidence["loss now"] > signs.first_loss:
        return finding
    lowest, now = (finding.evidence[name] for name in ("lowest loss", "loss now"))
    return Check(kind="divergence", words=breakdown.describe_lowest(now, lowest))


def chosen_falls(signs: Signs) -> Finding:
    """Check for a margin that grows by making both replies of a pair unlikely, the rejected one more so."""
    log, align = signs.log, align_of(signs)
    chosen, rejected = (log.figure(f"logps/{side}_change") for side in ("chosen", "rejected"))
    margins = log.figure("rewards/margins")
    if len(chosen) < SOME:
        return Check(kind="chosen_falls", words=f"Needs {SOME} steps.", possible=False)
    now, worse = chosen.last(SOME), rejected.last(SOME)
    words = (
        f"The chosen replies changed by {format_figure(now, 2)} nats per token, the rejected ones by "
        f"{format_figure(worse, 2)}"
    )
    if now >= _FELL or margins.last(SOME) <= margins.first(1):
        return Check(kind="chosen_falls", words=f"{words}.")
    means = chosen.smoothed(SOME)
    healthy = [int(step) for step, value in zip(means.step, means.value, strict=True) if value >= _FELL / 2]
    onset = healthy[-1] if healthy else int(means.step[0])
    sentence = (
        f"{words}: the margin grows by making both less likely, and what becomes likely instead is in neither. Pairs "
        "that are nearly alike do this most, and so do many passes over few pairs."
    )
    evidence = {"chosen": now, "rejected": worse, "margin": margins.last(SOME)}
    if "nll_weight" in align.kind.options:
        weight = 0.2 if not align.nll_weight else float(f"{3 * align.nll_weight:.1g}")
        remedy = new_run({"align.nll_weight": weight})
    else:
        remedy = calmer_remedy(signs, onset)
    return Diagnosis(kind="chosen_falls", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def pairs_unlearned(signs: Signs) -> Finding:
    """Check for held-out pairs that are ordered no better than by guessing after half of the run."""
    log = signs.log
    held_out, own = log.figure("rewards/accuracies", held_out=True), log.figure("rewards/accuracies")
    share, error = _held_out(signs, "rewards/accuracies")
    if not math.isfinite(share):
        words = "Needs half of the planned steps, and a validation after that."
        return Check(kind="pairs_unlearned", words=words, possible=False)
    words = f"Of the validation pairs, {format_percent(share)} are in the right order"
    if share > _GUESSING:
        return Check(kind="pairs_unlearned", words=f"{words}.")
    if share + _ERRORS * error > _LEARNED:
        words = f"Needs more validation pairs: {format_percent(share)} are in the right order, which may be chance."
        return Check(kind="pairs_unlearned", words=words, possible=False)
    seen = own.last(_RECENT)
    evidence = {"right, validation": share, "right, learned from": seen, "standard error": error}
    if seen > _LEARNED:
        why = (
            f", but {format_percent(seen)} of those it learns from: it knows them by heart. More pairs would help most."
        )
        remedy = _fewer_steps(signs)
    else:
        why = (
            f", and {format_percent(seen)} of those it learns from: they contradict one another, or differ in what "
            "this model cannot see. Look at the most contradicted pairs first."
        )
        remedy = None
    return Diagnosis(
        kind="pairs_unlearned", sentence=words + why, step=int(held_out.step[0]), evidence=evidence, remedy=remedy
    )


def weak_judge(signs: Signs) -> Finding:
    """Check for a reward model that guesses, scores mostly by length, or is overconfident."""
    log = signs.log
    share, error = _held_out(signs, "accuracy")
    if not math.isfinite(share):
        words = "Needs half of the planned steps, and a validation after that."
        return Check(kind="weak_judge", words=words, possible=False)
    held_out = log.figure("accuracy", held_out=True)
    seen = log.figure("accuracy").last(_RECENT)
    by_length = log.figure("spearman_length", held_out=True).last()
    sure = log.figure("confidence", held_out=True).last()
    evidence = {
        "right, validation": share,
        "right, learned from": seen,
        "correlation with length": by_length,
        "confidence": sure,
    }
    words = f"The judge puts {format_percent(share)} of the validation pairs in the right order"
    remedy: Remedy | None = None
    if share <= _GUESSING and share + _ERRORS * error <= _LEARNED:
        words += f", hardly more than by guessing, and {format_percent(seen)} of those it learns from"
        if seen > _LEARNED:
            words += ": it knows them by heart. More pairs would help most."
            remedy = _fewer_steps(signs)
        elif (lr := usual_align_train("reward")["lr"]) > 3 * log.spec.train.lr:
            words += f". Its learning rate of {log.spec.train.lr:g} is low."
            remedy = new_run({"train.lr": lr})
        else:
            words += ". More pairs, or cleaner ones, would help most."
            remedy = new_run({"train.steps": 2 * log.spec.train.steps})
    elif abs(by_length) >= max(_BY_LENGTH, 3 * math.sqrt(2) * error):
        liked = "long" if by_length > 0 else "short"
        words += (
            f", but it likes {liked} replies: its scores and their lengths correlate by {format_figure(by_length, 2)}. "
            f"A model that learns from it will write {liked} ones. Pairs of equal length would help most."
        )
        remedy = new_run({"train.steps": 2 * log.spec.train.steps})
    elif sure > share + max(_TOO_SURE, _ERRORS * error):
        words += (
            f", but is sure of {format_percent(sure)} on average: fewer passes over the pairs, or more pairs, help."
        )
        remedy = _fewer_steps(signs)
    else:
        return Check(
            kind="weak_judge", words=f"{words}; scores and lengths correlate by {format_figure(by_length, 2)}."
        )
    return Diagnosis(kind="weak_judge", sentence=words, step=int(held_out.step[0]), evidence=evidence, remedy=remedy)


def _held_out(signs: Signs, name: str) -> tuple[float, float]:
    """Return a share of validation pairs and its standard error; NaN if not measured in the run's second half."""
    curve = signs.log.figure(name, held_out=True)
    if not len(curve) or curve.step[-1] < signs.log.begin + signs.log.planned_steps / 2:
        return math.nan, math.nan
    known = signs.log.figure("held_out/pairs", held_out=True)
    n = known.last() if len(known) else _USUAL_PAIRS
    return curve.last(), math.sqrt(0.25 / n)


def _fewer_steps(signs: Signs) -> Remedy:
    return new_run({"train.steps": max(1, signs.log.spec.train.steps // 2)})
