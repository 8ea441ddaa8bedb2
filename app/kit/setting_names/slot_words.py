"""Formatting of slot values and other settings, and comparing designs. No Qt, no torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from terrarium.app.kit.setting_names.value_words import words
from terrarium.models.number_words import format_count
from terrarium.models.settings.block_references import BLOCK_SLOTS, BlockReference
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.slots import is_used

_SlotField = dataclasses.Field[Any]
UNUSED = "–"
"""Shown if a slot has no effect in a design."""

_AUTOMATIC: dict[str, Callable[[ModelConfig], Any]] = {
    "n_kv_head": lambda config: config.kv_heads,
    "d_head": lambda config: config.head_dim,
    "d_ff": lambda config: config.ff_width,
    "n_encoder_layer": lambda config: config.n_encoder_layer or config.n_layer,
    "n_encoder_head": lambda config: config.n_encoder_head or config.n_head,
    "d_encoder_ff": lambda config: config.d_encoder_ff or config.ff_width,
}
"""The derived values of slots whose 0 means a value derived from other slots."""

_ZEROS = {
    "sliding_window": "all",
    "nope_interval": "none",
    "n_expert": "none",
    "conv_width": "none",
    "max_ngram": "none",
    "n_segment": "none",
    "start_id": "tokenizer's",
    "end_id": "tokenizer's",
}
"""The text for the minimum of other slots."""


def with_labels(sentence: str, slots: Iterable[_SlotField]) -> str:
    """Replace slot names in a sentence by labels; names without an underscore, which may be plain words, only at its
    start."""
    for f in slots:
        pattern = rf"\b{f.name}\b" if "_" in f.name else rf"^{f.name}\b"
        sentence = re.sub(pattern, f.metadata.get("label", f.name), sentence)
    return sentence


def zero_text() -> dict[str, Callable[[ModelConfig], str]]:
    """Return functions from a design to the text for the minimum, for slots whose minimum has a special meaning."""
    automatic = {name: _format_automatic(value) for name, value in _AUTOMATIC.items()}
    return {**automatic, **{name: _fixed(word) for name, word in _ZEROS.items()}}


def value_in_use(config: ModelConfig, f: _SlotField) -> Any:
    """Return the effective value of a slot: None if it has no effect, the derived value if it is automatic."""
    if not is_used(config, f):
        return None
    value = getattr(config, f.name)
    return _AUTOMATIC[f.name](config) if f.name in _AUTOMATIC and not value else value


def format_slot(config: ModelConfig, f: _SlotField) -> str:
    """Format the value of a slot."""
    value = value_in_use(config, f)
    if value is None:
        return UNUSED
    if f.name in _AUTOMATIC and not getattr(config, f.name):
        return f"{value:,} (auto)"
    if f.name in BLOCK_SLOTS.values():
        return BlockReference.parse(value).name if value else "built in"
    if f.name in _ZEROS and value <= 0:
        return _ZEROS[f.name]
    return format_setting(value)


def format_setting(value: Any) -> str:
    """Format the value of any setting; UNUSED for none. Of absolute paths, only the last part is shown."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value >= 1000 and value.is_integer()):
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:g}"
    items = value if isinstance(value, tuple | list) else () if value is None else (value,)
    return ", ".join(words(_without_folders(str(item))) for item in items) or UNUSED


def changed_slots(before: ModelConfig, after: ModelConfig) -> list[_SlotField]:
    """Return the changed slots, without those whose effective value is unchanged."""
    return [
        f
        for f in dataclasses.fields(ModelConfig)
        if getattr(before, f.name) != getattr(after, f.name) and value_in_use(before, f) != value_in_use(after, f)
    ]


def describe_changes(changed: Sequence[_SlotField], how: str) -> str:
    """Format changed slots as '2 settings changed from GPT-2: Layers, Width'; '' for none."""
    names = ", ".join(map(label_of, changed))
    return f"{format_count(len(changed), 'setting')} {how}: {names}" if changed else ""


def differs(configs: Sequence[ModelConfig], f: _SlotField) -> bool:
    """Return whether the effective values of a slot differ between designs.

    An advanced slot with equal values that merely has no effect in some designs does not differ.
    """
    values = {value_in_use(config, f) for config in configs}
    if f.metadata.get("advanced") and len({getattr(config, f.name) for config in configs}) == 1:
        values.discard(None)
    return len(values) > 1


def label_of(f: _SlotField) -> str:
    """Return the slot's name on screen."""
    return str(f.metadata.get("label", f.name))


def _without_folders(text: str) -> str:
    whole = text.replace("\\", "/")
    return whole.rpartition("/")[2] if whole.startswith("/") or whole[1:3] == ":/" else text


def _format_automatic(value: Callable[[ModelConfig], Any]) -> Callable[[ModelConfig], str]:
    return lambda config: f"auto ({value(config):,})"


def _fixed(word: str) -> Callable[[ModelConfig], str]:
    return lambda config: word
