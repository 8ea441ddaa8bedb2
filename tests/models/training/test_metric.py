"""The metric of a task on validation: what it is called is what is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tasks.predicting import Prediction
from terrarium.models.training.metric import Scorer, make_scorer
from tests.models.tasks.small_tasks import make_task_spec, word_tokenizer

CODE = {"source": "def twice(n):\n", "target": "    return 2 * n\n"}
CASES = {"cases": [{"arguments": [2], "expected": 4}]}


def scorer_of(library: Library, rows: list[dict[str, Any]], name: str, task: str, metric: str = "") -> Scorer:
    labels = tuple(sorted({tag for row in rows for tag in row.get("tags", ())}))
    corpus = build_examples_corpus(library, rows, rows, name, None, task=task, labels=labels)
    spec = dataclasses.replace(
        make_task_spec(library, task, "decoder-only"), data=DataSpec(source="dataset", dataset=name, metric=metric)
    )
    found = make_scorer(corpus, word_tokenizer(), spec, ChatTemplateConfig())
    assert found is not None
    return found


def says(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    def predict(model: object, tokenizer: object, task: str, rows: Any, *rest: Any, **named: Any) -> Iterator[Any]:
        yield from ()
        return [Prediction(value=value) for _ in rows]

    monkeypatch.setattr("terrarium.models.training.metric.predict", predict)


def test_pass_at_1_is_measured_by_running_the_code(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydantic_monty")
    scorer = scorer_of(library, [CODE | CASES] * 3, "code", "text-to-text", "pass_at_1")
    says(monkeypatch, "return n + n")
    assert scorer.metric == "pass_at_1"
    assert result_of(scorer.measure(None)) == 1.0  # type: ignore[arg-type]


def test_rows_without_cases_are_measured_by_exact_match(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_of(library, [CODE] * 3, "texts", "text-to-text", "pass_at_1")
    says(monkeypatch, "return n + n")
    assert scorer.metric == "exact_match"
    assert result_of(scorer.measure(None)) == 0.0  # type: ignore[arg-type]


def test_tags_that_mark_no_entities_are_measured_one_by_one(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"words": ["anna", "sings"], "tags": ["NOUN", "VERB"]}] * 2
    scorer = scorer_of(library, rows, "parts", "tagging", "entity_f1")
    says(monkeypatch, ["NOUN", "NOUN"])
    assert scorer.metric == "token_accuracy"
    assert result_of(scorer.measure(None)) == 0.5  # type: ignore[arg-type]


def test_where_the_metric_is_undefined_the_loss_says_what_is_an_improvement() -> None:
    state, counts = TrainState(), []
    for loss, score in ((2.0, None), (1.0, None), (1.5, None), (1.6, 0.5), (0.9, 0.4)):
        state.record_validation(loss, score)
        counts.append(state.n_since_lowest)
    assert counts == [0, 0, 1, 0, 1]
