"""The entries of extensions that the settings of a run name, with the packages that add them. No torch import.

A stored spec lists the packages under `KEY`, so that it can be read, and the package be named, where one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.models.extensions.registry import Missing
from terrarium.models.metrics.metrics_table import ADDED_METRICS, METRICS
from terrarium.models.settings.optimizers import ADDED_OPTIMIZERS, OPTIMIZERS
from terrarium.models.settings.stage_kinds import ADDED_STAGES, STAGE_KINDS

KEY = "extensions"
_PLACES: tuple[tuple[str, str, Mapping[str, Any], Mapping[str, str]], ...] = (
    ("train", "optimizer", OPTIMIZERS, ADDED_OPTIMIZERS.packages),
    ("align", "stage", STAGE_KINDS, ADDED_STAGES.packages),
    ("data", "metric", METRICS, ADDED_METRICS.packages),
)
"""Part of a spec, setting, its table, and the packages of the table's entries."""


def packages_used(parts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return {KEY: {“train.optimizer”: package}}, which package adds the value of a setting; {} if none does.

    parts: the settings of a spec, by the names of its parts.
    """
    used = {}
    for part, setting, _, packages in _PLACES:
        value = getattr(parts.get(part), setting, "")
        package = value.package if isinstance(value, Missing) else packages.get(value)
        if package is not None:
            used[f"{part}.{setting}"] = package
    return {KEY: used} if used else {}


def missing_sentence(spec: object) -> str:
    """Return what keeps a RunSpec from being trained: the package of an entry that is not there; "" if nothing does."""
    values = (getattr(getattr(spec, part, None), setting, "") for part, setting, _, _ in _PLACES)
    return next((value.sentence for value in values if isinstance(value, Missing)), "")


def check_installed(spec: object) -> None:
    """Raise ValueError if a RunSpec names an entry that is not there."""
    if sentence := missing_sentence(spec):
        raise ValueError(sentence)


def with_missing(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parsed tables of a spec, in which names of missing entries, by its `KEY`, are `Missing`."""
    marked, listed = dict(tables), tables.get(KEY)
    for part, setting, table, _ in _PLACES:
        package = listed.get(f"{part}.{setting}") if isinstance(listed, dict) else None
        settings = marked.get(part)
        if isinstance(package, str) and isinstance(settings, dict):
            name = settings.get(setting)
            if isinstance(name, str) and name and name not in table:
                marked[part] = {**settings, setting: Missing(name, package)}
    return marked
