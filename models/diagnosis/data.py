"""Checks of the data: overfitting, too little training data, or too little validation data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding, Remedy
from terrarium.models.diagnosis.remedies import format_changes, new_run
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.number_words import format_count, format_percent

_RISE = 0.01
"""A run overfits if the validation loss has risen by this share of its total fall …"""
_MIN_RISE = 0.03
"""… and by this much, in nats."""
_PASSES = 4.0
"""Up to this many epochs, repeated text is about as good as new text (Muennighoff et al., "Scaling data-constrained
language models", 2023).
"""
_GAP = 0.2
"""The training loss may be lower than the validation loss by this share of the latter."""
_ERROR = 0.05
"""The half-width of the 95 % interval of a validation loss may be this share of it …"""
_MIN_ERROR = 0.1
"""… and in nats: a tenth of the perplexity."""
_DOUBT = math.log(2)
"""If all targets together have less than this loss, in nats, none has a probability below a half: all are right."""
_RULE_OF_THREE = 3.0
"""If none of n was wrong, at most 3/n of all others are (95 %; Hanley and Lippman-Hand, “If nothing goes wrong, is
everything all right?”, 1983).
"""


def overfitting(signs: Signs) -> Finding:
    """Check for a validation loss that rises by more than noise while the training loss falls.

    Both conditions are needed: if the learning rate is too high, both losses wander around one value, and the lowest
    validation loss is chance.
    """
    steps, losses = _validations(signs)
    if len(losses) < 3 or not signs.n_blocks:
        return Check(kind="overfitting", words="Needs three validations.", possible=False)
    at = int(np.argmin(losses))
    best, step = float(losses[at]), int(steps[at])
    if signs.log.was_stopped_early:
        words = f"Stopped early: the validation loss was lowest at step {step:,} ({best:.3g})."
        return Check(kind="overfitting", words=words)
    later = losses[at + 1 :]
    allowed = max(_RISE * signs.fall, _MIN_RISE, 3 * _validation_noise(losses))
    train_then, train_now = signs.loss_near(step), float(signs.loss[-1])
    has_risen = len(later) >= 2 and float(later[-2:].min()) >= best + allowed
    if not has_risen or train_then - train_now <= signs.min_difference:
        words = f"Validation loss: lowest {best:.3g} at step {step:,}, now {losses[-1]:.3g}."
        return Check(kind="overfitting", words=words)
    now = float(losses[-1])
    sentence = (
        f"The validation loss was lowest at step {step:,} ({best:.3g}) and is {now:.3g} now, while the training loss "
        f"fell from {train_then:.3g} to {train_now:.3g}."
    )
    evidence = {"lowest validation loss": best, "validation loss now": now, "training loss now": train_now}
    changes = _regularised(signs) | {"train.patience": 3}
    remedy = new_run(changes)
    return Diagnosis(kind="overfitting", sentence=sentence, step=step, evidence=evidence, remedy=remedy)


def little_data(signs: Signs) -> Finding:
    """Check for a text that is repeated often, and whose training loss is well below the validation loss."""
    per_pass = signs.log.measured.get("train_batches")
    if not per_pass:
        return Check(
            kind="little_data", words="Needs the length of the text, which this run did not record.", possible=False
        )
    passes = signs.log.last_step * signs.log.spec.train.grad_accum_steps / per_pass
    words = (
        f"The text was read {passes:.1f} times."
        if passes >= 1
        else f"{format_percent(passes, 1)} of the text has been read."
    )
    steps, losses = _validations(signs)
    if passes <= _PASSES or len(losses) < 2 or not signs.n_blocks:
        words += f" Up to {_PASSES:.0f} times, that is about as good as new text."
        return Check(kind="little_data", words=words)
    gap = float(losses[-1]) - signs.loss_near(steps[-1])
    gaps = losses - np.interp(steps, signs.steps, signs.loss)
    error = _error(signs)
    if gap < _GAP * losses[-1] or gap < 2 * (0.0 if math.isnan(error) else error):
        words += f" The validation loss is {abs(gap):.2g} {'above' if gap > 0 else 'below'} that of training."
        return Check(kind="little_data", words=words)
    wide = np.flatnonzero(gaps < _GAP * losses)
    often = (
        math.floor(_PASSES * per_pass / signs.log.spec.train.grad_accum_steps) + 1
    )  # earlier epochs were as good as new text
    onset = max(int(steps[wide[-1]]) if len(wide) else int(steps[0]), often)
    sentence = (
        f"The whole text was read {passes:.0f} times, and the loss on it ({signs.loss_near(steps[-1]):.3g}) is "
        f"{gap:.2g} below that on the validation text ({losses[-1]:.3g}): more text of this kind would help most."
    )
    changes = _regularised(signs) | {"train.patience": 3}
    if int(np.argmin(losses)) == len(losses) - 1:  # with dropout it learns more slowly
        changes |= {"train.steps": 2 * signs.log.spec.train.steps}
    evidence = {"times read": passes, "training loss": signs.loss_near(steps[-1]), "validation loss": float(losses[-1])}
    remedy = Remedy(words=f"Until then: new run with {format_changes(changes)}", changes=changes)
    return Diagnosis(kind="little_data", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def small_validation(signs: Signs) -> Finding:
    """Check for a validation loss whose standard error is too large to compare runs by it."""
    error = _error(signs)
    if math.isnan(error):
        words = "Needs a validation with a standard error."
        return Check(kind="small_validation", words=words, possible=False)
    loss = float(_validations(signs)[1][-1])
    n = signs.log.measured.get("val_targets", math.nan)
    if loss * n < _DOUBT:
        return _all_right(signs, n)
    if 2 * error < max(_ERROR * loss, _MIN_ERROR):
        words = f"The validation loss is known to ±{2 * error:.2g} (two standard errors)."
        return Check(kind="small_validation", words=words)
    used, in_all = (signs.log.measured.get(name, 0) for name in ("val_batches_used", "val_batches"))
    part = f" in {used:,.0f} of {format_count(int(in_all), 'validation batch', 'validation batches')}"
    tokens = f" over {n:,.0f} predicted tokens{part if used < in_all else ''}" if math.isfinite(n) else ""
    sentence = (
        f"The validation loss, a mean{tokens}, is {loss:.3g} ± {2 * error:.2g} (two standard errors): runs that are "
        "closer than that cannot be told apart by it"
    )
    evidence = {"validation loss": loss, "standard error": error, "tokens": n}
    step = int(signs.log.val_step[0])
    remedy = _validate_more(signs, (2 * error / max(_ERROR * loss, _MIN_ERROR)) ** 2)
    sentence += "." if remedy is not None else ". A longer text would leave more to validate on."
    return Diagnosis(kind="small_validation", sentence=sentence, step=step, evidence=evidence, remedy=remedy)


def _all_right(signs: Signs, n: float) -> Finding:
    """Check the size of a validation split if all `n` targets are right: their losses are nearly 0, without spread."""
    wrong = min(1.0, _RULE_OF_THREE / n)
    words = (
        f"All {n:,.0f} validation targets are right, with a loss of nearly 0. That leaves room for up to "
        f"{format_percent(wrong, 1)} wrong among new ones (3 in {n:,.0f}, the rule of three)"
    )
    if wrong <= _ERROR:
        return Check(kind="small_validation", words=f"{words}.")
    return Diagnosis(
        kind="small_validation",
        sentence=f"{words}: validate on more of them to know better.",
        step=int(signs.log.val_step[0]),
        evidence={"targets": n, "share that may be wrong": wrong},
        remedy=_validate_more(signs, wrong / _ERROR),
    )


def _validation_noise(losses: np.ndarray) -> float:
    """Estimate the noise of the validation loss around its trend (standard deviation), from second differences."""
    bends = np.abs(np.diff(losses, n=2))
    return 1.4826 * float(np.median(bends)) / math.sqrt(6) if len(bends) > 3 else 0.0


def _validations(signs: Signs) -> tuple[np.ndarray, np.ndarray]:
    """Return (steps, losses) of all validations after step 0."""
    known = np.isfinite(signs.log.val_loss) & (signs.log.val_step > 0)
    return signs.log.val_step[known], signs.log.val_loss[known]


def _error(signs: Signs) -> float:
    """Return the standard error of the last validation loss; NaN if unknown."""
    known = np.isfinite(signs.log.val_loss) & (signs.log.val_step > 0)
    errors = signs.log.val_error[known]
    return float(errors[-1]) if len(errors) else math.nan


def _regularised(signs: Signs) -> dict[str, Any]:
    """Return changed settings with more dropout."""
    return {"model.dropout": min(0.5, max(0.2, 2 * signs.log.spec.model.dropout))}


def _validate_more(signs: Signs, times: float) -> Remedy | None:
    """Return a remedy that validates on `times` as much text: more of the split if it has more, else a larger
    validation share.

    None if neither is possible.
    """
    log = signs.log
    used, in_all = log.measured.get("val_batches_used", 0), log.measured.get("val_batches", 0)
    wanted = math.ceil(2 * times * max(used, 1))
    changes: dict[str, Any]
    if in_all > used:
        changes = {"train.eval_batches": int(min(wanted, in_all))}
        fork = log.checkpoint_before(log.last_step) if log.last_step < log.spec.train.steps else None
        where = f"Fork from step {fork}" if fork is not None else "New run"
        return Remedy(words=f"{where} with {format_changes(changes)}", changes=changes, fork_step=fork)
    share = float(f"{min(0.5, 2 * times * log.spec.data.val_fraction):.1g}")
    if log.spec.data.source != "files" or share <= log.spec.data.val_fraction:
        return None
    changes = {"data.val_fraction": share, "train.eval_batches": max(log.spec.train.eval_batches, int(wanted))}
    return new_run(changes)
