"""Finds the installed extensions, and gives each table the entries that they add to it. No torch.

A table is made as `OWN | find("optimizers", Optimizer, taken=OWN).entries` when its module is imported. What is wrong
with an extension never stops the program: it is left out, with a sentence (models.settings.extension_list). Nothing is
logged here, since the tables are made before there is a log.
"""

from __future__ import annotations

import functools
import os
import re
import traceback
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Any, Generic, TypeVar, get_origin, get_type_hints

from terrarium.models.extensions.entries import Extension

GROUP = "terrarium.plugins"
SWITCH = "TERRARIUM_NO_EXTENSIONS"
"""The environment variable that leaves all extensions out, unless it is empty."""
KINDS = {
    "optimizers": "optimizer",
    "sampling_steps": "sampling step",
    "stages": "stage",
    "metrics": "metric",
    "blocks": "block",
}
"""What an extension adds: fields of its declaration -> what one of them is called."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CODE = re.compile(r"\w+(\.\w+)*:\w+")
_IS_READING = ContextVar("_IS_READING", default=False)
Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An installed extension, from the metadata of its package. `author`: "" if it names none.

    declaration: None if it cannot be used; `problem` then says why, a sentence, and `trace` where it was raised.
    folder: that of its module.
    """

    package: str
    version: str
    author: str
    declaration: Extension | None
    problem: str = ""
    trace: str = ""
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True)
class Found(Generic[Entry]):
    """The entries of one kind from all extensions, those left out described by `problems` of (package, sentence).

    packages: the package of each entry.
    """

    kind: str
    entries: Mapping[str, Entry]
    packages: Mapping[str, str]
    problems: tuple[tuple[str, str], ...]

    def load(self, name: str, code: str) -> Any:
        """Import “module:attribute”, the code of the entry `name`. Raises ValueError, naming the package."""
        try:
            return load(code)
        except Exception as error:
            package = self.packages[name]
            raise ValueError(
                f"The {KINDS[self.kind]} “{name}” cannot be used, because {code} of the package {package} cannot be "
                f"imported ({type(error).__name__}: {error}): update or reinstall {package}."
            ) from error


@functools.cache
def load(code: str) -> Any:
    """Import “module:attribute”."""
    module, _, name = code.partition(":")
    return getattr(import_module(module), name)


@functools.cache
def installed() -> tuple[Installed, ...]:
    """Return the installed extensions by the names of their packages; none if `SWITCH` is set.

    Raises:
        ImportError: if a declaration that is being read imports a table, which would then lack what it adds.
    """
    if os.environ.get(SWITCH):
        return ()
    if _IS_READING.get():
        raise ImportError("a declaration imports nothing of Terrarium but terrarium.models.extensions")
    points = {(_package(point), point.name): point for point in entry_points(group=GROUP)}
    token = _IS_READING.set(True)
    try:
        return tuple(_read(points[key]) for key in sorted(points))
    finally:
        _IS_READING.reset(token)


def find(
    kind: str, type_: type[Entry], *, taken: Collection[str], check: Callable[[str, Entry], str] | None = None
) -> Found[Entry]:
    """Collect the entries of one kind, a key of KINDS, that are sound.

    Args:
        taken: the names that they cannot have, above all those of ours.
        check: called with name and entry: returns "", or what is wrong with it, the end of “…, because ”.
    """
    entries, packages, problems = dict[str, Entry](), dict[str, str](), []
    for extension in installed():
        added: Mapping[Any, Any] = getattr(extension.declaration, kind) if extension.declaration else {}
        for name, entry in added.items():
            wrong = name_problem(name, taken, packages) or _entry_problem(name, entry, type_, check)
            if wrong:
                problems.append((extension.package, left_out(f"The {KINDS[kind]} “{name}”", extension.package, wrong)))
                continue
            entries[name], packages[name] = entry, extension.package
    return Found(kind=kind, entries=entries, packages=packages, problems=tuple(problems))


def _read(point: EntryPoint) -> Installed:
    about: Mapping[str, Any] = point.dist.metadata.json if point.dist is not None else {}
    package = _package(point)
    declaration, problem, trace, folder = None, "", "", Path()
    try:
        declaration = point.load()
        folder = Path(import_module(point.module).__file__ or "").parent
        problem = _declaration_problem(declaration)
    except Exception as error:  # noqa: BLE001 (whatever a module of others raises)
        trace = traceback.format_exc()
        problem = f"{point.value} cannot be imported ({type(error).__name__}: {error})"
    author = next((str(about[key]) for key in ("author", "author_email", "maintainer") if key in about), "")
    return Installed(
        package=package,
        version=point.dist.version if point.dist is not None else "",
        author=author,
        declaration=None if problem else declaration,
        problem=left_out("The extension", package, problem) if problem else "",
        trace=trace,
        folder=folder,
    )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.name


def _declaration_problem(declaration: Any) -> str:
    if not isinstance(declaration, Extension):
        return f"its entry point names an object of the type {type(declaration).__name__} instead of Extension"
    return _field_problem(declaration)


def name_problem(name: Any, taken: Collection[str], packages: Mapping[str, str]) -> str:
    """Return what is wrong with the name of an entry, if others are `taken` or are in other `packages`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "a name has up to 40 small letters, digits and underscores, and begins with a letter"
    if name in packages:
        return f"{packages[name]} has taken this name"
    return "Terrarium has taken this name" if name in taken else ""


def _entry_problem(name: str, entry: Any, type_: type[Any], check: Callable[[str, Any], str] | None) -> str:
    if not isinstance(entry, type_):
        return f"it is of the type {type(entry).__name__} instead of {type_.__name__}"
    wrong = _field_problem(entry)
    if wrong or check is None:
        return wrong
    try:
        return check(name, entry)
    except Exception as error:  # noqa: BLE001 (nested values may have any type)
        return f"it cannot be checked ({type(error).__name__}: {error})"


def _field_problem(entry: Any) -> str:
    """Return what is wrong with the type of a field of a dataclass, or with its code; "" if nothing is."""
    hints = get_type_hints(type(entry))
    for f in fields(entry):
        value, hint = getattr(entry, f.name), hints[f.name]
        if not isinstance(value, hint if isinstance(hint, UnionType) else get_origin(hint) or hint):
            return f"its {f.name} is {value!r}"
        if isinstance(value, str) and f.name in ("title", "help") and not value.strip():
            return f"it has no {f.name}"
    return ""


def code_problem(code: str) -> str:
    """Return what is wrong with the code of an extension's entry, for `find`; "" if nothing is."""
    return "" if _CODE.fullmatch(code) else f"its code is {code!r} instead of “module:function”"


def left_out(what: str, package: str, why: str) -> str:
    """Say that something of an extension is not there, why, and what to do."""
    return f"{what} of {package} is left out, because {why}: update or uninstall {package}."


class Missing(str):
    """A name as a setting's value, with the package that adds its entry. Such a setting is shown, but not used."""

    package: str

    def __new__(cls, name: str, package: str) -> Missing:
        """Make the name of an entry that `package` adds."""
        made = super().__new__(cls, name)
        made.package = package
        return made

    def __reduce__(self) -> tuple[type[Missing], tuple[str, str]]:
        """Return what makes a copy."""
        return Missing, (str(self), self.package)

    @property
    def sentence(self) -> str:
        """What is missing, and what to do."""
        return (
            f"“{self}” comes with the package {self.package}, which is not installed here: install it "
            f"(pip install {self.package}), or choose another."
        )
