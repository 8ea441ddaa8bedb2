"""The installed extensions with what each adds and what is wrong with it, for pages and commands. No torch import."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from terrarium.models.extensions.entries import StageKind
from terrarium.models.extensions.registry import KINDS, SWITCH, Found, installed
from terrarium.models.metrics.metrics_table import ADDED_METRICS
from terrarium.models.settings.optimizers import ADDED_OPTIMIZERS
from terrarium.models.settings.sampling_config import ADDED_STEPS
from terrarium.models.settings.stage_kinds import ADDED_STAGES

log = logging.getLogger(__name__)

_TABLES: tuple[Found[Any], ...] = (ADDED_OPTIMIZERS, ADDED_STEPS, ADDED_STAGES, ADDED_METRICS)


@dataclass(frozen=True, kw_only=True)
class Addition:
    """An entry that an extension adds. kind: what it is, such as “sampling step”. name: as in settings. source: the
    text of a block, else "".
    """

    kind: str
    name: str
    title: str
    help: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class ExtensionInfo:
    """An installed extension. title, help: "" if its declaration cannot be used.

    author: "" if its package names none. problems: sentences about what is left out of it.
    """

    package: str
    version: str
    author: str
    title: str
    help: str
    additions: tuple[Addition, ...]
    problems: tuple[str, ...]


def are_switched_off() -> bool:
    """Return whether this program was started without extensions."""
    return bool(os.environ.get(SWITCH))


def list_extensions(blocks: Found[Any]) -> list[ExtensionInfo]:
    """Return the installed extensions by the names of their packages; those of one package are one.

    blocks: those that they bring (models.custom_blocks.store).
    """
    tables = (*_TABLES, blocks)
    packages = dict.fromkeys(extension.package for extension in installed())
    return [_info(package, tables) for package in packages]


def log_problems(blocks: Found[Any]) -> None:
    """Write what is wrong with extensions to the log, with tracebacks. blocks: as for `list_extensions`."""
    for extension in installed():
        if extension.problem:
            log.error("%s\n%s", extension.problem, extension.trace)
    for table in (*_TABLES, blocks):
        for _, sentence in table.problems:
            log.error(sentence)


def _info(package: str, tables: tuple[Found[Any], ...]) -> ExtensionInfo:
    parts = [extension for extension in installed() if extension.package == package]
    declared = [part.declaration for part in parts if part.declaration is not None]
    problems = [part.problem for part in parts if part.problem]
    problems += [sentence for table in tables for owner, sentence in table.problems if owner == package]
    return ExtensionInfo(
        package=package,
        version=parts[0].version,
        author=parts[0].author,
        title=", ".join(each.title for each in declared),
        help=" ".join(each.help for each in declared),
        additions=tuple(addition for table in tables for addition in _additions(table, package)),
        problems=tuple(problems),
    )


def _additions(table: Found[Any], package: str) -> Iterator[Addition]:
    for name, entry in table.entries.items():
        if table.packages[name] == package:
            words = (entry.words.title, entry.words.does) if isinstance(entry, StageKind) else (entry.title, entry.help)
            source = getattr(entry, "source", "")
            yield Addition(kind=KINDS[table.kind], name=name, title=words[0], help=words[1], source=source)
