"""Training that gets nowhere: updates too large or too small for it, or a loss that no longer falls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.number_words import percent
from models.settings.spec_changes import value_of
from models.training.doctor.findings import Check, Diagnosis, Finding, Remedy
from models.training.doctor.log import Numbers
from models.training.doctor.remedies import GOOD_MOVEMENT, anew, scaled_rates, words_of
from models.training.doctor.signs import Signs
from models.training.schedule import DECAY_SHARE

_LARGE_RATIO = 0.04
"""The largest share of the weights that single updates changed, from which on they are to blame for a lull."""
_LULL_AT_HIGH = 0.25
"""The share of all planned steps that a loss must not have fallen for, at much of the highest learning rate …"""
_LULL = 0.6
"""… or at any rate, where the updates are not to blame."""
_HIGH = 0.3
"""Of the highest learning rate: from here on it counts as high."""
_LEAST_LULL = 50
"""Steps."""
_FALLING_LOW = 0.05
"""Where the loss is low already: the share of itself that it still falls by."""
_LATEST = 5
"""Blocks that “now” is a median of."""
_SMALL_MOVEMENT = 0.3
"""All updates of a run together, as a multiple of the weights, below which they cannot learn much."""
_HARDLY_LEARNED = 0.5
"""The share of guessing's loss that is left in a run that has hardly learned …"""
_FALLING = 0.015
"""The share of its whole fall that a loss falls by while the steps grow e-fold, where it still falls."""


_STEADIEST = "muon"
"""The optimizer that leaves plateaus sooner than any other."""


def lr_high(signs: Signs) -> Finding:
    """Large updates, and a loss that they keep from falling."""
    ratio = signs.largest_ratio
    if math.isnan(ratio):
        return Check(kind="lr_high", words=_NEEDS_LAYERS, possible=False)
    begin, end = _high_lull(signs)
    excess = math.sqrt(ratio / _LARGE_RATIO)  # rates far too high, as they decay, let a loss fall a little
    least = max(_LEAST_LULL, _LULL_AT_HIGH * signs.log.planned_steps)
    if not (ratio > _LARGE_RATIO and end - begin >= least) or _validation_falls(signs, begin, end, excess):
        words = f"One update changed at most {percent(ratio, 2)} of a block's weights; the loss fell beside it."
        return Check(kind="lr_high", words=words)
    loss = signs.loss_near(begin)
    sentence = (
        f"Single updates changed up to {percent(ratio)} of a block's weights ({percent(0.01)} is usual), and the loss "
        f"did not fall below {loss:.3g} from step {begin:,} to {end:,}."
    )
    remedy = anew(signs)
    return Diagnosis(
        kind="lr_high",
        sentence=sentence,
        step=begin,
        evidence={"largest update": ratio, "loss": loss, "steps without a fall": float(end - begin)},
        remedy=remedy,
    )


def lr_low(signs: Signs) -> Finding:
    """Updates that add up to too little to lead anywhere."""
    movement = signs.planned_movement
    if signs.log.planned_steps < _LEAST_LULL:
        words = f"Needs a run of {_LEAST_LULL} steps: shorter ones lead nowhere at any rate."
        return Check(kind="lr_low", words=words, possible=False)
    if math.isnan(movement):
        return Check(kind="lr_low", words=_NEEDS_LAYERS, possible=False)
    loss = float(signs.loss[-1]) if signs.n_blocks else signs.first_loss
    learned = loss < _HARDLY_LEARNED * signs.guessing
    changes = scaled_rates(signs, max(2.0, GOOD_MOVEMENT / max(movement, 1e-12)))
    may_rise = all(rate > value_of(signs.log.spec, name) for name, rate in changes.items())
    if signs.log.is_fork or learned or movement > _SMALL_MOVEMENT or not may_rise:
        words = f"All planned updates together come to {_times(movement)} the weights."
        return Check(kind="lr_low", words=words)
    sentence = (
        f"All {signs.log.planned_steps:,} planned updates together come to {percent(movement, 1)} of the weights, so "
        f"they cannot lead far: the loss is {loss:.3g}, and {signs.guessing:.3g} would be guessing."
    )
    return Diagnosis(
        kind="lr_low",
        sentence=sentence,
        step=int(signs.log.step[0]),
        evidence={"movement of the weights": movement, "loss": loss, "loss of guessing": signs.guessing},
        remedy=Remedy(words=f"New run with {words_of(changes)}", changes=changes),
    )


