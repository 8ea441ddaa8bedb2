"""Each task is learned from scratch on each topology that has a head for it, scored meanwhile, and resumed exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models import load_model
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora import blocks
from terrarium.models.corpora.corpus import build_examples_corpus, open_corpus
from terrarium.models.events import ValMetrics, result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.predicting import predict
from terrarium.models.tasks.scoring import score
from terrarium.models.tasks.writing import Writing
from terrarium.models.training.metric import make_scorer
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.tasks.small_tasks import make_dataset, make_task_run, make_task_spec, word_tokenizer
from tests.models.training.support import final_weights, numbers, train

CASES = [
    (task, topology)
    for task in ("classification", "multi-label", "regression", "tagging", "span")
    for topology in TASKS[task].heads
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("home"))


def train_until_learned(run: RunFolder, library: Library) -> list[ValMetrics]:
    """The validations of a training, which ends as soon as one of them misses nothing."""
    trainer, seen = Trainer(run, library, device="cpu"), list[ValMetrics]()
    for event in trainer.events():
        if isinstance(event, ValMetrics):
            seen.append(event)
            if (event.metric_value or 0) > 0.995:
                trainer.request_stop()
    return seen


@pytest.mark.parametrize(("task", "topology"), CASES)
def test_learned_from_scratch(library: Library, task: str, topology: str) -> None:
    corpus = make_dataset(library, task)
    steps = 180 if task in ("span", "multi-label") else 90
    run = make_task_run(library, task, topology, steps=steps, eval_interval=10, checkpoint_interval=steps)
    assert run.spec.model.head == TASKS[task].heads[topology]
    events = train_until_learned(run, library)
    assert {event.metric for event in events} == {TASKS[task].metrics[0]}
    rows = corpus.read_examples("test")
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    labels = run.spec.data.labels
    found = result_of(predict(model, tokenizer, task, rows, labels))
    report = score(task, found, rows, labels)
    assert report.value is not None
    least = 0.8 if (task, topology) == ("span", "decoder-only") else 0.9
    assert report.value > least, report.value
    assert report.interval is not None
    last = run.read_metrics()[-1]
    assert last["kind"] == "val"
    assert last["metric"] == TASKS[task].metrics[0]
    assert last["metric_value"] == events[-1].metric_value


@pytest.mark.parametrize("topology", TASKS["text-to-text"].heads)
def test_texts_are_scored_while_they_are_learned(library: Library, topology: str) -> None:
    corpus = make_dataset(library, "text-to-text", n=40)
    run = make_task_run(library, "text-to-text", topology, steps=2, eval_interval=1, eval_batches=1)
    train(run, library)
    rows = [row for row in run.read_metrics() if row["kind"] == "val"]
    assert [row["metric"] for row in rows] == ["exact_match"] * 3
    assert all(0 <= row["metric_value"] <= 1 for row in rows)
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    asked = corpus.read_examples("test")[:4]
    found = result_of(predict(model, tokenizer, "text-to-text", asked, writing=Writing(max_tokens=6)))
    report = score("text-to-text", found, asked)
    assert {"exact_match", "chrf2", "rouge_l"} <= report.scores.keys()
    assert report.headline == "exact_match"


def test_resume_is_exact(library: Library) -> None:
    make_dataset(library, "tagging")
    settings: dict[str, Any] = {
        "steps": 9,
        "eval_interval": 4,
        "checkpoint_interval": 3,
        "grad_accum_steps": 2,
        "class_weights": "balanced",
    }
    whole, parts = (make_task_run(library, "tagging", "encoder-only", **settings) for _ in range(2))
    train(whole, library)
    for stop_at in (2, 5):
        trainer = Trainer(parts, library, device="cpu")
        for _ in trainer.events():
            if trainer.step == stop_at:
                trainer.request_stop()
    train(parts, library)
    assert numbers(whole) == numbers(parts)
    torch.testing.assert_close(final_weights(whole), final_weights(parts), rtol=0, atol=0)


def test_the_best_checkpoint_is_that_of_the_best_metric(library: Library) -> None:
    make_dataset(library, "classification")
    run = make_task_run(
        library, "classification", "encoder-only", steps=24, eval_interval=4, checkpoint_interval=4, lr=0.02
    )
    train(run, library)
    rows = [row for row in run.read_metrics() if row["kind"] == "val"]
    best = max(row["metric_value"] for row in rows if row["step"])
    lowest = min((row for row in rows if row["metric_value"] == best and row["step"]), key=lambda row: row["loss"])
    assert RunFolder.open(run.folder).best_step == lowest["step"]


def test_patience_is_for_the_metric(library: Library) -> None:
    make_dataset(library, "classification")
    run = make_task_run(
        library, "classification", "encoder-only", steps=400, eval_interval=10, patience=3, checkpoint_interval=400
    )
    train(run, library)
    rows = [row for row in run.read_metrics() if row["kind"] == "val"]
    assert rows[-1]["step"] < 400
    assert rows[-1]["loss"] < rows[-4]["loss"], "the loss still fell"
    assert max(row["metric_value"] for row in rows) == rows[-4]["metric_value"]
    assert "3 validations without a better Macro F1" in [event["detail"] for event in run.read_events()]


def test_a_label_that_training_lacks_is_one_sentence(library: Library) -> None:
    corpus = make_dataset(library, "classification", label="odd", labels=("glad", "sad"))
    assert corpus.labels == ("glad", "sad")
    spec = make_task_spec(library, "classification", "encoder-only")
    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, dataset="odd"))
    n = len(library.list_runs())
    with pytest.raises(ValueError, match=r"train.jsonl, row \d+: the label 'angry' is none that the model can give"):
        result_of(prepare_run(library, spec))
    assert len(library.list_runs()) == n


def test_a_label_that_only_validation_has_is_one_sentence(library: Library) -> None:
    rows = [{"text": "anna smiles", "label": "glad"}, {"text": "ben cries", "label": "sad"}]
    odd = [{"text": "carl shouts", "label": "angry"}]
    build_examples_corpus(library, rows * 4, rows + odd, "unseen", None, task="classification")
    spec = make_task_spec(library, "classification", "encoder-only")
    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, dataset="unseen"))
    with pytest.raises(
        ValueError, match=r"val.jsonl, row 3: the label 'angry' is none that the model can give: add rows"
    ):
        result_of(prepare_run(library, spec))


def test_a_validation_scores_some_rows_and_reads_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    library = Library(tmp_path)
    spec = make_task_spec(library, "classification", "encoder-only", batch_size=1, eval_batches=2)
    corpus = make_dataset(library, "classification", labels=("angry", "glad", "sad"))
    path = corpus.path("val")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    scorer = make_scorer(open_corpus(library, corpus.sha), word_tokenizer(), spec, ChatTemplateConfig())
    assert scorer is not None
    assert len(scorer.rows) == 2
    with pytest.raises(ValueError, match=r"val\.jsonl was changed"):
        list(corpus.rows("val"))
