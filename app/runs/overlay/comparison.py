"""A comparison of runs: a table of their results, and of the settings in which they differ. No Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.app.kit.setting_names.preset_words import known_parameters
from terrarium.app.kit.setting_names.slot_words import (
    UNUSED,
    differs,
    format_setting,
    format_slot,
    label_of,
    value_in_use,
)
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_record import read_record
from terrarium.models.metrics.metrics_table import METRICS, best_first, format_score
from terrarium.models.number_words import format_compact, format_duration
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.slots import is_used
from terrarium.models.settings.tasks import TASKS


@dataclass(frozen=True)
class ComparedColumn:
    """A column of the comparison: its label, and for each run a text and a sort key (None: no value)."""

    label: str
    tip: str
    cells: tuple[str, ...]
    keys: tuple[Any, ...]
    is_setting: bool = True


@dataclass(frozen=True)
class RunComparison:
    """The compared runs, the columns, and the number of settings that are the same in all."""

    runs: tuple[RunInfo, ...]
    columns: tuple[ComparedColumn, ...]
    n_alike: int


def compare_runs(runs: Sequence[RunInfo]) -> RunComparison:
    """Compare results and differing settings; runs whose run.json is damaged are left out."""
    readable, specs = [], []
    for run in runs:
        try:
            specs.append(RunSpec.from_dict(read_record(run.folder)["spec"], where=str(run.folder / "run.json")))
        except ValueError:
            continue
        readable.append(run)
    models = [spec.model for spec in specs]
    slots = [_slot(models, f) for f in dataclasses.fields(ModelConfig) if differs(models, f)]
    n_settings = len(dataclasses.fields(ModelConfig))
    for part in ("tokenizer", "data", "train"):
        settings = [getattr(spec, part) for spec in specs]
        if settings:
            all_fields = dataclasses.fields(settings[0])
            n_settings += len(all_fields)
            slots += [_setting(settings, f) for f in all_fields if len({_used(one, f) for one in settings}) > 1]
    units = list(dict.fromkeys(TASKS[spec.data.task].loss_unit for spec in specs))
    return RunComparison(tuple(readable), (*_results(readable, models, units), *slots), n_settings - len(slots))


def _results(
    runs: Sequence[RunInfo], models: Sequence[ModelConfig], units: Sequence[str]
) -> tuple[ComparedColumn, ...]:
    """Return the columns of results. units: those of the losses."""
    metrics = dict.fromkeys(run.best_metric[0] for run in runs if run.best_metric is not None)
    return (
        *(_metric(name, runs) for name in metrics),
        _result(
            "Best loss",
            f"Lowest validation loss, in {' or '.join(units)}",
            [run.best_loss for run in runs],
            "{:.3f}".format,
        ),
        _result("Steps", "Steps trained", [run.step for run in runs], "{:,}".format),
        _result("Time", "Training time", [run.elapsed_s for run in runs], format_duration),
        _result("Parameters", "Trainable parameters", [known_parameters(model) for model in models], _format_count),
    )


def _metric(name: str, runs: Sequence[RunInfo]) -> ComparedColumn:
    """Return the column of the best values of a metric; ascending sort keys put the best first."""
    values = [run.best_metric[1] if run.best_metric and run.best_metric[0] == name else None for run in runs]
    return ComparedColumn(
        METRICS[name].title,
        f"The best on validation: {METRICS[name].help}",
        tuple(UNUSED if value is None else format_score(name, value) for value in values),
        tuple(None if value is None else best_first(name, value) for value in values),
        is_setting=False,
    )


def _format_count(n: int) -> str:
    return format_compact(n, billion="B")


def _result(label: str, tip: str, values: Sequence[Any], in_words: Callable[[Any], str]) -> ComparedColumn:
    cells = tuple(UNUSED if value is None else in_words(value) for value in values)
    return ComparedColumn(label, tip, cells, tuple(values), is_setting=False)


def _slot(models: Sequence[ModelConfig], f: dataclasses.Field[Any]) -> ComparedColumn:
    cells, keys = (format_slot(model, f) for model in models), (value_in_use(model, f) for model in models)
    return ComparedColumn(label_of(f), f.metadata["help"], tuple(cells), tuple(keys))


def _setting(settings: Sequence[Any], f: dataclasses.Field[Any]) -> ComparedColumn:
    values = tuple(_used(one, f) for one in settings)
    return ComparedColumn(label_of(f), f.metadata["help"], tuple(map(format_setting, values)), values)


def _used(settings: Any, f: dataclasses.Field[Any]) -> Any:
    """Return the value of a setting, or None if other settings make it irrelevant."""
    return getattr(settings, f.name) if is_used(settings, f) else None
