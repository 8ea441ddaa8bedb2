"""The settings of fine-tuning: the model whose weights a run starts from, and what it trains. No torch import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from terrarium.models.settings.slots import check_settings, slot

TUNE_MODES = ("all", "last", "head", "lora")
_GROUP = "Fine-tuning"


@dataclass(frozen=True, kw_only=True)
class TuneSpec:
    """The source of a run's initial weights, and which of them are trained."""

    parent: str = slot(
        "",
        "Start from",
        "The model whose weights the run starts from: a run, one of its checkpoints, or a model's folder or file.",
        group=_GROUP,
    )
    mode: str = slot(
        "all",
        "Train",
        "All weights; those of the last layers only; the head only, with a frozen body; or LoRA: small matrices beside "
        "the frozen ones.",
        group=_GROUP,
        choices=TUNE_MODES,
    )
    n_last: int = slot(
        1,
        "Last layers",
        "How many of the last layers are trained, beside the final norm and the head.",
        group=_GROUP,
        range=(1, 1_000),
        only_if=("mode", "last"),
    )
    lora_r: int = slot(
        8,
        "LoRA rank",
        "The rank r of what is added to each matrix: how many directions an update can have.",
        group=_GROUP,
        range=(1, 4_096),
        only_if=("mode", "lora"),
    )
    lora_alpha: float = slot(
        16.0,
        "LoRA alpha",
        "Scales what is added, by alpha / r.",
        group=_GROUP,
        range=(1e-6, 1e6),
        only_if=("mode", "lora"),
    )
    lora_rslora: bool = slot(
        False,
        "Rank-stabilised",
        "Scales by alpha / √r instead, so that large ranks learn as fast as small ones (rsLoRA, arXiv:2312.03732).",
        group=_GROUP,
        only_if=("mode", "lora"),
    )
    lora_dropout: float = slot(
        0.0,
        "LoRA dropout",
        "The share of the inputs of LoRA's matrices that is dropped in training.",
        group=_GROUP,
        range=(0.0, 0.9),
        only_if=("mode", "lora"),
    )
    train_embeddings: bool = slot(
        False,
        "Train token rows",
        "Trains the embedding table too; without it, a model that writes with tied embeddings cannot say new words.",
        group=_GROUP,
        only_if=("mode", ("lora", "last", "head")),
    )
    max_length: int = slot(
        512,
        "Longest text",
        "Longer texts are cut to this many tokens in training; never more than the model's context.",
        group=_GROUP,
        range=(8, 1_000_000),
    )
    old_share: float = slot(
        0.0,
        "Old rows",
        "The share of the examples that is taken from the parent's own data, so that it forgets less.",
        group=_GROUP,
        range=(0.0, 0.9),
    )

    measure_forgetting: bool = slot(
        True,
        "Measure forgetting",
        "Measures before the first step and at the end what the model knows of its parent's data: some seconds each.",
        group=_GROUP,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.parent:
            raise ValueError("The fine-tuning names no model to start from: choose one.")

    @property
    def lora_scale(self) -> float:
        """The scale of LoRA's update: alpha / r, or alpha / √r with rsLoRA."""
        return self.lora_alpha / (self.lora_r**0.5 if self.lora_rslora else self.lora_r)


def usual_train(mode: str, n_parameters: int = 1_000_000) -> dict[str, Any]:
    """Return the recommended TrainConfig settings for fine-tuning that differ from those for training from scratch.

    The optimizer is AdamW, because Muon's updates have full length even if there is nothing to learn. In conversations,
    only the replies count in the loss. The learning rate is a starting point for models of 1 M to 1 G parameters: 1e-3
    (1 M), 9e-5 (135 M), 3e-5 (1 G); five times as much for the modes "head" and "lora", which train few parameters.
    """
    lr = 1e-3 * min(1.0, (1_000_000 / max(n_parameters, 1)) ** 0.5)
    lr = float(f"{lr * (1 if mode in ('all', 'last') else 5):.1g}")
    rates = {"optimizer": "adamw", "lr": lr, "weight_decay": 0.0}
    return rates | {"steps": 300, "eval_interval": 50, "context_loss_weight": 0.0}
