"""Settings as frozen dataclasses whose fields carry their label, help and valid range. No torch."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from terrarium.models.extensions.registry import Missing


def slot(default: Any, label: str, help: str, *, group: str, **hints: Any) -> Any:
    """Return a dataclass field with the metadata for forms and validation.

    Args:
        label: its name on screen; `help`: what it does, in plain words; `group`: the heading it is shown under.
        hints: `choices`, or `range` (lowest, highest); `items` (the type of a tuple's items, default: str);
            `only_if` (another slot, and the value, tuple or range of values for which this slot has an effect);
            `advanced` = True if few people need it; `omit_default` = True for a slot that older versions
            lack: `settings_to_dict` omits it at its default, so that files of older versions stay unchanged.
    """
    return field(default=default, metadata={"label": label, "help": help, "group": group, **hints})


@dataclass(frozen=True)
class Problem:
    """An illegal setting: the slot to change, and a message with the remedy."""

    slot: str
    sentence: str


class SettingError(ValueError):
    """An illegal setting; `problem` names the slot."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


Settings = TypeVar("Settings")


def settings_from_dict(cls: type[Settings], data: Any, where: str) -> Settings:
    """Build the settings dataclass `cls` (its fields made by `slot`) from parsed JSON or TOML; lists become tuples.

    Raises:
        ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object of named settings, not {type(data).__name__}.")
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - known)
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the settings are {', '.join(sorted(known))}."
        raise ValueError(f"{where} has no setting called {unknown[0]!r}: {hint}")
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """Convert settings to a dict for a file, the inverse of `settings_from_dict`; see `omit_default` of `slot`."""
    return {
        f.name: getattr(settings, f.name)
        for f in fields(settings)
        if not f.metadata.get("omit_default") or getattr(settings, f.name) != f.default
    }


def check_complete(entries: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise LookupError, naming `where`, unless the names of `entries` are exactly the `known` ones.

    For tables with an entry per choice of a setting; called at import, so that a new choice cannot be forgotten.
    """
    found, wanted = set(entries), set(known)
    if missing := wanted - found:
        raise LookupError(f"{where}: there is no entry for {', '.join(sorted(missing))}.")
    if unknown := found - wanted:
        raise LookupError(f"{where}: {', '.join(sorted(unknown))} is not known.")


def join_choices(choices: Iterable[str]) -> str:
    """Join choices as an enumeration: “one, another, or a third”."""
    *first, last = choices
    return f"{', '.join(first)}, or {last}" if first else last


def draft(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build an object with these settings (others at their defaults) without validation; it may be illegal."""
    unchecked = object.__new__(cls)
    for f in fields(cls):  # type: ignore[arg-type]
        object.__setattr__(unchecked, f.name, values.get(f.name, f.default))
    return unchecked


def check_settings(settings: Any) -> None:
    """Raise SettingError if a field of the dataclass has a wrong type, or is outside its slot's choices or range."""
    for problem in field_problems(settings):
        raise SettingError(problem)


def field_problems(settings: Any) -> list[Problem]:
    """Return the problems of fields with a wrong type, or outside their slot's choices or range."""
    found = ((f.name, _field_problem(f, getattr(settings, f.name))) for f in fields(settings))
    return [Problem(name, sentence) for name, sentence in found if sentence]


def is_used(settings: Any, f: dataclasses.Field[Any]) -> bool:
    """Return whether a slot has an effect in these settings, by its `only_if` and, recursively, that slot's own."""
    condition = f.metadata.get("only_if")
    if condition is None:
        return True
    other, wanted = condition
    value = getattr(settings, other)
    if value not in wanted if isinstance(wanted, tuple | range) else value != wanted:
        return False
    return is_used(settings, next(g for g in fields(settings) if g.name == other))


def _field_problem(f: dataclasses.Field[Any], value: Any) -> str | None:
    expected: Any = type(f.default)
    if isinstance(value, Missing) and "choices" in f.metadata:
        return None
    if type(value) is not expected and not (expected is float and type(value) is int):
        return f"{f.name} must be {_describe_type(expected)}, not {reprlib.repr(value)}."
    if expected is tuple and not all(isinstance(item, f.metadata.get("items", str)) for item in value):
        return f"{f.name} must be {_describe_type(expected)}, not {reprlib.repr(value)}."
    choices = f.metadata.get("choices")
    if choices and value not in choices:
        return f"{f.name} cannot be {reprlib.repr(value)}: choose one of {', '.join(choices)}."
    if "range" in f.metadata:
        low, high = f.metadata["range"]
        if not low <= value <= high:
            return f"{f.name} is {reprlib.repr(value)}, but must lie between {low} and {high}."
    return None


def _describe_type(kind: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "texts"}[kind]


def check_keys(data: Any, known: set[str], where: str) -> None:
    """Raise ValueError if `data` is not a dict or has a key that is not `known`."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be an object of named settings, not {type(data).__name__}.")
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{where} has no key {unknown[0]!r}: the keys are {', '.join(sorted(known))}.")
