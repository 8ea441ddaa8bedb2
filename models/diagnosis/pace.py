"""Checks of progress: a learning rate too high or too low, or a loss that no longer falls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding, Remedy
from terrarium.models.diagnosis.log import Numbers
from terrarium.models.diagnosis.remedies import GOOD_MOVEMENT, format_changes, new_run, restart_remedy, scaled_rates
from terrarium.models.diagnosis.signs import MIN_MEASURED, Signs
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.settings.spec_changes import value_of
from terrarium.models.training.schedule import DECAY_SHARE

_LARGE_RATIO = 0.04
"""Updates above this update-to-weight ratio are considered the cause of a plateau."""
_LULL_AT_HIGH = 0.25
"""A plateau is a loss that has not fallen for this share of all planned steps at a high learning rate …"""
_LULL = 0.6
"""… or for this share at any learning rate, if the updates are not the cause."""
_HIGH = 0.3
"""A learning rate is high from this share of its maximum on."""
_MIN_LULL = 50
"""The minimum number of steps of a plateau."""
_FALLING_LOW = 0.05
"""For a loss that is already low: the share of itself by which it still falls."""
_LATEST = 5
"""“Now” is the median of this many blocks."""
_LEARNED = 0.25
"""A fine-tuning has learned nearly everything below this share of its first loss, …"""
_LITTLE = 0.15
"""… or below this many nats per token: the rest may be the choice among equally right words."""
_NOTHING_LEFT = 0.001
"""Nats, below which each target has a probability of 99.9 %."""
_SMALL_MOVEMENT = 0.3
"""Below this sum of all update-to-weight ratios, a run cannot learn much."""
_HARDLY_LEARNED = 0.5
"""A run has hardly learned if its loss is above this share of the loss of guessing …"""
_FALLING = 0.015
"""A loss still falls if it falls by this share of its total fall while the steps grow e-fold."""


_STEADIEST = "muon"
"""The optimizer that leaves plateaus sooner than any other."""


def lr_high(signs: Signs) -> Finding:
    """Check for large updates that keep the loss from falling."""
    ratio = signs.largest_ratio
    if math.isnan(ratio):
        return Check(kind="lr_high", words=_needs_layers(signs, 1), possible=False)
    begin, end = _high_lull(signs)
    excess = math.sqrt(ratio / _LARGE_RATIO)  # far too high rates let the loss fall a little as they decay
    least = max(_MIN_LULL, _LULL_AT_HIGH * signs.log.planned_steps)
    if not (ratio > _LARGE_RATIO and end - begin >= least) or _validation_falls(signs, begin, end, excess):
        words = f"Single updates changed at most {format_percent(ratio, 2)} of a block's weights, and the loss fell."
        return Check(kind="lr_high", words=words)
    loss = signs.loss_near(begin)
    sentence = (
        f"Single updates changed up to {format_percent(ratio)} of a block's weights ({format_percent(0.01)} is usual), "
        "and the loss "
        f"did not fall below {loss:.3g} from step {begin:,} to {end:,}."
    )
    remedy = restart_remedy(signs)
    return Diagnosis(
        kind="lr_high",
        sentence=sentence,
        step=begin,
        evidence={"largest update": ratio, "loss": loss, "steps without a fall": float(end - begin)},
        remedy=remedy,
    )


def lr_low(signs: Signs) -> Finding:
    """Check for updates whose sum is too small to learn from."""
    movement = signs.planned_movement
    if signs.log.planned_steps < _MIN_LULL:
        words = f"Needs a run of {_MIN_LULL} steps: shorter runs learn little at any rate."
        return Check(kind="lr_low", words=words, possible=False)
    if math.isnan(movement):
        return Check(kind="lr_low", words=_needs_layers(signs, MIN_MEASURED), possible=False)
    loss = float(signs.loss[-1]) if signs.n_blocks else signs.first_loss
    learned = loss < _HARDLY_LEARNED * signs.guessing
    changes = scaled_rates(signs, max(2.0, GOOD_MOVEMENT / max(movement, 1e-12)))
    may_rise = all(rate > value_of(signs.log.spec, name) for name, rate in changes.items())
    if signs.log.is_fork or learned or movement > _SMALL_MOVEMENT or not may_rise:
        words = f"All planned updates add up to {_format_multiple(movement)} the weights."
        return Check(kind="lr_low", words=words)
    sentence = (
        f"All {signs.log.planned_steps:,} planned updates add up to only {format_percent(movement, 1)} of the weights: "
        f"the loss is {loss:.3g}, and guessing gives {signs.guessing:.3g}."
    )
    return Diagnosis(
        kind="lr_low",
        sentence=sentence,
        step=int(signs.log.step[0]),
        evidence={"movement of the weights": movement, "loss": loss, "loss of guessing": signs.guessing},
        remedy=new_run(changes),
    )


def plateau(signs: Signs) -> Finding:
    """Check for a loss that has not fallen for much of the run, although updates were large enough."""
    least = max(_MIN_LULL, _LULL * signs.log.planned_steps)
    if (learned := _learned_all(signs)) is not None:
        words = f"The loss has been nearly 0 since step {learned:,}: training longer cannot help."
        return Check(kind="plateau", words=words)
    if len(signs.log.loss) < least:
        return Check(kind="plateau", words=f"Needs {least:,.0f} steps.", possible=False)
    first, last = signs.lull()
    begin, end = int(signs.steps[first]), int(signs.steps[last])
    loss = float(signs.loss[first])
    falls = _falls(signs, signs.loss[first : last + 1], begin, end) or _validation_falls(signs, begin, end)
    lasts = last == signs.n_blocks - 1 and end - begin >= least
    if not lasts or _high_steps(signs, begin, end) < least / 4 or falls:
        words = f"The longest stretch without a fall was {end - begin:,} steps."
        return Check(kind="plateau", words=words)
    now = float(np.median(signs.loss[-_LATEST:]))
    is_little = now <= max(_LITTLE, _LEARNED * signs.start_loss)
    if signs.log.spec.tune is not None and is_little:  # it knew most of it, and learns fast
        words = f"The loss is {now:.3g} nats, {format_percent(now / signs.start_loss)} of what it was at the start."
        return Check(kind="plateau", words=words)
    sentence = f"The loss has not fallen since step {begin:,}: it was {loss:.3g} then, and is {now:.3g} now."
    evidence = {"loss then": loss, "loss now": now, "noise": signs.noise}
    return Diagnosis(kind="plateau", sentence=sentence, step=begin, evidence=evidence, remedy=_unstick(signs))


def _learned_all(signs: Signs) -> int | None:
    """Return the step from which on the training loss is nearly 0; None if it is not."""
    above = np.flatnonzero(~(signs.loss < _NOTHING_LEFT))
    if not signs.n_blocks or (len(above) and above[-1] == signs.n_blocks - 1):
        return None
    return int(signs.steps[above[-1] if len(above) else 0])


def _needs_layers(signs: Signs, n: int) -> str:
    """Say why the layer statistics of `n` steps are missing."""
    interval, measured = signs.log.spec.train.layer_interval, int(np.isfinite(signs.ratios).sum())
    if not interval:
        return "Needs layer statistics: their interval is 0."
    of = f" of {n} steps" if n > 1 else ""
    return f"Needs layer statistics{of}: measured at {measured} so far, every {format_count(interval, 'step')}."


def _format_multiple(multiple: float) -> str:
    return f"{format_percent(multiple)} of" if multiple < 1 else f"{multiple:.1f} times"


def _high_lull(signs: Signs) -> tuple[int, int]:
    """Return (from, to): the steps of the longest plateau at a high learning rate."""
    if signs.n_blocks < 3:
        return 0, 0
    first, last = signs.lull()
    high = np.flatnonzero(signs.lr[first : last + 1] >= _HIGH * np.nanmax(signs.lr)) + first
    return (int(signs.steps[high[0]]), int(signs.steps[high[-1]])) if len(high) else (0, 0)


def _high_steps(signs: Signs, begin: int, end: int) -> int:
    """Count the steps from `begin` to `end` at a high learning rate."""
    high = signs.log.lr >= _HIGH * np.nanmax(signs.log.lr)
    return int(np.sum(high & (signs.log.step >= begin) & (signs.log.step <= end)))


def _validation_falls(signs: Signs, begin: int, end: int, times: float = 1.0) -> bool:
    """Whether the validation loss still fell; it is less noisy, because its text is always the same."""
    log = signs.log
    within = (log.val_step >= begin) & (log.val_step <= end) & np.isfinite(log.val_loss)
    before = log.val_loss[(log.val_step < begin) & np.isfinite(log.val_loss)]
    return _falls(signs, np.minimum(log.val_loss[within], before.min(initial=np.inf)), begin, end, times)


def _falls(signs: Signs, losses: Numbers, begin: int, end: int, times: float = 1.0) -> bool:
    """Whether losses from step `begin` to `end` fall like those of a run that is learning, or `times` as fast.

    Such losses fall with the logarithm of the steps, so a long stretch must fall more than a short one.
    """
    if len(losses) < 2:
        return False
    n = 1 if len(losses) < 4 else 2
    stretch = math.log(max(end - signs.log.begin, 1) / max(begin - signs.log.begin, 1))
    least = min(_FALLING * signs.fall, _FALLING_LOW * float(losses[-1]))
    return float(losses[:n].min() - losses[-n:].mean()) > times * least * stretch


def _unstick(signs: Signs) -> Remedy:
    """Return a remedy: decay a constant learning rate; else use Muon, which leaves plateaus sooner; else a larger
    model.
    """
    log, train = signs.log, signs.log.spec.train
    fork = log.checkpoint_before(log.last_step)
    changes: dict[str, Any]
    if train.schedule == "constant" and fork is not None:
        changes = {"train.schedule": "linear", "train.steps": round(fork / (1 - DECAY_SHARE))}
        return Remedy(words=f"Fork from step {fork} with {format_changes(changes)}", changes=changes, fork_step=fork)
    if train.optimizer != _STEADIEST:
        changes = {"train.optimizer": _STEADIEST}
    else:
        changes = {"model.d_model": 2 * log.spec.model.d_model}
    return new_run(changes)
