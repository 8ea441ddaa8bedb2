"""Evaluating with baselines and groups, keeping the scores in a run's folder, and comparing two models."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.events import result_of
from terrarium.models.settings.tasks import JUDGED_BY, TASKS
from terrarium.models.tasks import evaluating
from terrarium.models.tasks.evaluating import compare_scores, evaluate, score_groups, with_baselines
from terrarium.models.tasks.predicting import Prediction
from terrarium.models.tasks.rows import LABEL_TASKS, row_labels
from terrarium.models.tasks.scoring import TaskRows, gold_of, score, write_scores
from terrarium.models.tasks.stored_scores import list_scores, read_scores
from tests.models.tasks.small_tasks import make_row

ROWS = [
    {"text": "anna smiles", "label": "glad", "group": "seen"},
    {"text": "ben cries", "label": "sad", "group": "seen"},
    {"text": "carl weeps", "label": "sad", "group": "unseen"},
    {"text": "dora laughs", "label": "glad", "group": "unseen"},
] * 5
LABELS = ("glad", "sad")


def says(monkeypatch: pytest.MonkeyPatch, values: list[Any]) -> None:
    """The model's answers will be these."""

    def predict(*args: Any, **options: Any) -> Any:
        yield from ()
        shares = [{label: float(label == value) for label in LABELS} for value in values]
        return [Prediction(value=v, score=0.9, probabilities=p) for v, p in zip(values, shares, strict=True)]

    monkeypatch.setattr(evaluating, "predict", predict)


def data(rows: list[dict[str, Any]] = ROWS, metric: str = "accuracy") -> TaskRows:
    return TaskRows(name="moods-test", task="classification", metric=metric, rows=rows)


def stored(folder: Path, monkeypatch: pytest.MonkeyPatch, values: list[str]) -> Any:
    folder.mkdir(exist_ok=True)
    says(monkeypatch, values)
    found = result_of(evaluate(None, None, data(), LABELS, step=7))  # type: ignore[arg-type]
    write_scores(folder, result_of(with_baselines(found, ROWS[:3])))
    [path] = list_scores(folder)
    return read_scores(path)


@pytest.mark.parametrize("task", [*LABEL_TASKS, "text-to-text"])
def test_every_metric_of_a_task_is_computed(task: str) -> None:
    rng = random.Random(0)
    rows = [make_row(task, rng) for _ in range(20)]
    labels = sorted({label for row in rows for label in row_labels(task, row)}) if TASKS[task].label_column else []
    found = []
    for row in rows:
        gold = gold_of(task, row)
        shares = {label: float(label == gold) for label in labels} if task == "classification" else {}
        found.append(Prediction(value=next(iter(gold), "") if task == "span" else gold, probabilities=shares))
    judged = JUDGED_BY.values() if task == "text-to-text" else ()
    assert {*score(task, found, rows, labels, resamples=0).scores, *judged} == {*TASKS[task].metrics}


def test_what_is_read_is_what_was_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stored(tmp_path, monkeypatch, ["glad", "sad", "glad", "glad"] * 5)
    assert (found.name, found.task, found.step, found.labels) == ("moods-test", "classification", 7, LABELS)
    assert found.report.value == 0.75
    of_rules = [(title, each.value) for title, each in found.baselines.items()]
    assert of_rules == [("Naive Bayes", 0.75), ("Most frequent label", 0.5)], "the best first"
    assert {name: (each.n, each.value) for name, each in found.groups.items()} == {
        "seen": (10, 1.0),
        "unseen": (10, 0.5),
    }
    assert found.groups["seen"].interval is not None
    worst = found.rows[found.worst_first[0]]
    assert (worst.row["text"], worst.gold, worst.prediction, worst.is_right) == ("carl weeps", "sad", "glad", False)
    assert worst.probabilities == {"glad": 1.0, "sad": 0.0}


def test_two_models_are_compared_on_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = stored(tmp_path / "a", monkeypatch, ["glad"] * 20)
    b = stored(tmp_path / "b", monkeypatch, ["glad", "sad", "glad", "glad"] * 5)
    found = result_of(compare_scores(a, b, "accuracy"))
    assert (found.a, found.b, found.difference, found.n) == (0.5, 0.75, 0.25, 20)
    assert found.interval is not None
    assert found.interval[0] > 0
    assert found.p_value < 0.05
    other = dataclasses.replace(b, rows=b.rows[::-1])
    with pytest.raises(ValueError, match="not evaluated on the same rows"):
        result_of(compare_scores(a, other, "accuracy"))


def test_code_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydantic_monty")
    source = "def twice(n):\n"
    cases = [{"arguments": [2], "expected": 4}]
    rows = [{"source": source, "target": "    return 2 * n\n", "cases": cases}] * 3
    says(monkeypatch, ["    return n + n\n", "    return n\n", "    return nothing\n"])
    task = TaskRows(name="code-test", task="text-to-text", metric="", rows=rows)
    found = result_of(evaluate(None, None, task))  # type: ignore[arg-type]
    found = result_of(with_baselines(found, rows[:1]))
    assert found.report.headline == "pass_at_1"
    assert [each.details["outcome"] for each in found.predictions] == ["right", "wrong value", "exception"]
    write_scores(tmp_path, found)
    kept = read_scores(list_scores(tmp_path)[0])
    assert [row.details["outcome"] for row in kept.rows] == ["right", "wrong value", "exception"]
    assert kept.baselines["Translation memory"].value == 1.0, "the nearest one's body"
    assert result_of(compare_scores(kept, kept, "pass_at_1")).difference == 0


@pytest.mark.parametrize("damage", ["{}", '{"task": "unknown"}', "[]", "nonsense"])
def test_damaged_scores_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    stored(tmp_path, monkeypatch, ["glad"] * 20)
    [path] = list_scores(tmp_path)
    about, lines = path.read_text("utf-8"), path.with_suffix(".jsonl").read_text("utf-8")
    path.write_text(damage, "utf-8")
    with pytest.raises(ValueError, match=r"moods-test\.json"):
        read_scores(path)
    path.write_text(about, "utf-8")
    path.with_suffix(".jsonl").write_text(lines + damage, "utf-8")
    with pytest.raises(ValueError, match=r"moods-test\.jsonl, line 21, is damaged"):
        read_scores(path)
    path.with_suffix(".jsonl").write_text("".join(f"{line}\n" for line in lines.splitlines()[:3]), "utf-8")
    with pytest.raises(ValueError, match="evaluate again"):
        read_scores(path)


def test_scores_written_before_baselines_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path, monkeypatch, ["glad"] * 20)
    [path] = list_scores(tmp_path)
    about = json.loads(path.read_text("utf-8"))
    for name in ("step", "data", "labels"):
        del about[name]
    about["details"] = {}
    path.write_text(json.dumps(about), "utf-8")
    found = read_scores(path)
    assert (found.baselines, found.groups, found.step, found.name) == ({}, {}, None, "moods-test")


def test_rows_that_each_have_a_group_of_their_own_have_none() -> None:
    rows = [{"text": "a", "label": "x", "group": i} for i in range(30)]
    data = TaskRows(name="stories", task="classification", metric="", rows=rows)
    assert result_of(score_groups(data, [Prediction(value="x")] * 30, ("x",))) == {}
    few = dataclasses.replace(data, rows=rows[:3] * 2)
    assert {name: report.n for name, report in result_of(score_groups(few, [Prediction(value="x")] * 6)).items()} == {
        "0": 2,
        "1": 2,
        "2": 2,
    }
