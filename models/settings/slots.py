"""Settings as frozen dataclasses whose fields know how to be shown in a form and what they may hold. No torch."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar


def slot(default: Any, label: str, help: str, *, group: str, **hints: Any) -> Any:
    """A dataclass field with what a form needs.

    Args:
        label: its name on screen; `help`: what it does, in plain words; `group`: the heading it stands under.
        hints: `choices`, or `range` (lowest, highest); `items` (the type of a tuple's items, text if not said);
            `only_if` (another slot, the value, tuple or range of values of that slot under which this one means
            something); `advanced` = True where few people need it; `later` = True for a slot that older versions did
            not know: `plain` leaves it out where it is at its default, so that what is written stays as it was.
    """
    return field(default=default, metadata={"label": label, "help": help, "group": group, **hints})


@dataclass(frozen=True)
class Problem:
    """What is wrong with a setting: the slot to change, and a sentence with the remedy."""

    slot: str
    sentence: str


class SettingError(ValueError):
    """An illegal setting; `problem` says which slot causes it."""

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


def plain(settings: Any) -> dict[str, Any]:
    """The settings as they are written to a file, which `settings_from_dict` reads: see `later` of `slot`."""
    return {
        f.name: getattr(settings, f.name)
        for f in fields(settings)
        if not f.metadata.get("later") or getattr(settings, f.name) != f.default
    }


def check_complete(entries: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise LookupError where `entries`, of what `where` says, are not exactly those that are `known` by name.

    For tables that say more of the choices of a setting than the setting itself: called when they are imported, so that
    a new choice is never passed over in silence.
    """
    found, wanted = set(entries), set(known)
    if lacking := wanted - found:
        raise LookupError(f"{where}: there is no entry for {', '.join(sorted(lacking))}.")
    if strange := found - wanted:
        raise LookupError(f"{where}: {', '.join(sorted(strange))} is not known.")


def listed(words: Iterable[str]) -> str:
    """Choices in a sentence: “one, another, or a third”."""
    *first, last = words
    return f"{', '.join(first)}, or {last}" if first else last


def draft(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    """An object with these settings (the others at their defaults) that nobody has checked: it may be illegal."""
    unchecked = object.__new__(cls)
    for f in fields(cls):  # type: ignore[arg-type]
        object.__setattr__(unchecked, f.name, values.get(f.name, f.default))
    return unchecked


def check_settings(settings: Any) -> None:
    """Raise SettingError where a field of the dataclass has the wrong type or leaves its slot's choices or range."""
    for problem in field_problems(settings):
        raise SettingError(problem)


def field_problems(settings: Any) -> list[Problem]:
    """The fields of a settings object that have a wrong type, or lie outside the slot's choices or range."""
    found = ((f.name, _field_problem(f, getattr(settings, f.name))) for f in fields(settings))
    return [Problem(name, sentence) for name, sentence in found if sentence]


def is_used(settings: Any, f: dataclasses.Field[Any]) -> bool:
    """Whether the slot means anything in these settings (its `only_if`, and that slot's own)."""
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
    if type(value) is not expected and not (expected is float and type(value) is int):
        return f"{f.name} must be {_type_words(expected)}, not {reprlib.repr(value)}."
    if expected is tuple and not all(isinstance(item, f.metadata.get("items", str)) for item in value):
        return f"{f.name} must be {_type_words(expected)}, not {reprlib.repr(value)}."
    choices = f.metadata.get("choices")
    if choices and value not in choices:
        return f"{f.name} cannot be {reprlib.repr(value)}: choose one of {', '.join(choices)}."
    if "range" in f.metadata:
        low, high = f.metadata["range"]
        if not low <= value <= high:
            return f"{f.name} is {reprlib.repr(value)}, but must lie between {low} and {high}."
    return None


def _type_words(kind: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "texts"}[kind]
