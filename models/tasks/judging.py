"""Judges of generated texts by columns beyond the target: test cases, facts, JSON fields, German grammatical cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

from terrarium.models.events import Event
from terrarium.models.metrics.intervals import additive, divide
from terrarium.models.metrics.report import Report, bootstrapped, proportion
from terrarium.models.settings.slots import check_complete
from terrarium.models.settings.tasks import JUDGED_BY
from terrarium.models.tasks.code_judge import judge_code
from terrarium.models.tasks.rows import Row
from terrarium.models.tiny_world.tasks.german_cases import case_errors
from terrarium.models.tiny_world.tasks.summary import are_all_facts_right

Details = Sequence[Mapping[str, Any]]
"""What is saved for each row besides its prediction."""
Judge = Callable[[Sequence[Row], Sequence[str], int], Generator[Event, None, tuple[Report, Details]]]
"""Judges the texts generated for rows; the number is that of the resamples of a bootstrap."""


def judges_of(rows: Sequence[Row]) -> dict[str, Judge]:
    """Return the judges that rows ask for by their columns, by the name of each one's metric.

    Code has “cases”, summaries “facts”, JSON “fields”; the rows of translations have the language German.
    """
    if not rows:
        return {}
    found = {JUDGED_BY[column]: judge for column, judge in _BY_COLUMN.items() if all(column in row for row in rows)}
    if any(row.get("language") == "German" for row in rows):
        found[JUDGED_BY["language"]] = _judge_german
    return found


def _judge_code(
    rows: Sequence[Row], texts: Sequence[str], resamples: int
) -> Generator[Event, None, tuple[Report, Details]]:
    """Judge functions by their cases, with the outcome as details; pass@1 has Wilson's interval, without resamples."""
    report, judgements = yield from judge_code(rows, [as_body(text) for text in texts])
    return report, [{"outcome": judgement.outcome.value, "detail": judgement.detail} for judgement in judgements]


def as_body(text: str) -> str:
    """Return a function's body with its first line indented, because a generated text is stripped."""
    return f"    {text.strip()}\n"


def _judge_facts(
    rows: Sequence[Row], texts: Sequence[str], resamples: int
) -> Generator[Event, None, tuple[Report, Details]]:
    yield from ()
    right = [are_all_facts_right(text, row["facts"]) for row, text in zip(rows, texts, strict=True)]
    scores = {"facts_right": proportion(right)}
    report = Report(headline="facts_right", n=len(rows), scores=scores, item_scores=tuple(map(float, right)))
    return report, [{"are_facts_right": is_right} for is_right in right]


def _judge_fields(
    rows: Sequence[Row], texts: Sequence[str], resamples: int
) -> Generator[Event, None, tuple[Report, Details]]:
    """Judge whether each text is a JSON object with exactly the row's fields, of their types, whatever their values."""
    yield from ()
    valid = [_has_fields(text, row["fields"]) for row, text in zip(rows, texts, strict=True)]
    report = Report(
        headline="valid_form",
        n=len(rows),
        scores={"valid_form": proportion(valid)},
        item_scores=tuple(map(float, valid)),
    )
    return report, [{"is_valid": is_valid} for is_valid in valid]


def _has_fields(text: str, fields: Mapping[str, str]) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {key: type(value).__name__ for key, value in found.items()} == fields


def _judge_german(
    rows: Sequence[Row], texts: Sequence[str], resamples: int
) -> Generator[Event, None, tuple[Report, Details]]:
    """Compute the share of wrong forms among those that show a grammatical case, on the German rows only."""
    yield from ()
    found = [
        case_errors(text, row["target"])
        for row, text in zip(rows, texts, strict=True)
        if row.get("language") == "German"
    ]
    counts = np.array([(errors.n_wrong, errors.n_forms) for errors in found])
    measure = additive(counts, lambda sums: divide(sums[:, 0], sums[:, 1], default=float("nan")))
    score = bootstrapped(measure, resamples, "No noun of the German targets was written.")
    return Report(headline="case_errors", n=len(found), scores={"case_errors": score}), []


_BY_COLUMN: Mapping[str, Judge] = {"cases": _judge_code, "facts": _judge_facts, "fields": _judge_fields}
check_complete((*_BY_COLUMN, "language"), JUDGED_BY, "judges of texts")
