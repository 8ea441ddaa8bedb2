"""Statistics shared by all checks: smoothed curves, their noise, and how far updates have moved the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from terrarium.models.diagnosis.log import Numbers, RunLog

N_BLOCKS = 40
MIN_BLOCK = 5
MIN_MEASURED = 3
"""Steps at which layers must have been measured for the movement of a whole run to be extrapolated."""


@dataclass(frozen=True)
class Signs:
    """A run's curves as medians over blocks of steps, the last of which ends with the run.

    Medians ignore single odd batches. A block is a fortieth of the steps so far, but at least five steps, so that the
    statistics are comparable at any length of the run.
    """

    log: RunLog

    @cached_property
    def block(self) -> int:
        """Steps in a block."""
        return max(MIN_BLOCK, len(self.log.loss) // N_BLOCKS)

    @cached_property
    def n_blocks(self) -> int:
        return len(self.log.loss) // self.block

    @cached_property
    def steps(self) -> Numbers:
        """(blocks) the last step of each."""
        return self._blocks(self.log.step)[:, -1]

    @cached_property
    def loss(self) -> Numbers:
        """(blocks) the training loss."""
        return _medians(self._blocks(self.log.loss))

    @cached_property
    def grad_norm(self) -> Numbers:
        """(blocks) the norm of the gradient."""
        return _medians(self._blocks(self.log.grad_norm))

    @cached_property
    def lr(self) -> Numbers:
        """(blocks) the learning rate."""
        return _medians(self._blocks(self.log.lr))

    @cached_property
    def noise(self) -> float:
        """The standard error of a block's loss, from differences of neighbouring steps, which are free of trend."""
        differences = np.diff(self.log.loss[np.isfinite(self.log.loss)])
        if len(differences) == 0:
            return 0.0
        spread = 1.4826 * float(np.median(np.abs(differences))) / math.sqrt(2)
        return 1.2533 * spread / math.sqrt(self.block)  # a median is less exact than a mean

    @cached_property
    def min_difference(self) -> float:
        """The smallest difference between two blocks' losses that is more than noise."""
        return 2.5 * math.sqrt(2) * self.noise

    @cached_property
    def first_loss(self) -> float:
        """The loss of the first step; NaN if there is none."""
        return float(self.log.loss[0]) if len(self.log.loss) else math.nan

    @cached_property
    def start_loss(self) -> float:
        """The initial loss: the first one or, for a fine-tuning, whose first batches may contain only what it has
        already learned, the mean of the first steps.
        """
        first = _first_steps(self.log.loss)
        return self.first_loss if self.log.spec.tune is None or not len(first) else float(first.mean())

    @cached_property
    def usual_spread(self) -> tuple[float, float]:
        """A loss and a gradient norm that are normal from the start; 0 for runs from scratch.

        A fine-tuning's batches contain known or new texts, so both values jump from nearly 0 to those of new texts.
        """
        losses, norms = (_first_steps(each) for each in (self.log.loss, self.log.grad_norm))
        if self.log.spec.tune is None or not len(losses) or not len(norms):
            return 0.0, 0.0
        return float(np.quantile(losses, 0.9)), float(np.quantile(norms, 0.9))

    @cached_property
    def guessing(self) -> float:
        """The loss of uniform guessing: ln(number of choices), in nats; that of the first step for scores and spans."""
        n_classes = self.log.spec.n_classes
        if n_classes:
            return math.log(n_classes)
        return self.first_loss if math.isfinite(self.first_loss) else 0.0

    @cached_property
    def fall(self) -> float:
        """How far the loss has fallen from that of guessing, or from a fork's first loss, to its lowest block."""
        start = self.first_loss if self.log.is_fork else max(self.first_loss, self.guessing)
        return max(0.0, start - float(np.nanmin(self.loss))) if np.isfinite(self.loss).any() else 0.0

    @cached_property
    def ratios(self) -> Numbers:
        """(K) the update-to-weight ratio at each measured step: the median over the model's blocks."""
        columns = [i for i, name in enumerate(self.log.layers) if "blocks." in name]
        if not columns or not len(self.log.layer_step):
            return np.zeros(0)
        return _medians(self.log.update_ratio[:, columns])

    @cached_property
    def largest_ratio(self) -> float:
        """The largest update-to-weight ratio of a single update; NaN if layers were not measured."""
        return self.ratio_until(self.log.last_step)

    def ratio_until(self, step: int) -> float:
        """Return the largest update-to-weight ratio up to `step`."""
        ratios = self.ratios[self.log.layer_step <= step] if len(self.ratios) else self.ratios
        return float(np.nanmax(ratios)) if np.isfinite(ratios).any() else math.nan

    @cached_property
    def planned_movement(self) -> float:
        """The sum of all update-to-weight ratios of the whole run; NaN before layers were measured MIN_MEASURED times.

        Future updates are extrapolated in proportion to their learning rate.
        """
        known = np.isfinite(self.ratios)
        if known.sum() < MIN_MEASURED or not len(self.log.step):
            return math.nan
        steps, ratios = self.log.layer_step[known], self.ratios[known]
        lr = np.interp(steps, self.log.step, self.log.lr)
        so_far = float(np.mean(ratios)) * float(steps[-1] - self.log.step[0] + 1)
        recent = slice(-5, None)
        rate = float(np.median(ratios[recent] / np.maximum(lr[recent], 1e-30)))
        return so_far + rate * self.log.remaining_lr_sum(int(steps[-1]))

    def lull(self) -> tuple[int, int]:
        """Return (from, to): the blocks of the longest stretch in which the loss did not fall.

        A fall is more than 1 % of the total fall so far or 5 % of the loss, and more than noise.
        """
        least = np.maximum(np.minimum(0.01 * self.fall, 0.05 * self.loss), self.min_difference)
        best = (0, 0)
        for start in range(self.n_blocks):
            lower = np.flatnonzero(self.loss[start + 1 :] < self.loss[start] - least[start])
            end = start + int(lower[0]) if len(lower) else self.n_blocks - 1
            if end - start > best[1] - best[0]:
                best = (start, end)
        return best

    def loss_near(self, step: float) -> float:
        """Return the smoothed training loss at a step."""
        return float(np.interp(step, self.steps, self.loss))

    def _blocks(self, values: Numbers) -> Numbers:
        """Reshape to (blocks, steps in a block); left-over steps before the first block are dropped."""
        n = self.n_blocks * self.block
        return values[len(values) - n :].reshape(self.n_blocks, self.block)


def _first_steps(values: Numbers) -> Numbers:
    """Return the finite values of the first steps."""
    first = values[: 2 * MIN_BLOCK]
    return first[np.isfinite(first)]


def _medians(rows: Numbers) -> Numbers:
    """Return (rows) the median of each row's finite numbers; NaN if it has none."""
    known = np.isfinite(rows)
    result = np.full(len(rows), np.nan)
    some = known.any(axis=1)
    if some.any():
        result[some] = np.nanmedian(np.where(known, rows, np.nan)[some], axis=1)
    return result
