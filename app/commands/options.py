"""Commands as dataclasses: each field is an option, made of its name, its type and what `option` says of it.

Not a library over argparse: tyro, typer, cyclopts, simple-parsing and pydantic-settings each print a `--help` and error
sentences of their own, and none reads the help and choices of our slots, so that most of this file would be needed
beside them. With it the help and the exit codes stay argparse's, mypy checks the fields, and nothing is imported for a
command but its own module.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from terrarium.models.settings.run_spec import DEVICE_NAMES

Options = TypeVar("Options", bound="OptionSet")


def option(help: str, *flags: str, default: Any = MISSING, **hints: Any) -> Any:
    """Return a dataclass field that is an option, `--its-name` unless there are `flags`.

    Its type says how it is read: bool is a switch (with “--no-” if its default is not False), tuple[X, ...] may be
    given several times, X | None and tuples may be omitted; of another type, it must be given or have a default.

    Args:
        hints: `metavar`; `choices`; `read`, which converts the text, instead of the type; `group`, the heading that
            it is shown under; `one_of`, the name of a set of options of which at most one may be given, or exactly one
            if the first is `required`; `many` = True for a tuple whose values follow one option; `const`, the value of
            an option without one; `complete`, what completion offers (app.commands.completion).
    """
    known = {} if default is MISSING else {"default": default}
    return field(**known, metadata={"help": help, "flags": flags, **hints})


def argument(metavar: str, help: str, *, default: Any = MISSING, **hints: Any) -> Any:
    """Return a dataclass field that is a positional argument; see `option`. With a default it may be omitted."""
    known = {} if default is MISSING else {"default": default}
    return field(**known, metadata={"help": help, "metavar": metavar, **hints})


def slots(cls: type, *, group: str = "", read: Mapping[str, Callable[[str], Any]] | None = None) -> Any:
    """Return a field, Mapping[str, Any], with an option for each slot of a settings class; it holds the given ones.

    Args:
        read: how the values of a tuple's items are read, by the name of the slot (default: as texts).
    """
    return field(metadata={"slots": cls, "group": group, "read": read or {}})


def action_name() -> Any:
    """Return a field that holds the name of the action, as it was typed."""
    return field(metadata={"action": True})


def print_json(value: Any) -> None:
    """Print the command's one JSON object."""
    print(json.dumps(value, ensure_ascii=True))


def _read_hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no SHA-256 of a text: write its 64 hexadecimal digits")
    return text.lower()


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of cores: use 1 or more")
    return int(text)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option, argument, slots, action_name))
@dataclass(frozen=True, kw_only=True)
class OptionSet:
    """Options that several commands have; subclasses are frozen dataclasses. A command has a field of this type."""

    def __init_subclass__(cls) -> None:
        """Make the subclass a dataclass."""
        dataclass(frozen=True, kw_only=True)(cls)


class Command(OptionSet, ABC):
    """A command or an action of one; its fields are its options, and these are options of all.

    The docstring of a subclass is its line in a list of commands, and the description above its own options, unless the
    keywords `help` and `description` of the class, or an Entry, say more.
    """

    help: ClassVar[str]
    description: ClassVar[str]
    epilog: ClassVar[str]

    as_json: bool = option("print one JSON object instead of text", "--json")
    device: str = option("where to compute", default="auto", choices=DEVICE_NAMES)
    threads: int | None = option("how many cores models may use (default: all)", read=_read_count, metavar="N")
    trusted_blocks: tuple[str, ...] = option(
        "let the custom block whose text has this SHA-256 run, for this command; it is a program: read it first",
        "--trust-block",
        read=_read_hash,
        metavar="SHA256",
    )

    def __init_subclass__(cls, *, help: str = "", description: str | None = "", epilog: str = "") -> None:
        """Make the subclass a dataclass with a help text."""
        super().__init_subclass__()
        about = " ".join((cls.__doc__ or "").split())
        cls.help = help or f"{about[:1].lower()}{about[1:]}".removesuffix(".")
        cls.description, cls.epilog = description or about, epilog

    def show(self, facts: Mapping[str, Any], text: object) -> None:
        """Print the result: the facts as one JSON object with --json, else the text."""
        if self.as_json:
            print_json(facts)
        else:
            print(text)

    @abstractmethod
    def run(self) -> int | None:
        """Perform the command, and return the exit code: 1 failed, 130 interrupted, otherwise 0 or None."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An action whose class serves several, each with words of its own."""

    command: type[Command]
    help: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """A command that is a choice of actions."""

    actions: Mapping[str, type[Command] | Entry]
    help: str
    description: str | None
    epilog: str = ""
    metavar: str = "ACTION"


def add_command(subparsers: Any, name: str, command: type[Command] | Entry | Group) -> argparse.ArgumentParser:
    """Add the parser of a command, with its actions and options."""
    epilog = "" if isinstance(command, Entry) else command.epilog
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=_plain(command.help),
        description=command.description,
        epilog=epilog,
        # The lines of an epilog of several are not filled.
        formatter_class=argparse.RawDescriptionHelpFormatter if "\n" in epilog else argparse.HelpFormatter,
    )
    if isinstance(command, Group):
        actions = parser.add_subparsers(dest="action", metavar=command.metavar, required=True)
        for action, each in command.actions.items():
            add_command(actions, action, each)
    else:
        cls = command.command if isinstance(command, Entry) else command
        add_options(parser, cls)
        parser.set_defaults(options=cls)
    return parser


