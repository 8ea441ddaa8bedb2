"""The one description of an architecture: a legal filling of design slots, without a tensor in sight.

Importing this file costs no torch import, so forms, diagrams and the command line can use it freely.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any

from models.settings.conflicts import conflicts
from models.settings.model_slots import ModelSlots
from models.settings.slots import Problem, SettingError, draft, field_problems, plain, settings_from_dict


@dataclass(frozen=True, kw_only=True)
class ModelConfig(ModelSlots):
    """The slots of a model's architecture, checked: illegal fillings raise SettingError.

    Every legal filling can be built and trained; the families that people know are in models.settings.presets.
    """

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SettingError(problem)

    def encoder(self) -> ModelConfig:
        """The encoder's stack of an encoder-decoder, as the settings of an encoder-only model without a head."""
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

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict, as it is written to files; the inverse of `from_dict`."""
        return plain(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "the design") -> ModelConfig:
        """Build from parsed JSON or TOML.

        Raises:
            ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
        """
        return settings_from_dict(cls, upgraded(data), where)

    @classmethod
    def problems(cls, values: dict[str, Any]) -> list[Problem]:
        """All that is wrong with these settings (the others at their defaults), each on the slot that causes it."""
        return _problems(draft(ModelSlots, values))


def upgraded(data: Any) -> Any:
    """`data` with what the first version wrote otherwise: `bias` was true or false."""
    if isinstance(data, dict) and isinstance(data.get("bias"), bool):
        return {**data, "bias": "all" if data["bias"] else "none"}
    return data


def differences(before: ModelConfig, after: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """The slots that differ, in their order, with both values."""
    pairs = {f.name: (getattr(before, f.name), getattr(after, f.name)) for f in fields(ModelConfig)}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _problems(slots: ModelSlots) -> list[Problem]:
    """Wrong fields; where there are none, fields that do not go together."""
    return field_problems(slots) or conflicts(slots)
