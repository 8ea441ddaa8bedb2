"""The settings that the remedies turn: learning rates that suit the measured updates, and where a fork may begin."""

from __future__ import annotations

from typing import Any

from models.settings.optimizers import OPTIMIZERS
from models.settings.slots import check_complete
from models.training.doctor.findings import Remedy
from models.training.doctor.signs import Signs

GOOD_RATIO = 0.015
"""The largest share of the weights that an update should change: about that of designs that train well here."""
ROUGH_RATIO = 0.1
"""From here on, a few updates make the weights anew: what they had learned, or begun with, is lost."""
GOOD_MOVEMENT = 1.5
"""All updates together, as a multiple of the weights: about what healthy runs come to."""
_LEAST = 1e-9
"""The lowest learning rate that there is."""
STRONG_DECAY = 0.5
"""The share of the weights that weight decay takes at one step, from which on it undoes what is learned."""


def calmer(signs: Signs, onset: int) -> Remedy:
    """Smaller updates: from the last checkpoint before the trouble began, or anew where no good weights are left."""
    fork = signs.log.checkpoint_before(onset)
    if fork is None or fork >= signs.log.spec.train.steps or signs.ratio_until(fork) > ROUGH_RATIO:
        return anew(signs)
    changes = scaled_rates(signs, 1 / 3) | steadied(signs)
    return Remedy(words=f"Fork from step {fork} with {words_of(changes)}", changes=changes, fork_step=fork)


def anew(signs: Signs) -> Remedy:
    """A new run with updates of a usual size."""
    factor = 1 / 3
    if decay_share(signs) > STRONG_DECAY or forgets(signs):
        factor = 1.0  # the rate may be right: large updates had another cause
    elif signs.largest_ratio > GOOD_RATIO:
        factor = min(factor, GOOD_RATIO / signs.largest_ratio)
    changes = scaled_rates(signs, factor) | steadied(signs)
    return Remedy(words=f"New run with {words_of(changes)}", changes=changes)


def scaled_rates(signs: Signs, factor: float) -> dict[str, Any]:
    """The run's learning rates times `factor`, but no higher than is usual, rounded to one digit."""
    train = signs.log.spec.train
    highest = train.rule.highest
    rates = {name: min(max(rate * factor, _LEAST), highest[name]) for name, rate in train.rates.items()}
    return {f"train.{name}": float(f"{rate:.1g}") for name, rate in rates.items()}


def steadied(signs: Signs) -> dict[str, Any]:
    """Settings that let single updates run away, set to their usual values."""
    train = signs.log.spec.train
    changes: dict[str, Any] = {}
    if train.grad_clip == 0 or train.grad_clip > 10:
        changes["train.grad_clip"] = 1.0
    if decay_share(signs) > STRONG_DECAY:
        changes["train.weight_decay"] = 0.1
    if forgets(signs):
        changes["train.beta2"] = 0.99
    return changes


def forgets(signs: Signs) -> bool:
    """Whether gradients that are remembered are divided by sizes that are forgotten."""
    train = signs.log.spec.train
    return train.rule.keeps_sizes and train.beta2 < train.beta1


def decay_share(signs: Signs) -> float:
    """What weight decay takes of the matrices at the highest learning rate, as a share of them."""
    train = signs.log.spec.train
    return train.weight_decay * max(train.rates.values())


_WORDS = {
    "train.lr": "learning rate {:g}",
    "train.muon_lr": "Muon learning rate {:g}",
    "train.grad_clip": "gradient clip {:g}",
    "train.weight_decay": "weight decay {:g}",
    "train.beta2": "beta 2 of {:g}",
    "train.patience": "patience {}",
    "train.steps": "{} steps",
    "train.optimizer": "optimizer {}",
    "train.schedule": "schedule {}",
    "train.eval_batches": "{} validation batches",
    "train.eval_interval": "a validation every {} steps",
    "data.val_fraction": "validation share {:g}",
    "model.dropout": "dropout {:g}",
    "model.d_model": "width {}",
    "model.n_layer": "{} layers",
    "model.init_std": "init std {:g}",
}


check_complete(
    (name for name in _WORDS if name.endswith("lr")),
    (f"train.{name}" for rule in OPTIMIZERS.values() for name in rule.rates),
    "words for learning rates",
)


def words_of(changes: dict[str, Any]) -> str:
    """The changed settings, as people read them."""
    words = [_WORDS[name].format(value) for name, value in changes.items()]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
