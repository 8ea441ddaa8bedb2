"""Reads and writes measurements in a run's folder: its held-out evaluation (evaluation.json), forgetting in a
fine-tuning (forgetting.json), refused harmless questions (over_refusal.json), and the comparison with n-gram
tables (text_comparison.json). No torch import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from terrarium.models.events import (
    AccuracyMeasured,
    Evaluated,
    HeldOutAnswer,
    KindAccuracy,
    KnowledgeMeasured,
    KnownFigure,
    TextCompared,
)
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_record import COMPARISON_FILE, EVALUATION_FILE

_FORGETTING = "forgetting.json"
_OVER_REFUSAL = "over_refusal.json"
Record = TypeVar("Record")


def write_evaluation(folder: Path, evaluated: Evaluated) -> None:
    """Write the evaluation to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / EVALUATION_FILE, dataclasses.asdict(evaluated), creates_folder=False)


def read_evaluation(folder: Path) -> Evaluated | None:
    """Read the run's evaluation; None if it was never evaluated.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    return _read(folder / EVALUATION_FILE, _evaluated)


def _evaluated(data: dict[str, Any]) -> Evaluated:
    kinds = tuple(KindAccuracy(**kind) for kind in data["kinds"])
    if not all(isinstance(kind.accuracy, float | int) for kind in kinds):
        raise TypeError("accuracy")
    answers = tuple(HeldOutAnswer(**answer) for answer in data.get("answers", ()))
    return Evaluated(accuracy=float(data["accuracy"]), kinds=kinds, seconds=float(data["seconds"]), answers=answers)


def accuracy_of_row(row: Mapping[str, Any]) -> AccuracyMeasured:
    """Parse a row of a run's accuracy.jsonl; KeyError, TypeError or ValueError if something is missing or wrong."""
    return AccuracyMeasured(
        step=int(row["step"]),
        tokens=int(row["tokens"]),
        elapsed_s=float(row["elapsed_s"]),
        accuracy=float(row["accuracy"]),
        kinds=tuple(KindAccuracy(**{**kind, "accuracy": float(kind["accuracy"])}) for kind in row["kinds"]),
        answers=tuple(HeldOutAnswer(**answer) for answer in row["answers"]),
        seconds=float(row["seconds"]),
    )


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """The results of a fine-tuned run on its parent's corpus, before its first step and after the last measured one."""

    before: KnowledgeMeasured
    after: KnowledgeMeasured | None = None

    @property
    def changes(self) -> list[tuple[KnownFigure, KnownFigure]]:
        """Each figure before and after; empty without a second measurement."""
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
    """Write the measurement to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / _FORGETTING, {"format": 1, **dataclasses.asdict(forgetting)})


def read_forgetting(folder: Path) -> Forgetting | None:
    """Read what the run forgot; None if it was never measured.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    return _read(folder / _FORGETTING, _forgetting)


def _forgetting(data: dict[str, Any]) -> Forgetting:
    after = data["after"]
    return Forgetting(before=_knowledge(data["before"]), after=None if after is None else _knowledge(after))


def _knowledge(data: dict[str, Any]) -> KnowledgeMeasured:
    figures = tuple(
        KnownFigure(kind=str(each["kind"]), value=float(each["value"]), n=int(each["n"])) for each in data["figures"]
    )
    return KnowledgeMeasured(
        step=int(data["step"]), corpus=str(data["corpus"]), figures=figures, seconds=float(data["seconds"])
    )


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A word of refused harmless questions. n: those with it. n_freed: those answered without it."""

    word: str
    n: int
    n_freed: int


@dataclass(frozen=True, kw_only=True)
class OverRefusal:
    """A run's refusals of harmless questions in the words of forbidden ones.

    step: of its model. triggers: the words without which some are answered, the most significant first.
    """

    step: int
    n: int
    n_refused: int
    triggers: tuple[Trigger, ...] = ()

    @property
    def share(self) -> float:
        """The share of the harmless questions that are refused."""
        return self.n_refused / self.n

    @property
    def telling(self) -> list[Trigger]:
        """Return at most three words without which most of several such questions are answered."""
        return [one for one in self.triggers if one.n > 1 and 2 * one.n_freed >= one.n][:3]


def write_over_refusal(folder: Path, measured: OverRefusal) -> None:
    """Write the measurement to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / _OVER_REFUSAL, {"format": 1, **dataclasses.asdict(measured)})


def read_over_refusal(folder: Path) -> OverRefusal | None:
    """Read which harmless questions the run refuses; None if it was never measured.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    return _read(folder / _OVER_REFUSAL, _over_refusal)


def _over_refusal(data: dict[str, Any]) -> OverRefusal:
    numbers = {name: int(data[name]) for name in ("step", "n", "n_refused")}
    triggers = tuple(
        Trigger(word=str(each["word"]), n=int(each["n"]), n_freed=int(each["n_freed"])) for each in data["triggers"]
    )
    if numbers["n"] < 1:
        raise ValueError("n")
    return OverRefusal(**numbers, triggers=triggers)


def write_comparison(folder: Path, compared: TextCompared) -> None:
    """Write the comparison to the run's folder, replacing an earlier one."""
    atomic_write_json(folder / COMPARISON_FILE, {"format": 1, **dataclasses.asdict(compared)})


def read_comparison(folder: Path) -> TextCompared | None:
    """Read the run's comparison; None if it has none.

    Raises:
        ValueError: if the file is damaged; the message names it.
    """
    return _read(folder / COMPARISON_FILE, _comparison)


def _comparison(data: dict[str, Any]) -> TextCompared:
    return TextCompared(
        n_held_out=int(data["n_held_out"]),
        n_train=int(data["n_train"]),
        gzip=float(data["gzip"]),
        trigram=float(data["trigram"]),
        table=float(data["table"]),
        table_order=int(data["table_order"]),
        step=int(data["step"]),
        model=None if data["model"] is None else float(data["model"]),
    )


def _read(path: Path, build: Callable[[dict[str, Any]], Record]) -> Record | None:
    """Build a record from a JSON file; None if it does not exist, ValueError, naming it, if it is damaged."""
    if not path.exists():
        return None
    data = read_json(path)
    try:
        return build(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error
