"""Remedies: settings that suit the measured updates, and the checkpoint to fork from."""

from __future__ import annotations

from typing import Any

from terrarium.models.diagnosis.findings import Remedy
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.slots import check_complete

GOOD_RATIO = 0.015
"""The largest update-to-weight ratio of designs that train well here."""
ROUGH_RATIO = 0.1
"""From this update-to-weight ratio on, a few updates replace the weights, and what they had learned is lost."""
GOOD_MOVEMENT = 1.5
"""The sum of all update-to-weight ratios in healthy runs."""
_MIN_LR = 1e-9
"""The lowest learning rate that a remedy proposes."""
STRONG_DECAY = 0.5
"""Weight decay of more than this share of the weights per step undoes what is learned."""


def gentler_remedy(signs: Signs, onset: int) -> Remedy:
    """Return a fork with smaller updates from the last checkpoint before `onset`, or a new run if none is good."""
    fork = signs.log.checkpoint_before(onset)
    if fork is None or fork >= signs.log.spec.train.steps or signs.ratio_until(fork) > ROUGH_RATIO:
        return restart_remedy(signs)
    changes = scaled_rates(signs, 1 / 3) | stabilizing_changes(signs)
    return Remedy(words=f"Fork from step {fork} with {format_changes(changes)}", changes=changes, fork_step=fork)


def restart_remedy(signs: Signs) -> Remedy:
    """Return a new run with updates of a usual size."""
    factor = 1 / 3
    if decay_share(signs) > STRONG_DECAY or beta2_below_beta1(signs):
        factor = 1.0  # the rate may be right: large updates had another cause
    elif signs.largest_ratio > GOOD_RATIO:
        factor = min(factor, GOOD_RATIO / signs.largest_ratio)
    changes = scaled_rates(signs, factor) | stabilizing_changes(signs)
    return new_run(changes)


def new_run(changes: dict[str, Any]) -> Remedy:
    """Return the remedy of a new run with these changes."""
    return Remedy(words=f"New run with {format_changes(changes)}", changes=changes)


def scaled_rates(signs: Signs, factor: float) -> dict[str, Any]:
    """Return the run's learning rates times `factor`, but at most the usual maximum, rounded to one digit."""
    train = signs.log.spec.train
    highest = train.optimizer_info.max_lrs
    rates = {name: min(max(rate * factor, _MIN_LR), highest[name]) for name, rate in train.learning_rates.items()}
    return {f"train.{name}": float(f"{rate:.1g}") for name, rate in rates.items()}


def stabilizing_changes(signs: Signs) -> dict[str, Any]:
    """Return usual values for settings that make updates unstable."""
    train = signs.log.spec.train
    changes: dict[str, Any] = {}
    if train.grad_clip == 0 or train.grad_clip > 10:
        changes["train.grad_clip"] = 1.0
    if decay_share(signs) > STRONG_DECAY:
        changes["train.weight_decay"] = 0.1
    if beta2_below_beta1(signs):
        changes["train.beta2"] = 0.99
    return changes


def beta2_below_beta1(signs: Signs) -> bool:
    """Whether squared gradients (beta 2) are averaged over fewer steps than gradients (beta 1)."""
    train = signs.log.spec.train
    return train.optimizer_info.has_second_moment and train.beta2 < train.beta1


def decay_share(signs: Signs) -> float:
    """Return the share of the matrices that weight decay removes per step at the highest learning rate."""
    train = signs.log.spec.train
    return train.weight_decay * max(train.learning_rates.values())


_FORMATS = {
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
    "data.dataset": "the data “{}”",
    "tune.old_share": "a share of {:g} of its parent's data",
    "model.dropout": "dropout {:g}",
    "model.d_model": "width {}",
    "model.n_layer": "{} layers",
    "model.init_std": "init std {:g}",
    "align.beta": "KL weight {:g}",
    "align.nll_weight": "the chosen replies held by {:g}",
    "align.n_prompts": "{} prompts per step",
    "align.n_replies": "{} replies per prompt",
    "align.max_tokens": "replies of up to {} tokens",
    "align.end_penalty": "a penalty of {:g} for no end",
    "align.critic_lr": "critic learning rate {:g}",
    "align.aggregate": "mean over tokens {}",
}


check_complete(
    (name for name in _FORMATS if name.startswith("train.") and name.endswith("lr")),
    (f"train.{name}" for rule in OPTIMIZERS.values() for name in rule.lr_names),
    "words for learning rates",
)


def format_changes(changes: dict[str, Any]) -> str:
    """Format changed settings as text: “learning rate 0.001 and patience 3”."""
    words = [_FORMATS[name].format(value) for name, value in changes.items()]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
