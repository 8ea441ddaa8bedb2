"""Judges that rows ask for: code by cases, summaries by facts, JSON by its fields, German by its cases."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.models.events import result_of
from terrarium.models.tasks.evaluating import evaluate_predictions
from terrarium.models.tasks.judging import judges_of
from terrarium.models.tasks.predicting import Prediction
from terrarium.models.tasks.scoring import Evaluation, TaskRows

CASES = [{"arguments": [[1, 2]], "expected": 3}]
CODE = {"source": 'def answer(xs):\n    """Add up."""\n', "target": "    return sum(xs)\n", "cases": CASES}
SUMMARY = {
    "source": "Summarise: …",
    "target": "In the end, Anna was in the mill.",
    "facts": [["Anna", "in", "mill"]],
}
GERMAN = {"source": "Say in German: …", "target": "Anna nahm den Schlüssel.", "language": "German"}
FRENCH = {"source": "Say in French: …", "target": "Anna a pris la clé.", "language": "French"}


def evaluated(rows: list[dict[str, Any]], texts: list[str], metric: str) -> Evaluation:
    data = TaskRows(name="test", task="text-to-text", metric=metric, rows=rows)
    return result_of(evaluate_predictions(data, [Prediction(value=text) for text in texts], resamples=0))


def test_code_is_run() -> None:
    found = evaluated([CODE] * 3, ["return sum(xs)", "return xs[0]", "return ("], "pass_at_1")
    assert found.report.headline == "pass_at_1"
    assert found.report.value == pytest.approx(1 / 3)
    assert found.report.item_scores == (1.0, 0.0, 0.0)
    assert found.report.scores["exact_match"].value == pytest.approx(1 / 3)
    outcomes = [prediction.details["outcome"] for prediction in found.predictions]
    assert outcomes == ["right", "wrong value", "exception"]


def test_facts_in_another_order_are_right() -> None:
    texts = ["In the end, Anna was in the mill.", "In the end, Anna was in the barn."]
    found = evaluated([SUMMARY] * 2, texts, "facts_right")
    assert found.report.value == 0.5
    assert [prediction.details["are_facts_right"] for prediction in found.predictions] == [True, False]


def test_only_german_has_cases() -> None:
    texts = ["Anna nahm der Schlüssel.", "Anna nahm den Schlüssel.", "la clé"]
    found = evaluated([GERMAN, GERMAN, FRENCH], texts, "chrf2")
    assert found.report.headline == "chrf2"
    assert found.report.scores["case_errors"].value == 0.5
    assert "case_errors" not in evaluated([FRENCH], ["la clé"], "chrf2").report.scores


def test_rows_without_such_columns_have_no_judge() -> None:
    assert judges_of([]) == {}
    assert judges_of([{"source": "a", "target": "b"}]) == {}
    assert judges_of([CODE, {"source": "a", "target": "b"}]) == {}


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ('{"name": "Anna", "count": 3}', True),
        ('{"count": 0, "name": ""}', True),
        ('{"name": "Anna", "count": "3"}', False),
        ('{"name": "Anna", "count": true}', False),
        ('{"name": "Anna"}', False),
        ('{"name": "Anna", "count": 3, "day": "Monday"}', False),
        ('Here it is: {"name": "Anna", "count": 3}', False),
        ("[1]", False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_json_has_its_fields_and_no_others(text: str, is_valid: bool) -> None:
    row = {"source": "…", "target": '{"name": "Ben", "count": 3}', "fields": {"name": "str", "count": "int"}}
    found = evaluated([row], [text], "valid_form")
    assert found.report.headline == "valid_form"
    assert found.report.value == float(is_valid)
    assert found.predictions[0].details["is_valid"] == is_valid
