"""Changing single settings of a spec by name, as “train.lr = 0.003”: for options, forks and sweeps. No torch import."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from models.settings.run_spec import RunSpec

TABLES = ("train", "model", "data", "tokenizer")


def parse_change(text: str) -> tuple[str, Any]:
    """ "train.lr=3e-4" as ("train.lr", 0.0003): the value is written as in TOML, words without quotes too.

    A name without a table is one of [train].

    Raises:
        ValueError: where it has no name, or no value.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise ValueError(f"{text!r} is no setting with a value: write it as train.lr=0.003.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return full_name(name), parsed


def full_name(name: str) -> str:
    """The name with its table: "lr" is "train.lr"."""
    return name if "." in name else f"train.{name}"


def changed_spec(spec: RunSpec, changes: Mapping[str, Any]) -> RunSpec:
    """The spec with other values for the settings named, as "train.lr" or "model.n_layer".

    Raises:
        ValueError: where there is no such setting, or a value is not one of its.
    """
    by_table: dict[str, dict[str, Any]] = {}
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


def value_of(spec: RunSpec, name: str) -> Any:
    """The value that the spec has for a setting named as in `changed_spec`; ValueError where there is none."""
    table, setting = _split(spec, name)
    return getattr(getattr(spec, table), setting)


def kind_of(spec: RunSpec, name: str) -> type:
    """The type of a setting's values: a number with a fraction may have the value 1, but is a float all the same."""
    table, setting = _split(spec, name)
    return type(next(field.default for field in dataclasses.fields(getattr(spec, table)) if field.name == setting))


def _split(spec: RunSpec, name: str) -> tuple[str, str]:
    """The table and the setting that a name stands for."""
    table, _, setting = full_name(name).partition(".")
    if table not in TABLES or setting not in {field.name for field in dataclasses.fields(getattr(spec, table))}:
        raise ValueError(
            f"There is no setting called {name!r}: name one of a spec's, such as train.lr or model.n_layer."
        )
    return table, setting


def varying(specs: Sequence[RunSpec]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not the same in all specs, as "train.lr" -> one value for each of them; names left out."""
    found = {}
    for table in TABLES:
        for field in dataclasses.fields(getattr(specs[0], table)):
            values = tuple(getattr(getattr(spec, table), field.name) for spec in specs)
            if any(value != values[0] for value in values):
                found[f"{table}.{field.name}"] = values
    return found
