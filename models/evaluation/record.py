"""Reads and writes the held-out evaluation of a run: evaluation.json in its folder. No torch import."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from models.events import Evaluated, KindAccuracy
from models.files.atomic import atomic_write_json, read_json

_FILE = "evaluation.json"


def write_evaluation(folder: Path, evaluated: Evaluated) -> None:
    """Write the evaluation to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / _FILE, dataclasses.asdict(evaluated))


def read_evaluation(folder: Path) -> Evaluated | None:
    """The run's evaluation; None where it was never evaluated.

    Raises:
        ValueError: where the file is damaged, naming it.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    data = read_json(path)
    try:
        kinds = tuple(KindAccuracy(**kind) for kind in data["kinds"])
        if not all(isinstance(kind.accuracy, float | int) for kind in kinds):
            raise TypeError("accuracy")
        return Evaluated(accuracy=float(data["accuracy"]), kinds=kinds, seconds=float(data["seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error
