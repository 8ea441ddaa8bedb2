"""The whole loop on a tiny budget: on Tiny World, on a text, and stopped at any time."""

from __future__ import annotations

import dataclasses
import itertools
import random
import string
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus, check_text_files
from terrarium.models.evaluation import held_out_questions as evaluation
from terrarium.models.evaluation.held_out_questions import evaluate
from terrarium.models.evaluation.record import read_comparison, read_evaluation
from terrarium.models.events import (
    AccuracyMeasured,
    Evaluated,
    Event,
    Finished,
    Notice,
    Phase,
    RunStarted,
    SampleMade,
    Saved,
    TextCompared,
    TrainMetrics,
    ValMetrics,
)
from terrarium.models.interop.graphs.graphs import graph_of
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.recipes import own_text, quickstart
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.recipes import resume
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world import corpus
from terrarium.models.tiny_world.questions import KINDS
from terrarium.models.tiny_world.world import World
from terrarium.models.tokenizers import train_in_child
from terrarium.models.tokenizers.making.texts import read_texts
from terrarium.models.training import prepare
from terrarium.models.training.proposal.longer import fork_longer

N_STEPS = 20
"""What the smallest budget allows."""


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow models, a small corpus, and short samples and evaluations."""
    for name in ("TEXT_MODEL", "TINY_WORLD_MODEL"):
        narrow = dataclasses.replace(getattr(quickstart, name), n_layer=1, d_model=32, context_length=128)
        monkeypatch.setattr(quickstart, name, narrow)
    for module, name in ((own_text, "TRAINING"), (quickstart, "TINY_WORLD_TRAINING")):
        monkeypatch.setattr(module, name, dataclasses.replace(getattr(module, name), sample_tokens=4))
    monkeypatch.setattr(corpus, "N_TRAIN", 150)
    monkeypatch.setattr(corpus, "N_VAL", 15)
    monkeypatch.setattr(quickstart, "PROBE_STEPS", 4)
    monkeypatch.setattr(quickstart, "evaluate", partial(evaluate, n_per_kind=4))
    monkeypatch.setattr(evaluation, "N_SEEN", 40)
    monkeypatch.setattr(evaluation, "N_SAMPLE", 2)
    monkeypatch.setattr(quickstart, "ACCURACY_INTERVAL", 32)
    monkeypatch.setattr(evaluation, "MAX_REPLY_TOKENS", 4)


def tiny(library: Library, files: Sequence[Path] = ()) -> RunJob:
    return RunJob(library, QuickStart(0.001, 3, files), device="cpu")


def of(kind: type[Event], events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.slow
def test_tiny_world_from_nothing_to_an_evaluation(library: Library) -> None:
    start = tiny(library)
    events = list(start.events())
    phases = [event.name for event in events if isinstance(event, Phase)]
    assert "Training the tokenizer" in phases
    assert "Measuring this device" in phases
    assert len(of(RunStarted, events)) == 1
    assert len(of(TrainMetrics, events)) == N_STEPS
    assert len(of(ValMetrics, events)) >= 1
    finished = of(Finished, events)
    assert isinstance(finished[0], Finished)
    assert (finished[0].status, finished[0].step) == ("finished", N_STEPS)

    evaluated = events[-1]
    assert isinstance(evaluated, Evaluated)
    assert [(kind.kind, kind.n) for kind in evaluated.kinds] == [(kind, 4) for kind in KINDS]
    assert 0 <= evaluated.accuracy <= 1
    assert set(start.result) == set(KINDS)
    assert start.seconds > 0

    measured = [event for event in events if isinstance(event, AccuracyMeasured)]
    assert [event.step for event in measured] == [0, 2, 4, 8, N_STEPS]
    assert [(kind.kind, kind.n) for kind in measured[0].kinds] == [(kind, 2) for kind in KINDS]

    assert start.run is not None
    assert start.run.status == "finished"
    prompts = {event.prompt for event in events if isinstance(event, SampleMade)}
    assert any(prompt.startswith("Tell me a story about") for prompt in prompts)
    assert World(3).facts[0].questions[0] in prompts
    model, tokenizer = load_model(start.run.folder)
    assert tokenizer is not None
    assert model.config.vocab_size == tokenizer.get_vocab_size()

    again = tiny(library)  # corpus and tokenizer exist already
    preparing = again.events()
    assert next(event for event in preparing if isinstance(event, RunStarted))
    preparing.close()
    assert again.run is not None
    assert again.run.folder != start.run.folder
    assert len(list(library.corpora.iterdir())) == len(library.list_tokenizers()) == 1


@pytest.fixture
def text(tmp_path: Path) -> Path:
    draw = random.Random(0)
    words = ("Anna", "Ben", "sat", "ran", "home", "slowly", "again", "there")
    file = tmp_path / "My words.txt"
    lines = [" ".join(draw.choices(words, k=9)) + "." for _ in range(800)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_text_ends_with_its_validation_loss(library: Library, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "train_in_child", train_in_child)  # as it really is
    start = tiny(library, files=[text])
    events = list(start.events())
    (finished,) = of(Finished, events)
    assert isinstance(finished, Finished)
    assert finished.status == "finished"
    validated = of(ValMetrics, events)[-1]
    assert isinstance(validated, ValMetrics)
    assert validated.step == N_STEPS
    assert 0 < validated.loss < 10
    assert 0 < validated.bits_per_byte < 8
    assert of(SampleMade, events)
    assert not of(Evaluated, events)
    assert start.result == {}
    assert start.run is not None
    assert start.run.spec.name == "My-words"

    tables, compared = of(TextCompared, events)
    assert isinstance(tables, TextCompared)
    assert isinstance(compared, TextCompared)
    assert tables.model is None
    assert events.index(tables) < events.index(of(RunStarted, events)[0]), "known before the first step"
    assert dataclasses.replace(compared, model=None, step=0) == tables
    assert compared.step == N_STEPS
    assert events[-1] == compared == read_comparison(start.run.folder)
    assert compared.model is not None
    assert compared.table < compared.model < 8, "words in random order after 20 steps"


def test_stopping_before_training_leaves_no_run(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    for event in start.events():
        if isinstance(event, Phase) and event.name == "Measuring this device":
            start.request_stop()
        assert not isinstance(event, RunStarted | Evaluated)
    assert start.run is start.trainer is None
    assert library.list_runs() == []


def test_stopping_during_preparation_ends_at_the_next_event(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    events: list[Event] = []
    for event in start.events():
        events.append(event)
        start.request_stop()
    assert len(events) == 1
    assert library.list_runs() == library.list_tokenizers() == []
    assert start.seconds > 0


def test_stopping_during_evaluation_keeps_the_run_without_a_result(library: Library) -> None:
    start = tiny(library)
    after_training: list[Event] = []
    finished = False
    for event in start.events():
        if finished:
            after_training.append(event)
            start.request_stop()
        finished = finished or isinstance(event, Finished)
    assert len(after_training) == 1
    assert not isinstance(after_training[0], Evaluated)
    assert start.run is not None
    assert start.run.status == "finished"
    assert start.result is None


def test_stopping_during_training_keeps_the_run_unevaluated(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    events: list[Event] = []
    for event in start.events():
        events.append(event)
        if isinstance(event, TrainMetrics) and event.step == 5:
            start.request_stop()
    assert isinstance(events[-1], Finished)
    assert (events[-1].status, events[-1].step) == ("stopped", 5)
    assert of(Saved, events)
    assert start.run is not None
    assert start.run.status == "stopped"
    assert start.result is None


def test_one_that_was_stopped_is_resumed_to_its_evaluation(library: Library) -> None:
    start = tiny(library)
    for event in start.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            start.request_stop()
    assert start.run is not None
    assert read_evaluation(start.run.folder) is None
    rest = resume(library, RunFolder.open(start.run.folder), device="cpu")
    assert isinstance(rest.recipe, QuickStart)
    events = list(rest.events())
    steps = [event.step for event in events if isinstance(event, TrainMetrics)]
    assert steps == list(range(6, N_STEPS + 1))
    assert isinstance(events[-1], Evaluated)
    assert read_evaluation(start.run.folder) == events[-1]
    assert set(rest.result) == set(KINDS)
    assert len(library.list_runs()) == 1


def test_one_whose_evaluation_was_cut_off_is_evaluated_when_it_is_resumed(library: Library) -> None:
    start = tiny(library)
    events = start.events()
    assert next(event for event in events if isinstance(event, Finished))
    events.close()
    assert start.run is not None
    rest = list(resume(library, RunFolder.open(start.run.folder), device="cpu").events())
    assert not of(TrainMetrics, rest), "nothing was left to train"
    assert read_evaluation(start.run.folder) == rest[-1]


def test_a_text_that_was_stopped_is_resumed_to_its_end(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    events = start.events()
    assert next(event for event in events if isinstance(event, TrainMetrics) and event.step == 5)
    events.close()
    assert start.run is not None
    text.unlink()  # the corpus has what was read of it
    (start.run.folder / "text_comparison.json").write_text("{}")  # what is damaged is measured again
    rest = resume(library, RunFolder.open(start.run.folder), device="cpu")
    assert isinstance(rest.recipe, QuickStart)
    assert rest.recipe.files == (str(text),)
    (finished,) = of(Finished, list(rest.events()))
    assert isinstance(finished, Finished)
    assert (finished.status, finished.step) == ("finished", N_STEPS)
    compared = read_comparison(start.run.folder)
    assert compared is not None
    assert compared.model is not None


def test_a_text_is_learned_until_its_held_out_loss_stops_falling(
    library: Library, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of letters in random order there is soon nothing more to learn: the best model is kept, and measured."""
    monkeypatch.setattr(own_text, "MIN_STEPS", 120)
    unsteady = dataclasses.replace(own_text.TRAINING, muon_lr=0.1, lr=0.03, schedule="constant", patience=1)
    monkeypatch.setattr(own_text, "TRAINING", unsteady)
    text.write_text("\n".join(random.Random(1).choices(string.ascii_letters + " ", k=21_000)))
    start = tiny(library, files=[text])
    events = list(start.events())
    (finished,) = of(Finished, events)
    assert isinstance(finished, Finished)
    assert finished.status == "stopped"
    assert finished.step < 120
    validations = {event.step: event.loss for event in events if isinstance(event, ValMetrics)}
    best = min(validations, key=lambda step: validations[step])
    assert best < finished.step
    compared = events[-1]
    assert isinstance(compared, TextCompared)
    assert compared.step == best
    assert start.run is not None
    last = RunFolder.open(start.run.folder).latest_checkpoint()
    assert last is not None
    assert checkpoint_step(last) == best


