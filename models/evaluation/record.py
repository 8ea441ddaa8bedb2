"""Reads and writes what was measured of a run, in its folder: its held-out evaluation (evaluation.json), and what it
forgot in a fine-tuning (forgetting.json). No torch import."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.events import Evaluated, KindAccuracy, KnowledgeMeasured, KnownFigure
from models.files.atomic import atomic_write_json, read_json

_FILE = "evaluation.json"
_FORGETTING = "forgetting.json"


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


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """What a fine-tuned run knew of its parent's corpus before its first step, and what after the last measured one."""

    before: KnowledgeMeasured
    after: KnowledgeMeasured | None = None

    @property
    def changes(self) -> list[tuple[KnownFigure, KnownFigure]]:
        """Each figure before and after; none as long as there is no second measurement."""
        after = {figure.kind: figure for figure in self.after.figures} if self.after else {}
        return [(figure, after[figure.kind]) for figure in self.before.figures if figure.kind in after]

    def sentence(self) -> str:
        """“Of Tiny World 0: state 96 → 94 %.”; "" without a second measurement."""
        parts = []
        for was, now in self.changes:
            if was.kind == "loss":
                parts.append(f"loss {was.value:.3f} → {now.value:.3f} nats/token")
            else:
                parts.append(f"{was.kind} {100 * was.value:.0f} → {100 * now.value:.0f} %")
        return f"What it had learned from {self.before.corpus}: {', '.join(parts)}." if parts else ""


def write_forgetting(folder: Path, forgetting: Forgetting) -> None:
    """Write it to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / _FORGETTING, {"format": 1, **dataclasses.asdict(forgetting)})


def read_forgetting(folder: Path) -> Forgetting | None:
    """What the run forgot; None where that was never measured.

    Raises:
        ValueError: where the file is damaged, naming it.
    """
    path = folder / _FORGETTING
    if not path.exists():
        return None
    data = read_json(path)
    try:
        return Forgetting(
            before=_knowledge(data["before"]), after=None if data["after"] is None else _knowledge(data["after"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error


def _knowledge(data: dict[str, Any]) -> KnowledgeMeasured:
    figures = tuple(
        KnownFigure(kind=str(each["kind"]), value=float(each["value"]), n=int(each["n"])) for each in data["figures"]
    )
    return KnowledgeMeasured(
        step=int(data["step"]), corpus=str(data["corpus"]), figures=figures, seconds=float(data["seconds"])
    )
