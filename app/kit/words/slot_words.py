"""What slots and other settings are set to, in words, and which of two values really differ. No Qt, no torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.kit.words.value_words import words
from models.number_words import format_count
from models.settings.model_config import ModelConfig
from models.settings.slots import is_used

_SlotField = dataclasses.Field[Any]
UNUSED = "–"
"""Stands where a slot means nothing in a design."""

_AUTOMATIC: dict[str, Callable[[ModelConfig], Any]] = {
    "n_kv_head": lambda config: config.kv_heads,
    "d_head": lambda config: config.head_dim,
    "d_ff": lambda config: config.ff_width,
    "n_encoder_layer": lambda config: config.n_encoder_layer or config.n_layer,
    "n_encoder_head": lambda config: config.n_encoder_head or config.n_head,
    "d_encoder_ff": lambda config: config.d_encoder_ff or config.ff_width,
}
"""Slots whose 0 means that the value follows from others: the value in use."""

_ZEROS = {
    "sliding_window": "all",
    "nope_interval": "none",
    "n_expert": "none",
    "conv_width": "none",
    "n_segment": "none",
    "start_id": "tokenizer's",
    "end_id": "tokenizer's",
}
"""What the least value of other slots is called."""


def with_labels(sentence: str, slots: Iterable[_SlotField]) -> str:
    """The sentence with the labels of slots instead of their names; plain words stay, where they may be prose."""
    for f in slots:
        pattern = rf"\b{f.name}\b" if "_" in f.name else rf"^{f.name}\b"
        sentence = re.sub(pattern, f.metadata.get("label", f.name), sentence)
    return sentence


def zero_words() -> dict[str, Callable[[ModelConfig], str]]:
    """For slots whose least value means something else than a number: how that is written, given the design."""
    automatic = {name: _automatic_words(value) for name, value in _AUTOMATIC.items()}
    return {**automatic, **{name: _fixed(word) for name, word in _ZEROS.items()}}


def value_in_use(config: ModelConfig, f: _SlotField) -> Any:
    """What the slot comes to in this design: None where it means nothing, the derived value where it is automatic."""
    if not is_used(config, f):
        return None
    value = getattr(config, f.name)
    return _AUTOMATIC[f.name](config) if f.name in _AUTOMATIC and not value else value


def value_words(config: ModelConfig, f: _SlotField) -> str:
    """What the slot is set to, as a person would write it."""
    value = value_in_use(config, f)
    if value is None:
        return UNUSED
    if f.name in _AUTOMATIC and not getattr(config, f.name):
        return f"{value:,} (auto)"
    if f.name in _ZEROS and value <= 0:
        return _ZEROS[f.name]
    return plain_words(value)


def plain_words(value: Any) -> str:
    """The value of any setting as a person would write it, UNUSED for none; of whole paths the last part."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value >= 1000 and value.is_integer()):
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:g}"
    items = value if isinstance(value, tuple | list) else () if value is None else (value,)
    return ", ".join(words(_without_folders(str(item))) for item in items) or UNUSED


def changed_slots(before: ModelConfig, after: ModelConfig) -> list[_SlotField]:
    """The slots that were set otherwise; what only follows from another slot is not among them."""
    return [
        f
        for f in dataclasses.fields(ModelConfig)
        if getattr(before, f.name) != getattr(after, f.name) and value_in_use(before, f) != value_in_use(after, f)
    ]


def change_words(changed: Sequence[_SlotField], how: str) -> str:
    """'2 slots changed from GPT-2: Layers, Width'; '' where there are none."""
    names = ", ".join(map(label_of, changed))
    return f"{format_count(len(changed), 'slot')} {how}: {names}" if changed else ""


def differs(configs: Sequence[ModelConfig], f: _SlotField) -> bool:
    """Whether the slot comes to different things in these designs. That a rarely changed slot means nothing in some
    of them is no difference by itself."""
    values = {value_in_use(config, f) for config in configs}
    if f.metadata.get("advanced") and len({getattr(config, f.name) for config in configs}) == 1:
        values.discard(None)
    return len(values) > 1


def label_of(f: _SlotField) -> str:
    """The slot's name on screen."""
    return str(f.metadata.get("label", f.name))


def _without_folders(text: str) -> str:
    whole = text.replace("\\", "/")
    return whole.rpartition("/")[2] if whole.startswith("/") or whole[1:3] == ":/" else text


def _automatic_words(value: Callable[[ModelConfig], Any]) -> Callable[[ModelConfig], str]:
    return lambda config: f"auto ({value(config):,})"


def _fixed(word: str) -> Callable[[ModelConfig], str]:
    return lambda config: word