def test_one_that_is_trained_longer_ends_in_its_comparison_too(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    first = list(start.events())[-1]
    assert start.run is not None
    fork = fork_longer(library, start.run, N_STEPS + 10)
    events = list(resume(library, fork, device="cpu").events())
    tables, compared = of(TextCompared, events)
    assert isinstance(first, TextCompared)
    assert isinstance(compared, TextCompared)
    assert tables == dataclasses.replace(first, model=None, step=0), "known from its first event on"
    assert compared.step == N_STEPS + 10
    assert compared == read_comparison(fork.folder)
    assert read_comparison(start.run.folder) == first


def test_the_budget_of_a_text_is_steps_that_no_clock_changes(
    library: Library, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_text, "STEPS_PER_MINUTE", 10)
    monkeypatch.setattr(own_text, "MIN_STEPS", 3)
    hours = itertools.count(0, 3600.0)
    monkeypatch.setattr(quickstart.time, "perf_counter", lambda: next(hours))
    planned = []
    for minutes in (None, 0.5):
        start = RunJob(library, QuickStart(minutes, files=[text]), device="cpu")
        events = start.events()
        assert next(event for event in events if isinstance(event, RunStarted))
        events.close()
        assert start.run is not None
        planned.append(start.run.spec.train.steps)
    assert planned == [30, 5]


def test_a_short_text_is_not_read_for_ever() -> None:
    few, many = (own_text.fit_steps(own_text.TRAINING, 1000.0, n_batches) for n_batches in (5, 500))
    assert few.steps == own_text.MAX_EPOCHS * 5
    assert many.steps > few.steps
    assert few.eval_interval * 12 <= few.steps


def test_a_slow_machine_learns_as_much(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is steps, not seconds: a clock on which a step takes hours changes nothing, but where time is given."""
    monkeypatch.setattr(quickstart, "STEPS", 25)
    hours = itertools.count(0, 3600.0)
    monkeypatch.setattr(quickstart.time, "perf_counter", lambda: next(hours))
    planned = []
    for minutes in (None, 3):
        start = RunJob(library, QuickStart(minutes, 3), device="cpu")
        events = start.events()
        assert next(event for event in events if isinstance(event, RunStarted))
        events.close()
        assert start.run is not None
        planned.append(start.run.spec.train.steps)
    assert planned == [25, N_STEPS]


def test_closing_at_any_time_keeps_the_library_intact(library: Library, text: Path) -> None:
    start = tiny(library, files=[text])
    generator = start.events()
    for event in generator:
        if isinstance(event, TrainMetrics):
            break
    generator.close()
    assert start.run is not None
    assert start.run.status == "paused"
    assert [run.problem for run in library.list_runs()] == [None]


def test_bad_input_is_refused_in_a_sentence(library: Library, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot last 0 minutes"):
        QuickStart(minutes=0)
    (tmp_path / "three.txt").write_text("Anna sat down")
    (tmp_path / "short.txt").write_text("Anna sat.\n" * 100)
    (tmp_path / "again.txt").write_text("Anna sat down on the old mat by the door.\n" * 1000)
    (tmp_path / "latin.txt").write_text("Anna saß da.\n" * 2000, encoding="latin-1")
    for name, words in (
        ("none.txt", "does not exist"),
        ("three.txt", "has only 3 words, too few to learn from.*some 3,500 words"),
        ("short.txt", "has only 200 words, too few to learn from"),
        ("again.txt", "repeats the same text again and again.*choose one that does not repeat itself"),
        ("latin.txt", "is not UTF-8 text .*: save it as UTF-8 .in your editor: Save as"),
    ):
        with pytest.raises(ValueError, match=words):
            list(tiny(library, files=[tmp_path / name]).events())
    assert library.list_runs() == library.list_tokenizers() == []
    with pytest.raises(ValueError, match="repeats the same text"):
        check_text_files([tmp_path / "again.txt"])  # whatever is wanted of it
    check_text_files([tmp_path / "three.txt"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_text_with_a_byte_order_mark_is_read(library: Library, tmp_path: Path, encoding: str) -> None:
    text = "".join(f"Anna saß {n} Tage da.\n" for n in range(2000))
    marked, plain = tmp_path / "marked.txt", tmp_path / "plain.txt"
    marked.write_text(text, encoding=encoding)
    plain.write_text(text, encoding="utf-8")
    check_text_files([marked], is_all=True)
    assert build_text_corpus(library, [marked], 0.1).read_text("val").endswith("Anna saß 1999 Tage da.\n")
    assert "".join(read_texts([marked])) == "".join(read_texts([plain])) == text


def test_of_a_large_text_the_beginning_is_read_and_that_is_said(
    library: Library, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_text, "MAX_BYTES", 25_000)
    start = tiny(library, files=[text])
    events = start.events()
    said = [event.sentence for event in itertools.takewhile(lambda e: not isinstance(e, RunStarted), events)
            if isinstance(event, Notice)]  # fmt: skip
    events.close()
    assert len(said) == 1
    assert "the first 24.4 KiB are read" in said[0]
    assert start.run is not None
    assert open_run_corpus(library, start.run).n_bytes == 25_000


@pytest.mark.parametrize("with_text", [False, True])
def test_a_portable_one_has_a_graph_of_llama_cpp(library: Library, tmp_path: Path, with_text: bool) -> None:
    text = tmp_path / "story.txt"
    text.write_text("The cat sat on the mat and looked at the bat. " * 200, encoding="utf-8")
    files = (text,) if with_text else ()
    plain, portable = (QuickStart(files=files, portable=each).first_spec(library).model for each in (False, True))
    assert graph_of(portable).name == "qwen3"
    assert portable.lookback == 4
    assert portable.n_layer == plain.n_layer + 1
    with pytest.raises(ValueError, match="cannot run this design"):
        graph_of(plain)
