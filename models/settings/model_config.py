"""The description of an architecture: validated slots, without tensors.

It does not import torch, so that forms, diagrams and the command line can use it freely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from terrarium.models.settings.conflicts import conflicts
from terrarium.models.settings.derived_slots import DerivedSlots
from terrarium.models.settings.slots import (
    Problem,
    SettingError,
    draft,
    field_problems,
    settings_from_dict,
    settings_to_dict,
)
from terrarium.models.settings.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class ModelConfig(DerivedSlots):
    """The slots of a model's architecture, validated: illegal values raise SettingError.

    Every valid config can be built and trained; published architectures are in models.settings.presets.
    """

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SettingError(problem)

    def encoder(self) -> ModelConfig:
        """Return the config of an encoder-decoder's encoder, as an encoder-only model without a head."""
        assert self.topology == "encoder-decoder"
        n_head = self.n_encoder_head or self.n_head
        return dataclasses.replace(
            self,
            topology="encoder-only",
            head="none",
            n_layer=self.n_encoder_layer or self.n_layer,
            n_head=n_head,
            n_kv_head=0 if self.n_encoder_head else self.n_kv_head,
            d_ff=self.d_encoder_ff or self.d_ff,
            n_encoder_layer=0,
            n_encoder_head=0,
            d_encoder_ff=0,
        )

    def for_task(self, task: str, labels: Sequence[str] = ()) -> ModelConfig:
        """Return this design with the head of a task, and one output per label (regression: one).

        An encoder gains or loses the pooler together with a sequence head, as in BERT's classes.

        Raises:
            ValueError: if a model of this topology cannot learn the task.
        """
        heads = TASKS[task].heads
        if self.topology not in heads:
            raise ValueError(
                f"{TASKS[task].title} cannot be learned by a model that is {self.topology}: use one that is "
                f"{' or '.join(heads)}."
            )
        n_label = 1 if task == "regression" else len(labels) or self.n_label
        head, pooler = heads[self.topology], self.pooler
        if self.topology == "encoder-only" and head != self.head:
            pooler = head == "sequence"
        return dataclasses.replace(self, head=head, n_label=n_label, pooler=pooler)

    @property
    def is_reward_model(self) -> bool:
        """Whether it is a decoder with a sequence head of one output."""
        return (self.topology, self.head, self.n_label) == ("decoder-only", "sequence", 1)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict, as written to files; the inverse of `from_dict`."""
        return settings_to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "the design") -> ModelConfig:
        """Build from parsed JSON or TOML.

        Raises:
            ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
        """
        return settings_from_dict(cls, upgraded(data), where)

    @classmethod
    def problems(cls, values: dict[str, Any]) -> list[Problem]:
        """Return all problems of these settings (the others at their defaults), each on the slot that causes it."""
        return _problems(draft(DerivedSlots, values))


def upgraded(data: Any) -> Any:
    """Convert `data` from the format of the first version, in which `bias` was true or false."""
    if isinstance(data, dict) and isinstance(data.get("bias"), bool):
        return {**data, "bias": "all" if data["bias"] else "none"}
    return data


def differences(before: ModelConfig, after: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return the slots that differ, in slot order, with both values."""
    pairs = {f.name: (getattr(before, f.name), getattr(after, f.name)) for f in fields(ModelConfig)}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _problems(slots: DerivedSlots) -> list[Problem]:
    """Return the problems of single fields or, if there are none, the conflicts between fields."""
    return field_problems(slots) or conflicts(slots)


def objective_of(model: ModelConfig, wanted: str = "auto") -> str:
    """Return the objective of a design on plain text: next-token, masked-tokens, span-corruption or denoising.

    wanted: TrainConfig.objective, used by encoder-decoders only.
    """
    if model.topology == "decoder-only":
        return "next-token"
    if model.topology == "encoder-only":
        return "masked-tokens"
    if wanted != "auto":
        return wanted
    return "denoising" if model.position == "learned" else "span-corruption"
