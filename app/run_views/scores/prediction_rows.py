"""The predictions of an evaluation as rows of a table: searched, filtered and sorted."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.app.kit.record_table import Column
from terrarium.models.metrics.tagging import entities
from terrarium.models.number_words import format_percent, format_prob, with_minus
from terrarium.models.tasks.stored_scores import ScoredRow, StoredScores

_COLUMNS = {
    "text": ("Text", "What the model read"),
    "gold": ("Right answer", "The answer of the dataset"),
    "prediction": ("Model's answer", "The answer of the model"),
    "score": ("Confidence", "How sure the model is of its answer, from its own probabilities"),
    "worth": ("Result", "What the answer is worth, compared with the right one"),
}
"""Title and tooltip of each column."""
ORDERS = {"worst": "Worst first", "unsure": "Least sure first", "data": "As in the data"}
_NO_ANSWER = "no answer"


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which rows to show. text: found anywhere in a row. label: one of `labels_of` the row, "" for all rows."""

    text: str = ""
    wrong_only: bool = False
    label: str = ""
    order: str = "worst"


@dataclass(frozen=True)
class Prediction:
    """A row of an evaluation, with the texts of its cells by column, and all of them in lower case."""

    scored: ScoredRow
    cells: Mapping[str, str]
    lower: str


def predictions_of(found: StoredScores) -> list[Prediction]:
    """Return the rows of an evaluation in the order of the data."""
    rows = []
    for each in found.rows:
        cells = {
            "text": _format_row(found.task, each.row),
            "gold": format_answer(found.task, each.row, each.gold),
            "prediction": format_answer(found.task, each.row, each.prediction),
            "score": "" if each.score is None else format_prob(each.score),
            "worth": format_worth(found.task, each),
        }
        rows.append(Prediction(each, cells, "\n".join(cells.values()).lower()))
    return rows


def filtered(found: StoredScores, rows: Sequence[Prediction], filters: Filters) -> list[Prediction]:
    """Return those of all rows of an evaluation that match, in the filters' order."""
    wanted = filters.text.lower().strip()
    order: Sequence[int] = range(len(rows))
    if filters.order == "worst":
        order = found.worst_first
    elif filters.order == "unsure":
        order = sorted(order, key=lambda i: -1.0 if (score := found.rows[i].score) is None else score)
    return [
        rows[i]
        for i in order
        if wanted in rows[i].lower
        and not (filters.wrong_only and found.rows[i].is_right)
        and (not filters.label or filters.label in labels_of(found.task, found.rows[i]))
    ]


def columns_of(found: StoredScores) -> list[Column]:
    """Return the columns of an evaluation's predictions; a wrong answer and its result are coloured."""
    has_scores = any(each.score is not None for each in found.rows)
    return [_column(name) for name in _COLUMNS if name != "score" or has_scores]


def _column(name: str) -> Column:
    title, about = _COLUMNS[name]
    return Column(
        name=name,
        title=title,
        about=about,
        value=lambda row: row.cells[name],
        is_number=name in ("score", "worth"),
        tone=_tone if name in ("prediction", "worth") else None,
    )


def _tone(row: Prediction) -> str:
    return "" if row.scored.is_right else "validation"


def labels_of(task: str, row: ScoredRow) -> tuple[str, ...]:
    """Return the labels to filter a row by: the outcome of code, its right labels, entity types, or its group."""
    if outcome := row.details.get("outcome"):
        return (str(outcome),)
    match task:
        case "classification":
            return (str(row.gold),)
        case "multi-label":
            return tuple(row.gold)
        case "tagging":
            return tuple(dict.fromkeys(tag.partition("-")[2] or tag for tag in row.gold if tag != "O"))
        case "span":
            return ("with an answer",) if row.gold else ("without an answer",)
    return (row.row["group"],) if isinstance(row.row.get("group"), str) else ()


def _format_row(task: str, row: Mapping[str, Any]) -> str:
    """Format the model's input as one line."""
    match task:
        case "tagging":
            words = " ".join(row["words"])
        case "span":
            words = f"{row['question']} · {row['context']}"
        case "text-to-text":
            words = row["source"]
        case _:
            words = " ‖ ".join(filter(None, (row["text"], row.get("text_pair"))))
    return " ".join(str(words).split())


def format_answer(task: str, row: Mapping[str, Any], value: Any) -> str:
    """Format an answer: the right one, or the model's."""
    match task:
        case "tagging":
            found = entities(value)
            if not found and any(tag != "O" for tag in value):
                return " ".join(value)
            return ", ".join(f"{' '.join(row['words'][e.start : e.end])} ({e.type})" for e in found) or "none"
        case "span":
            answers = [value] if isinstance(value, str) else value
            return " / ".join(dict.fromkeys(filter(None, answers))) or _NO_ANSWER
        case "multi-label":
            return ", ".join(value) or "none"
        case "regression":
            return with_minus(f"{value:.3g}")
    return textwrap.dedent(str(value)).strip("\n")  # answers that are code keep their relative indentation


def format_worth(task: str, row: ScoredRow) -> str:
    """Format the result of an answer: its outcome, its error (regression), right or wrong, or its score as a share."""
    if outcome := row.details.get("outcome"):
        return str(outcome)
    if task == "regression":
        return f"off by {-row.item_score:.3g}"
    if task == "classification":
        return "right" if row.is_right else "wrong"
    return format_percent(row.item_score)