def _plain(help: str) -> str:
    """Escape a help text for argparse, which formats it."""
    return help.replace("%", "%%")


def add_options(parser: argparse.ArgumentParser, cls: type[OptionSet], prefix: str = "") -> None:
    """Add the options of a dataclass to a parser; a field that is an OptionSet adds its own."""
    groups: dict[str, Any] = {"": parser}
    for f, kind in _fields(cls):
        hints, dest = f.metadata, f"{prefix}{f.name}"
        if isinstance(kind, type) and issubclass(kind, OptionSet):
            add_options(parser, kind, f"{dest}.")
            continue
        group, one_of = hints.get("group", ""), hints.get("one_of", "")
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        if one_of and one_of not in groups:
            groups[one_of] = groups[group].add_mutually_exclusive_group(required=hints.get("required", False))
        container = groups[one_of or group]
        if "slots" in hints:
            _add_slots(container, hints["slots"], hints["read"], dest)
        elif "help" in hints:
            names, keywords = _keywords(f, kind, dest)
            action = container.add_argument(*names, **keywords)
            if complete := hints.get("complete", "file" if keywords.get("type") is Path else ""):
                action.complete = complete


def read_options(cls: type[Options], namespace: argparse.Namespace, prefix: str = "") -> Options:
    """Build the dataclass of options from what argparse has parsed with `add_options`."""
    values: dict[str, Any] = {}
    for f, kind in _fields(cls):
        dest = f"{prefix}{f.name}"
        if isinstance(kind, type) and issubclass(kind, OptionSet):
            values[f.name] = read_options(kind, namespace, f"{dest}.")
        elif "slots" in f.metadata:
            names = [each.name for each in dataclasses.fields(f.metadata["slots"])]
            given = {name: getattr(namespace, f"{dest}.{name}") for name in names}
            values[f.name] = {name: _frozen(value) for name, value in given.items() if value is not None}
        elif "action" in f.metadata:
            values[f.name] = namespace.action
        else:
            value = getattr(namespace, dest)
            values[f.name] = () if value is None and get_origin(kind) is tuple else _frozen(value)
    return cls(**values)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fields(cls: type[OptionSet]) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Yield the fields of a dataclass with their types, those of every command last."""
    kinds = get_type_hints(cls)
    for f in sorted(dataclasses.fields(cls), key=lambda f: f.name in Command.__annotations__):
        yield f, kinds[f.name]


def _keywords(f: dataclasses.Field[Any], kind: Any, dest: str) -> tuple[Sequence[str], dict[str, Any]]:
    """Return the names and keywords of `add_argument` for a field of this type."""
    hints, has_default = f.metadata, f.default is not MISSING
    default = f.default if has_default else None
    is_many, may_lack = get_origin(kind) is tuple, has_default or isinstance(kind, UnionType)
    keywords: dict[str, Any] = {"help": _plain(hints["help"] + _default_words(hints["help"], default))}
    if is_many or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    if kind is bool and not may_lack:
        keywords["action"] = "store_true"
    elif kind is bool:
        keywords |= {"action": argparse.BooleanOptionalAction, "default": default}
    else:
        choices = hints.get("choices")
        keywords |= {"type": hints.get("read", kind), "choices": choices, "default": None if is_many else default}
        keywords["metavar"] = hints.get("metavar") or (None if choices else f.name.upper())
    if "flags" not in hints:
        if is_many or may_lack:
            keywords["nargs"] = "?" if not is_many else "*" if may_lack else "+"
        return (dest,), keywords
    if is_many:
        keywords |= {"action": "extend", "nargs": "+"} if hints.get("many") else {"action": "append"}
    if "const" in hints:
        keywords |= {"const": hints["const"], "nargs": "?"}
    keywords["required"] = not (is_many or may_lack or kind is bool)
    return hints["flags"] or (f"--{f.name.replace('_', '-')}",), {**keywords, "dest": dest}


def _default_words(help: str, default: Any) -> str:
    """Return “ (default: …)” unless the help says it, or nothing is the default."""
    if "default" in help.lower() or isinstance(default, bool) or not default:
        return ""
    return f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"


def _add_slots(container: Any, cls: type, read: Mapping[str, Callable[[str], Any]], dest: str) -> None:
    """Add an option for each slot of a settings class, which is None unless it is given."""
    for each in dataclasses.fields(cls):
        name, default, choices = each.name.replace("_", "-"), each.default, each.metadata.get("choices")
        words = f" Default: {default}."
        keywords: dict[str, Any] = {"type": type(default), "choices": choices, "metavar": None if choices else "N"}
        if isinstance(default, tuple):
            convert, words = read.get(each.name, str), " May be repeated."
            name = name.removesuffix("s") if convert is str else name
            keywords = {"action": "append", "type": convert, "metavar": "TEXT" if convert is str else "ID=BIAS"}
        elif isinstance(default, bool):
            keywords = {"action": argparse.BooleanOptionalAction}
            words = f" Default: {'yes' if default else 'no'}."
        container.add_argument(
            f"--{name}",
            dest=f"{dest}.{each.name}",
            help=_plain(each.metadata["help"] + words),
            default=None,
            **keywords,
        )
