"""The presets by family, in display order, and their sizes. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from terrarium.app.kit.setting_names.slot_words import UNUSED
from terrarium.app.kit.setting_names.value_words import words
from terrarium.models.design import total_parameters
from terrarium.models.design.custom import if_known
from terrarium.models.number_words import format_compact
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

_PREFIXES = {
    "Terrarium": ("terrarium",),
    "Transformer 2017": ("transformer",),
    "GPT-2": ("gpt2",),
    "LLaMA": ("llama",),
    "Mixture of experts": ("moe", "mixtral"),
    "BERT": ("bert",),
    "T5": ("t5",),
    "BART": ("bart",),
}


@dataclass(frozen=True)
class Family:
    """Presets of similar design: the tiny one first, then the published ones from small to large."""

    title: str
    presets: tuple[str, ...]


@cache
def preset_families() -> tuple[Family, ...]:
    """Group all presets into families; presets of no known family are in the last."""
    left = dict(PRESETS)
    families = []
    for title, prefixes in _PREFIXES.items():
        names = [name for name in left if name.startswith(prefixes)]
        families.append(Family(title, tuple(sorted(names, key=_order))))
        for name in names:
            del left[name]
    if left:
        families.append(Family("Others", tuple(sorted(left, key=_order))))
    return tuple(families)


def _order(name: str) -> tuple[bool, int]:
    return not name.endswith("-tiny"), total_parameters(PRESETS[name])


def format_parameter_count(config: ModelConfig) -> str:
    """Format the number of parameters with three digits: '1.05 M', '6.74 B'; '–' if a custom block hides it."""
    n = known_parameters(config)
    return UNUSED if n is None else format_compact(n, billion="B")


def known_parameters(config: ModelConfig) -> int | None:
    """Return the number of parameters, None if it depends on a custom block that was not measured.

    Nothing of a block runs.
    """
    return if_known(lambda: total_parameters(config))


def same_preset(config: ModelConfig) -> str:
    """Return the name of the preset equal to `config`, or ''."""
    return next((name for name, preset in PRESETS.items() if preset == config), "")


def design_title(name: str) -> str:
    """Return the title of a preset or a saved design on screen."""
    return words(name) if name in PRESETS else name