def plateau(signs: Signs) -> Finding:
    """A loss that has not fallen for much of the run, while updates were large enough."""
    least = max(_LEAST_LULL, _LULL * signs.log.planned_steps)
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
    sentence = f"The loss has not fallen since step {begin:,}: it was {loss:.3g} then, and is {now:.3g} now."
    evidence = {"loss then": loss, "loss now": now, "noise": signs.noise}
    return Diagnosis(kind="plateau", sentence=sentence, step=begin, evidence=evidence, remedy=_unstick(signs))


_NEEDS_LAYERS = "Needs looks at the layers (their interval is 0, or they are still to come)."


def _times(multiple: float) -> str:
    return f"{percent(multiple)} of" if multiple < 1 else f"{multiple:.1f} times"


def _high_lull(signs: Signs) -> tuple[int, int]:
    """(from, to) the steps of the longest lull, as far as the learning rate was high."""
    if signs.n_blocks < 3:
        return 0, 0
    first, last = signs.lull()
    high = np.flatnonzero(signs.lr[first : last + 1] >= _HIGH * np.nanmax(signs.lr)) + first
    return (int(signs.steps[high[0]]), int(signs.steps[high[-1]])) if len(high) else (0, 0)


def _high_steps(signs: Signs, begin: int, end: int) -> int:
    """Steps from `begin` to `end` at a high learning rate."""
    high = signs.log.lr >= _HIGH * np.nanmax(signs.log.lr)
    return int(np.sum(high & (signs.log.step >= begin) & (signs.log.step <= end)))


def _validation_falls(signs: Signs, begin: int, end: int, times: float = 1.0) -> bool:
    """Whether the validation loss, which always looks at the same text, still fell: it shows what noise hides."""
    log = signs.log
    within = (log.val_step >= begin) & (log.val_step <= end) & np.isfinite(log.val_loss)
    before = log.val_loss[(log.val_step < begin) & np.isfinite(log.val_loss)]
    return _falls(signs, np.minimum(log.val_loss[within], before.min(initial=np.inf)), begin, end, times)


def _falls(signs: Signs, losses: Numbers, begin: int, end: int, times: float = 1.0) -> bool:
    """Whether losses from step `begin` to `end` fall as those of a run do that goes on learning, or `times` as fast.

    Those fall along the logarithm of the steps, so that a long stretch must show more than a short one.
    """
    if len(losses) < 2:
        return False
    n = 1 if len(losses) < 4 else 2
    stretch = math.log(max(end - signs.log.begin, 1) / max(begin - signs.log.begin, 1))
    least = min(_FALLING * signs.fall, _FALLING_LOW * float(losses[-1]))
    return float(losses[:n].min() - losses[-n:].mean()) > times * least * stretch


def _unstick(signs: Signs) -> Remedy:
    """Lower the rate where it never fell; else Muon, which leaves plateaus sooner; else a larger model."""
    log, train = signs.log, signs.log.spec.train
    fork = log.checkpoint_before(log.last_step)
    changes: dict[str, Any]
    if train.schedule == "constant" and fork is not None:
        changes = {"train.schedule": "linear", "train.steps": round(fork / (1 - DECAY_SHARE))}
        return Remedy(words=f"Fork from step {fork} with {words_of(changes)}", changes=changes, fork_step=fork)
    if train.optimizer != _STEADIEST:
        changes = {"train.optimizer": _STEADIEST}
    else:
        changes = {"model.d_model": 2 * log.spec.model.d_model}
    return Remedy(words=f"New run with {words_of(changes)}", changes=changes)
