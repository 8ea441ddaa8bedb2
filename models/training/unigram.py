"""The unigram entropy: the loss of the best prediction from the frequencies of tokens or labels alone."""

from __future__ import annotations

from typing import NamedTuple

import torch

from terrarium.models.data.batches import Batches

N_TARGETS = 200_000
_MAX_BATCHES = 128
"""Making a batch takes about a millisecond: counting must not delay the training."""


class Unigram(NamedTuple):
    """The entropy in nats per target; `n_targets` is how many targets were counted."""

    entropy: float
    n_targets: int


def unigram_entropy(batches: Batches, n_classes: int) -> Unigram | None:
    """Compute the entropy of the targets, weighted as in the loss, over the first batches of a run.

    This is the lowest loss that a fixed distribution can reach on them; a model below it has used the context. It is
    slightly too low if few targets were counted, because rare tokens are then missing. None if no target has a weight,
    or the targets are neither tokens nor labels.
    """
    counts, n_targets = torch.zeros(n_classes, dtype=torch.float64), 0
    for step in range(min(batches.n_batches, _MAX_BATCHES)):
        batch = batches.batch(step)
        if batch.candidates is not None or batch.targets.is_floating_point():
            return None
        weights = batch.weights.flatten()  # (B·T)
        counts += torch.bincount(batch.targets.flatten(), weights.double(), minlength=n_classes)
        n_targets += int(weights.count_nonzero())
        if n_targets >= N_TARGETS:
            break
    if not n_targets:
        return None
    shares = counts[counts > 0] / counts.sum()
    return Unigram(float(-(shares * shares.log()).sum()), n_targets)
