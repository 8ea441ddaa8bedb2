"""Formatting of a dataset's row, its right answer and the model's answer for a table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from terrarium.models.metrics.tagging import entities
from terrarium.models.number_words import format_percent, with_minus
from terrarium.models.tasks.stored_scores import ScoredRow

NO_ANSWER = "no answer"


def format_row(task: str, row: Mapping[str, Any]) -> str:
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
            return " / ".join(dict.fromkeys(filter(None, answers))) or NO_ANSWER
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
