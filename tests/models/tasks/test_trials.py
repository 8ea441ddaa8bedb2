"""What is tried out before a run, on datasets with labels: the preview, its cost, learning rate and batch size."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator

import pytest

from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.training.estimates.batch_finder import find_batch
from terrarium.models.training.estimates.findings import DataPreview, RunCost
from terrarium.models.training.estimates.forecast import forecast
from terrarium.models.training.estimates.lr_finder import find_lr
from terrarium.models.training.metric import Scorer
from tests.models.tasks.small_tasks import make_dataset, make_task_spec


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    ("task", "answer"),
    [("classification", {"glad", "sad", "angry"}), ("tagging", {"B-PER"}), ("span", {"no answer"})],
)
def test_the_preview_shows_what_is_read_and_what_is_right(library: Library, task: str, answer: set[str]) -> None:
    make_dataset(library, task)
    spec = make_task_spec(library, task, "encoder-only", prompts=("anna smiles",), sample_interval=5)
    found = list(forecast(library, spec))
    (preview,) = [event for event in found if isinstance(event, DataPreview)]
    assert preview.objective == task
    assert not preview.problems
    assert preview.splits[0].n_examples == 300
    shown = {piece.display for example in preview.examples for piece in example.target.pieces}
    assert shown & answer
    cost = [event for event in found if isinstance(event, RunCost)][-1]
    assert cost.fits
    assert cost.peak_bytes is not None
    assert 0.8 < cost.estimated_bytes / cost.peak_bytes < 1.3, "for texts as long as these are"


def test_the_metric_of_a_task_counts_in_the_time_of_validations(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(scorer: Scorer, model: object) -> Generator[Progress, None, float]:
        asked.append(len(scorer.rows))
        yield from ()
        return 0.0

    monkeypatch.setattr(Scorer, "measure", measure)
    make_dataset(library, "text-to-text", n=40)
    spec = make_task_spec(library, "text-to-text", "encoder-decoder", prompts=("anna smiles",), sample_interval=5)
    assert [event for event in forecast(library, spec) if isinstance(event, RunCost)][-1].samples_s > 0
    assert asked == [15], "some of 60 rows"


def test_learning_rate_and_batch_size(library: Library) -> None:
    make_dataset(library, "classification")
    spec = make_task_spec(library, "classification", "decoder-only")
    assert len(result_of(find_lr(library, spec, "cpu", n_steps=4)).points) == 4
    assert result_of(find_batch(library, spec, "cpu", below=5)).largest == 4


def test_a_label_that_training_lacks_is_named_before_the_run(library: Library) -> None:
    rows = make_dataset(library, "classification", label="odd").read_examples("train")
    build_examples_corpus(library, rows, [{"text": "anna hums", "label": "calm"}], "calm", None, task="classification")
    spec = make_task_spec(library, "classification", "decoder-only")
    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, dataset="calm"))
    with pytest.raises(ValueError, match=r"val\.jsonl, row 1: the label 'calm' is none that the model can give"):
        list(forecast(library, spec, measured=False))
