"""Changing and comparing single settings of a spec by name, as in “train.lr = 0.003”. No torch.

An option of a custom block is named by its place, as in “attention.decay = 0.9”.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of, options_in, written_options
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec

TABLES: dict[str, type] = {
    "train": TrainConfig,
    "model": ModelConfig,
    "data": DataSpec,
    "tokenizer": TokenizerSpec,
    "tune": TuneSpec,
    "align": AlignSpec,
}
"""The tables of a spec."""
_NOT_ALIGNED = frozenset({"objective", "class_weights", "context_loss_weight"})
_NOT_DRAWN = frozenset({"batch_size", "grad_accum_steps", "eval_batches"})


def parse_change(text: str) -> tuple[str, Any]:
    """Parse "train.lr=3e-4" as ("train.lr", 0.0003): the value is TOML, or text without quotes.

    A name without a table belongs to [train].

    Raises:
        ValueError: if the name or the value is missing.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise ValueError(f"{text!r} is not a setting with a value: write it as train.lr=0.003.")
    return full_name(name), _parsed(value)


def _parsed(value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def setting_names() -> list[str]:
    """Return the names of all settings of a spec, such as "train.lr"."""
    return [f"{table}.{field.name}" for table, cls in TABLES.items() for field in dataclasses.fields(cls)]


def full_name(name: str) -> str:
    """Return a setting's name with its table: "train.lr" for "lr"."""
    return name if "." in name else f"train.{name}"


def changed_spec(spec: RunSpec, changes: Mapping[str, Any]) -> RunSpec:
    """Return a spec with changed settings, named as in "train.lr" or "model.n_layer".

    Raises:
        ValueError: if there is no such setting, or a value is illegal.
    """
    by_table: dict[str, dict[str, Any]] = {}
    if options := {name: value for name, value in changes.items() if name.partition(".")[0] in BLOCK_SLOTS}:
        changes = {name: value for name, value in changes.items() if name not in options}
        by_table["model"] = {"block_options": _with_options(spec, options)}
    for name, value in changes.items():
        table, setting = _split(spec, name)
        by_table.setdefault(table, {})[setting] = tuple(value) if isinstance(value, list) else value
    parts: dict[str, Any] = {}
    for table, values in by_table.items():
        try:
            parts[table] = dataclasses.replace(getattr(spec, table), **values)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from error
    return dataclasses.replace(spec, **parts)


def _with_options(spec: RunSpec, changes: Mapping[str, Any]) -> tuple[str, ...]:
    design = spec.model
    options: dict[str, dict[str, object]] = {place: dict(options_in(design, place)) for place in blocks_of(design)}
    for name, value in changes.items():
        place, _, option = name.partition(".")
        if place not in options:
            raise ValueError(f"{name!r} sets nothing, as the design has no custom block for {place}: leave it out.")
        options[place][option] = value
    return written_options(options)


def value_of(spec: RunSpec, name: str) -> Any:
    """Return the value of a setting, named as in `changed_spec`. Raises ValueError if it does not exist.

    That of a block's option is None if the design leaves it at its default.
    """
    table, setting = _split(spec, name)
    if table in BLOCK_SLOTS:
        return _option(spec.model, name)
    return getattr(getattr(spec, table), setting)


def kind_of(spec: RunSpec, name: str) -> type:
    """Return the type of a setting, that of its default; the value of a float setting may be the int 1."""
    table, setting = _split(spec, name)
    return type(next(field.default for field in dataclasses.fields(getattr(spec, table)) if field.name == setting))


def _split(spec: RunSpec, name: str) -> tuple[str, str]:
    """Split a name into table and setting; ValueError if the spec has no such setting."""
    table, _, setting = full_name(name).partition(".")
    if table in blocks_of(spec.model):
        return table, setting
    if table == "tune" and spec.tune is None:
        raise ValueError(f"{name!r} is a setting of fine-tuning, but this run starts from scratch: leave it out.")
    if table == "align" and spec.align is None:
        raise ValueError(f"{name!r} is a setting of alignment, but this run learns from texts: leave it out.")
    if table not in TABLES or setting not in {field.name for field in dataclasses.fields(getattr(spec, table))}:
        raise ValueError(f"There is no setting called {name!r}: use one like train.lr or model.n_layer.")
    return table, setting


def differing_settings(specs: Sequence[RunSpec]) -> dict[str, tuple[Any, ...]]:
    """Return the settings that differ between the specs, as "train.lr" -> one value per spec; run names are ignored.

    Settings of a table that a spec lacks (tune, align) are None.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for table in TABLES:
        parts = [getattr(spec, table) for spec in specs]
        some = next((part for part in parts if part is not None), None)
        for field in () if some is None else dataclasses.fields(some):
            values = tuple(getattr(part, field.name, None) for part in parts)
            if any(value != values[0] for value in values):
                found |= _options(specs) if field.name == "block_options" else {f"{table}.{field.name}": values}
    return found


def _options(specs: Sequence[RunSpec]) -> dict[str, tuple[Any, ...]]:
    """Return the options of custom blocks that differ between the specs, by place and name."""
    names = {f"{place}.{name}" for spec in specs for place in BLOCK_SLOTS for name in options_in(spec.model, place)}
    found = {}
    for name in sorted(names):
        values = tuple(_option(spec.model, name) for spec in specs)
        if len(set(values)) > 1:
            found[name] = values
    return found


def _option(design: ModelConfig, name: str) -> Any:
    place, _, option = name.partition(".")
    text = options_in(design, place).get(option)
    return None if text is None else _parsed(text)


def inactive_fields(model: ModelConfig, align: AlignSpec | None = None) -> frozenset[str]:
    """Return the TrainConfig settings without effect, because of the design's topology and head or the alignment."""
    if align is not None:
        return _NOT_ALIGNED | _NOT_DRAWN if align.task == "prompts" else _NOT_ALIGNED
    inactive = set() if model.topology == "encoder-decoder" and model.head == "language" else {"objective"}
    return frozenset(inactive if model.head in ("sequence", "token") else {*inactive, "class_weights"})
