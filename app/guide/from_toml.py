"""Builds actions and checks from the TOML of chapters: a table has a name and arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

_TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "Mapping[str, Any]": dict,
    "Mapping[str, Any] | None": dict,
}
"""The accepted TOML types for each argument annotation."""


def build(table: Mapping[str, Any], key: str, known: Mapping[str, Callable[..., Any]]) -> Any:
    """Construct what `table[key]` names, with the other entries of the table as arguments.

    Raises:
        ValueError: the name is unknown, or an argument is unknown, missing or of the wrong type.
    """
    arguments = dict(table)
    name = arguments.pop(key, None)
    if name not in known:
        raise ValueError(f"“{key} = {name!r}” is not one of {', '.join(known)}.")
    maker = known[name]
    fields = {field.name: field for field in dataclasses.fields(maker)}  # type: ignore[arg-type]
    for argument, value in arguments.items():
        if argument not in fields:
            raise ValueError(f"“{name}” has no argument “{argument}”; it has {', '.join(fields) or 'none'}.")
        wanted = _TYPES[str(fields[argument].type)]
        if isinstance(value, bool) is not (wanted is bool) or not isinstance(value, wanted):
            raise ValueError(f"“{argument}” of “{name}” is {value!r}, but must be {fields[argument].type}.")
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in arguments]
    if missing:
        raise ValueError(f"“{name}” needs {', '.join(missing)}.")
    return maker(**arguments)
