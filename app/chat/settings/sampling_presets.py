"""Sampling presets (built-in and the user's), the defaults of single models, and the last settings. No widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from terrarium.app.session.remembered import Remembered
from terrarium.app.worker.notices import Notices
from terrarium.models.settings.sampling_config import SamplingConfig, sampling_from_dict
from terrarium.models.settings.slots import settings_to_dict

BUILT_IN: dict[str, tuple[str, dict[str, float | int]]] = {
    "Exact": ("Always the most likely token: the same reply every time", {"temperature": 0.0}),
    "Careful": ("Close to the most likely tokens: for answers that should be right", {"temperature": 0.3}),
    "Balanced": ("A little sharper than the model's own probabilities", {"temperature": 0.8}),
    "Unchanged (T = 1)": ("The model's own probabilities", {"temperature": 1.0}),
    "Creative": ("More surprises, without the least likely tokens", {"temperature": 1.1, "min_p": 0.03}),
}
"""Name -> description and settings; all other settings that change probabilities are off."""

_KEPT = ("seed", "max_tokens", "stop", "logit_bias")
"""Fields that a built-in preset leaves unchanged."""
_OWN, _OF_MODELS = "sampling presets", "sampling of models"
_IN_USE, _EDITED_WITH, _SEED_KEPT = "sampling in use", "sampling edited with", "sampling seed kept"


class InUse(NamedTuple):
    """The settings in use.

    edited_with: the id of the run whose model was open when the user last edited them ("" for no model); None if they
    are the defaults of a model. is_seed_kept: whether all replies use the same seed.
    """

    config: SamplingConfig
    edited_with: str | None = None
    is_seed_kept: bool = False


class SamplingPresets:
    """Presets stored in the remembered settings. A user's preset contains every field but the seed."""

    def __init__(self, remembered: Remembered, notices: Notices) -> None:
        self._remembered, self._notices = remembered, notices

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the user's presets, oldest first."""
        return tuple(name for name in self._saved(_OWN) if self._read(_OWN, name) is not None)

    def applied(self, name: str, config: SamplingConfig) -> SamplingConfig:
        """Return the settings after choosing a preset while `config` was in use."""
        own = self._read(_OWN, name)
        if own is not None:
            return dataclasses.replace(own, seed=config.seed)
        kept = {field: getattr(config, field) for field in _KEPT}
        return SamplingConfig(**kept, **BUILT_IN[name][1])  # type: ignore[arg-type]

    def matching(self, config: SamplingConfig) -> str:
        """Return the preset that matches these settings, preferring the user's; "" for none."""
        return next((name for name in (*self.own, *BUILT_IN) if self.applied(name, config) == config), "")

    def save(self, name: str, config: SamplingConfig) -> bool:
        """Save settings as a preset, replacing one of the same name. Return whether the name is valid; else report
        it.
        """
        name = name.strip()
        if name and name not in BUILT_IN:
            self._keep(_OWN, name, config)
            return True
        why = f"“{name}” is a built-in preset: choose another name." if name else ""
        return self._notices.refuse(why or "A preset needs a name: write one.")

    def delete(self, name: str) -> None:
        """Delete one of the user's presets."""
        self._keep(_OWN, name, None)

    def of_model(self, run_id: str) -> SamplingConfig | None:
        """Return the defaults that the user has set for a model, or None."""
        return self._read(_OF_MODELS, run_id)

    def set_for_model(self, run_id: str, config: SamplingConfig | None) -> None:
        """Set the defaults of a model; None removes them."""
        self._keep(_OF_MODELS, run_id, config)

    @property
    def in_use(self) -> InUse | None:
        """The last settings, of this session or an earlier one; None if there are none."""
        config = self._read(_IN_USE, "settings")
        if config is None:
            return None
        get = self._remembered.get
        edited_with = get(_EDITED_WITH, None)
        return InUse(config, edited_with if isinstance(edited_with, str) else None, get(_SEED_KEPT, False))

    def leave(self, in_use: InUse) -> None:
        """Save the settings in use for the next launch."""
        self._keep(_IN_USE, "settings", in_use.config)
        self._remembered.set(_EDITED_WITH, in_use.edited_with)
        self._remembered.set(_SEED_KEPT, in_use.is_seed_kept)

    def _saved(self, key: str) -> Mapping[str, Any]:
        saved: dict[str, Any] = self._remembered.get(key, {})
        return saved

    def _read(self, key: str, name: str) -> SamplingConfig | None:
        saved = self._saved(key).get(name)
        try:
            return None if saved is None else sampling_from_dict(saved, f"The settings “{name}”")
        except ValueError:  # written by another version or by hand: ignored
            return None

    def _keep(self, key: str, name: str, config: SamplingConfig | None) -> None:
        self._remembered.set_entry(key, name, None if config is None else settings_to_dict(config))
