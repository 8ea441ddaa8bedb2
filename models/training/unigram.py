"""The loss of the best guess without any context: whoever knows only how often each token occurs."""

from __future__ import annotations

from typing import NamedTuple

import torch

from models.data.batches import Batches

N_TARGETS = 200_000
_MOST_BATCHES = 128
"""Making a batch takes about a millisecond: counting must not hold a training up."""


class Unigram(NamedTuple):
    """`entropy` in nats per target that counts; `n_targets` is how many were counted."""

    entropy: float
    n_targets: int


def unigram_entropy(batches: Batches, vocab_size: int) -> Unigram | None:
    """The entropy of the targets as the loss weights them, over the first batches of a training.

    This is the lowest loss that one distribution, the same everywhere, can have on them; below it a model has used the
    context. A little too low where few targets were counted, as rare tokens are missing then. None where none
    counts, or the targets are no tokens.
    """
    counts, n_targets = torch.zeros(vocab_size, dtype=torch.float64), 0
    for step in range(min(batches.n_batches, _MOST_BATCHES)):
        batch = batches.batch(step)
        if batch.candidates is not None:
            return None
        weights = batch.weights.flatten()  # (B·T)
        counts += torch.bincount(batch.targets.flatten(), weights.double(), minlength=vocab_size)
        n_targets += int(weights.count_nonzero())
        if n_targets >= N_TARGETS:
            break
    if not n_targets:
        return None
    shares = counts[counts > 0] / counts.sum()
    return Unigram(float(-(shares * shares.log()).sum()), n_targets)
