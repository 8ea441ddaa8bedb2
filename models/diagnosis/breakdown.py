"""Checks for training that breaks down: NaN, divergence, exploding or vanishing gradients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding, Remedy
from terrarium.models.diagnosis.remedies import (
    STRONG_DECAY,
    beta2_below_beta1,
    decay_share,
    gentler_remedy,
    new_run,
    scaled_rates,
)
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.number_words import format_percent, with_minus

_DIVERGED = 0.25
"""A loss has diverged if it has risen by this share of its total fall …"""
_DIVERGED_MIN = 0.2
"""… and by this share of the loss of uniform guessing."""
_DIVERGED_MAX_NOISE = 0.5
_EXPLODED = 10.0
"""Gradients have exploded if their norm is this many times its lowest …"""
_EXPLODED_START = 4.0
"""… and this many times that of the first steps."""
_EXPLODED_ONSET = 3.0
"""The explosion starts when the norm exceeds this many times its lowest."""
_FIRST = 5
"""The first gradient norm is the median over this many steps."""
_DEAD = 1e-4
"""Gradients are dead below this share of the first ones (or a norm of 1e-6)."""
_LOW_LOSS = 0.25
"""Below this share of the loss of guessing, gradients may be small because little is left to learn."""


def nan(signs: Signs) -> Finding:
    """Check for a loss, gradient or weight that is not finite, which ends the training."""
    log = signs.log
    broken = np.flatnonzero(~(np.isfinite(log.loss) & np.isfinite(log.grad_norm)))
    if not len(broken) and not (log.status == "failed" and any("not a number" in detail for *_, detail in log.events)):
        return Check(kind="nan", words=f"All {len(log.loss):,} losses and gradients are finite numbers.")
    step = int(log.step[broken[0]]) if len(broken) else log.last_step + 1
    seen = np.isfinite(log.grad_norm)
    norms, steps = log.grad_norm[seen], log.step[seen]
    if not len(norms):
        remedy = _restart_gently(signs)
        return Diagnosis(
            kind="nan", sentence="The very first step has no finite loss or gradient.", step=step, remedy=remedy
        )
    usual = float(np.median(norms[: max(3, len(norms) // 2)]))
    wild = np.flatnonzero(norms > _EXPLODED * usual)
    onset = int(steps[wild[0]]) if len(wild) else step - 1
    sentence = f"The loss or gradient of step {step:,} is not a number"
    if len(wild):
        largest = float(norms[wild].max())
        sentence += (
            f": from step {onset:,} on, the gradient norm grew from {format_figure(usual)} to {format_figure(largest)}"
        )
    evidence = {"usual gradient norm": usual, "last gradient norm": float(norms[-1])} | _decay_evidence(signs)
    remedy = gentler_remedy(signs, onset - 1)
    return Diagnosis(kind="nan", sentence=f"{sentence}{_why(signs)}.", step=onset, evidence=evidence, remedy=remedy)


def divergence(signs: Signs) -> Finding:
    """Check for a loss that stays far above its lowest value."""
    if signs.n_blocks < 3:
        return Check(kind="divergence", words=f"Needs {3 * signs.block} steps.", possible=False)
    losses = np.concatenate(([signs.first_loss], signs.loss))
    lowest = float(np.nanmin(losses[:-2]))
    noise = min(6 * signs.noise, _DIVERGED_MAX_NOISE * signs.guessing)  # a diverging loss is noisy
    allowed = max(_DIVERGED * signs.fall, _DIVERGED_MIN * signs.guessing, noise, signs.usual_spread[0] - lowest)
    now, before = float(losses[-1]), float(losses[-2])
    if not (now > lowest + allowed and before > lowest + allowed / 2):
        return Check(
            kind="divergence",
            words=describe_lowest(now, lowest),
        )
    onset = _last_healthy_step(signs, losses <= lowest + allowed / 4)
    sentence = (
        f"The loss fell to {format_figure(lowest)}, but has risen to {format_figure(now)} since step {onset:,}"
        f"{_why(signs)}."
    )
    evidence = {"lowest loss": lowest, "loss now": now} | _decay_evidence(signs)
    return Diagnosis(
        kind="divergence", sentence=sentence, step=onset, evidence=evidence, remedy=gentler_remedy(signs, onset)
    )


def exploding(signs: Signs) -> Finding:
    """Check for gradients that have grown by orders of magnitude, and stay large."""
    if signs.n_blocks < 3:
        return Check(kind="exploding", words=f"Needs {3 * signs.block} steps.", possible=False)
    norms = signs.grad_norm
    first = float(np.nanmedian(signs.log.grad_norm[:_FIRST]))
    lowest, now = min(first, float(np.nanmin(norms[:-1]))), float(norms[-1])
    if not (now > _EXPLODED * lowest and now > max(_EXPLODED_START * first, signs.usual_spread[1])):
        usual, largest = float(np.nanmedian(norms)), float(np.nanmax(signs.log.grad_norm))
        words = f"Gradient norm: median {format_figure(usual, 2)}, largest {format_figure(largest, 2)}."
        return Check(kind="exploding", words=words)
    onset = _last_healthy_step(signs, np.concatenate(([first], norms)) <= _EXPLODED_ONSET * lowest)
    clip = signs.log.spec.train.grad_clip
    clipped = "without clipping" if clip == 0 else f"clipped to {clip:g}"
    sentence = (
        f"The gradient norm grew from {format_figure(lowest)} to {format_figure(now)} since step {onset:,}, {clipped}"
        f"{_why(signs)}."
    )
    evidence = {"lowest gradient norm": lowest, "gradient norm now": now} | _decay_evidence(signs)
    return Diagnosis(
        kind="exploding", sentence=sentence, step=onset, evidence=evidence, remedy=gentler_remedy(signs, onset)
    )


def dead(signs: Signs) -> Finding:
    """Check for gradients too small to change the weights, although the loss is not low."""
    if signs.n_blocks < 2:
        return Check(kind="dead", words=f"Needs {2 * signs.block} steps.", possible=False)
    norms = signs.grad_norm
    first, now = float(np.nanmedian(signs.log.grad_norm[:_FIRST])), float(np.nanmax(norms[-2:]))
    loss = float(signs.loss[-1])
    if not (now <= max(_DEAD * first, 1e-6) and loss > _LOW_LOSS * signs.guessing):
        words = f"Gradient norm: {format_figure(first, 2)} at the start, {format_figure(now, 2)} now."
        return Check(kind="dead", words=words)
    alive = np.flatnonzero(norms > max(_DEAD * first, 1e-6))
    onset = int(signs.steps[alive[-1]]) + 1 if len(alive) else int(signs.log.step[0])
    std = signs.log.spec.model.init_std
    why = f": all weights start at {std:g}, so all gradients are zero" if std == 0 else ""
    sentence = (
        f"The gradient norm is {format_figure(now, 2)} from step {onset:,} on, while the loss is still "
        f"{format_figure(loss)}{why}."
    )
    remedy = _restart_gently(signs)
    return Diagnosis(
        kind="dead", sentence=sentence, step=onset, evidence={"gradient norm": now, "loss": loss}, remedy=remedy
    )


def _last_healthy_step(signs: Signs, is_healthy: NDArray[np.bool_]) -> int:
    """Return the end of the last healthy block. `is_healthy` (1 + blocks): for the first step, and for each block."""
    at = int(np.flatnonzero(is_healthy)[-1])
    return int(signs.steps[at - 1]) if at else int(signs.log.step[0])


def _restart_gently(signs: Signs) -> Remedy:
    """Return a new run with the default init std or, if that was not the cause, with lower learning rates."""
    std = signs.log.spec.model.init_std
    usual = 1e-3 <= std <= 0.3
    changes = scaled_rates(signs, 0.1) if usual else {"model.init_std": 0.02}
    return new_run(changes)


def _why(signs: Signs) -> str:
    """Return the end of a sentence: the cause, if the settings reveal it."""
    share, ratio = decay_share(signs), signs.largest_ratio
    if share > STRONG_DECAY:
        return f"; weight decay multiplies the weights by {format_figure(1 - share)} at each step"
    if beta2_below_beta1(signs):
        optimizer = signs.log.spec.train.optimizer_info.lr_of
        return f"; beta 2 is below beta 1, so {optimizer} divides by outdated second moments"
    if math.isfinite(ratio) and ratio > 0.04:
        return f"; one update changed up to {format_percent(ratio)} of a layer's weights"
    return ""


def _decay_evidence(signs: Signs) -> dict[str, float]:
    share, ratio = decay_share(signs), signs.largest_ratio
    evidence = {"weight decay per step": share} if share > STRONG_DECAY else {}
    return evidence | ({"largest update": ratio} if math.isfinite(ratio) else {})


def describe_lowest(now: float, lowest: float) -> str:
    """Describe how far a smoothed loss is above its lowest, with the digits of the curves."""
    if now <= lowest:
        return f"The smoothed loss is {now:,.3f}, its lowest so far."
    return f"The smoothed loss is {now:,.3f}; its lowest was {lowest:,.3f}."


def format_figure(value: float, digits: int = 3) -> str:
    """Format a number with `digits` significant digits; large numbers in full: “1.41”, “−26,031”."""
    is_large = math.isfinite(value) and abs(value) >= 10**digits
    return with_minus(f"{value:,.0f}" if is_large else f"{value:.{digits}g}")
