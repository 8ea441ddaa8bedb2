"""The page on which models reply side by side, with two runs that were really trained."""

from __future__ import annotations

import csv
import shutil
import weakref
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.side_by_side.comparison import SIDE_BY_SIDE, CandidateReplied
from terrarium.app.chat.side_by_side.side_by_side_page import SideBySidePage
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.preferences.candidate_picker import runs_to_pick
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import Event
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.inspect.spans import Judgement
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Told, Until
from tests.app.small_models import put_model
from tests.models.training.support import make_run, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a library with a run of 12 steps, of two layers: one says only spaces."""
    home = tmp_path_factory.mktemp("trained") / "home"
    config = ModelConfig(context_length=32, n_layer=2, n_head=2, d_model=32, position="rope", conv_width=4)
    steps = {"steps": 12, "checkpoint_interval": 5, "eval_interval": 12, "eval_batches": 1, "sample_interval": 0}
    train(make_run(Library(home), config, **steps), Library(home))
    return home


@pytest.fixture
def page(trained: Path, library: Library, session: Session, qtbot: QtBot, theme: ThemeProvider) -> SideBySidePage:
    """Two sides: the newest checkpoint of that run, and one before it."""
    shutil.copytree(trained, library.home, dirs_exist_ok=True)
    session.runs.changed.emit()
    page = SideBySidePage(session, theme, lambda: SamplingConfig(max_tokens=12, temperature=0.0), str)
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    return page


def test_two_checkpoints_reply_and_score_each_other(
    page: SideBySidePage, session: Session, qtbot: QtBot, until: Until, told: Told, tmp_path: Path
) -> None:
    first, second = page.columns
    run_id = session.runs.list()[0].id
    for column in page.columns:
        column.runs.setCurrentIndex(column.runs.findData(run_id))
        column.runs.activated.emit(column.runs.currentIndex())
    steps = session.runs.checkpoint_steps(run_id)
    second.steps.setCurrentIndex(second.steps.findData(steps[-1]))
    qtbot.keyClicks(page.prompt, "The cat")
    said: list[str] = []
    page.control.events_received.connect(lambda _: said.append(page.status.text()))
    qtbot.mouseClick(page.run_button, Qt.MouseButton.LeftButton)
    assert page.status.text() == "Starting…"
    until(lambda: not page.control.busy)
    assert page.status.text() == ""
    assert said[-1] == "Comparing the replies…"
    assert first.about.text().startswith("step 12,")
    for column in page.columns:
        assert column.text.written
        assert "12 tokens" in column.facts.text()
        assert "Log-probability of this reply" in column.verdict.text()
        assert "background-color" in column.text.text()
    until(lambda: bool(told))
    [(sentence, _)] = told
    assert sentence == " ".join(f"Reply of {column.name}: {column.text.written}" for column in page.columns)
    file = tmp_path / "differences.csv"
    page.export.export_to(file, "csv")
    until(file.exists)
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    for column in page.columns:
        mine = [row for row in rows if row["reply_of"] == column.name]
        assert "".join(row["text"] for row in mine).lstrip() == column.text.written
        own = sum(float(row["own_log_probability"]) for row in mine)
        assert f"{own:.1f}".replace("-", "−") in column.verdict.text()
    assert [column.name.rpartition(" at ")[2] for column in page.columns] == ["step 12", f"step {steps[-1]}"]
    assert all(column.name in page.columns[0].verdict.text() for column in page.columns), "one run, two names"
    near = Judgement(pieces=("a",), log_probabilities=(-52.44,))
    first.show_verdict(Judgement(pieces=("a",), log_probabilities=(-39.65,)), near, "the other")
    assert "−39.6 nats" in first.verdict.text()
    assert "−52.4 under" in first.verdict.text()
    assert "by 12.8 nats" in first.verdict.text()
    alike = Judgement(pieces=("a", "b"), log_probabilities=(-1.0, -2.01))
    first.show_verdict(alike, Judgement(pieces=("a", "b"), log_probabilities=(-1.0, -2.0)), "the other")
    assert first.verdict.text().endswith("Both find it about equally likely.")


def test_invalid_comparisons_show_an_error(page: SideBySidePage, until: Until, session: Session) -> None:
    run_id = session.runs.list()[0].id
    for column in page.columns:
        column.runs.setCurrentIndex(column.runs.findData(run_id))
        column.runs.activated.emit(column.runs.currentIndex())
    page.prompt.setPlainText("The cat")
    page.compare()
    assert "not two different models" in page.status.text()
    page.columns[1].steps.setCurrentIndex(1)
    page.prompt.setPlainText("  ")
    page.compare()
    assert "prompt is empty" in page.status.text()
    page.prompt.setPlainText("The cat " * 200)
    page.compare()
    until(lambda: not page.control.busy)
    assert page.status.text().startswith(f"{session.runs.list()[0].name}: The prompt has")


def test_runs_of_one_name_are_told_apart(page: SideBySidePage, session: Session, library: Library) -> None:
    run = session.runs.list()[0]
    shutil.copytree(run.folder, library.runs / "another-one")
    record = read_json(library.runs / "another-one" / "run.json")
    atomic_write_json(library.runs / "another-one" / "run.json", {**record, "id": "another-one"})
    session.runs.changed.emit()
    names = [name for _, name in runs_to_pick(session.runs)]
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith(f"{run.name} (") for name in names)
    runs = page.columns[0].runs
    assert {runs.itemText(i) for i in range(runs.count())} == set(names)


def test_models_are_added_and_removed(page: SideBySidePage, qtbot: QtBot) -> None:
    qtbot.mouseClick(page.add_button, Qt.MouseButton.LeftButton)
    assert len(page.columns) == 3
    page.add_column()
    assert not page.add_button.isEnabled()
    page.columns[3].remove_requested.emit()
    assert len(page.columns) == 3
    assert page.add_button.isEnabled()


def test_removing_a_column_cancels_the_comparison(page: SideBySidePage, session: Session, until: Until) -> None:
    page.add_column()
    run_id = session.runs.list()[0].id
    for column, step in zip(page.columns, (None, *session.runs.checkpoint_steps(run_id)[:2]), strict=True):
        column.choose(Candidate(run_id, step))
    page.prompt.setPlainText("The cat")
    page.compare()
    page.columns[2].remove_requested.emit()
    assert not page.control.busy
    done: list[object] = []
    session.worker.job_finished.connect(done.append)
    session.worker.submit(Job("after it", lambda: iter(()), INTERACTIVE))
    until(lambda: len(done) == 2)
    assert [column.text.written for column in page.columns] == ["", ""]


def test_the_newest_checkpoint_is_looked_up_each_time(page: SideBySidePage, session: Session, until: Until) -> None:
    run = session.runs.find(session.runs.list()[0].id)
    page.columns[0].choose(Candidate(run.id))
    page.columns[1].choose(Candidate(run.id, session.runs.checkpoint_steps(run.id)[-1]))
    page.prompt.setPlainText("The cat")
    for step in (12, 13):
        page.compare()
        until(lambda: not page.control.busy)
        assert page.columns[0].about.text().startswith(f"step {step},")
        folder = run.folder / "checkpoints"
        shutil.copytree(folder / "step-00000012", folder / "step-00000013", dirs_exist_ok=True)


def test_chat_models_get_the_system_prompt(
    session: Session, library: Library, theme: ThemeProvider, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> None:
    form = ChatTemplateConfig(template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
    run_id = put_model(library, byte_tokenizer, "decoder-only", form=form)
    [checkpoint] = (library.runs / run_id / "checkpoints").iterdir()
    shutil.copytree(checkpoint, checkpoint.with_name("step-00000099"))
    candidates = [Candidate(run_id, step) for step in session.runs.checkpoint_steps(run_id)]
    page = SideBySidePage(session, theme, lambda: SamplingConfig(max_tokens=2), lambda: "Be kind.")
    qtbot.addWidget(page)
    heard: list[Event] = []
    page.control.events_received.connect(heard.extend)
    page.control.start(candidates, "Who?", SamplingConfig(max_tokens=2), "Be kind.")
    until(lambda: not page.control.busy)
    started = [event.event for event in heard if isinstance(event, CandidateReplied)]
    prompts = [byte_tokenizer.decode(event.prompt_ids) for event in started if isinstance(event, ReplyStarted)]
    assert prompts == ["[Be kind.][Who?]"] * 2


def test_the_models_are_released_some_time_after_the_page_was_left(
    session: Session,
    library: Library,
    byte_tokenizer: Tokenizer,
    theme: ThemeProvider,
    qtbot: QtBot,
    until: Until,
) -> None:
    runs = [put_model(library, byte_tokenizer, topology) for topology in ("decoder-only", "encoder-decoder")]
    session.runs.changed.emit()
    page = SideBySidePage(session, theme, lambda: SamplingConfig(max_tokens=3), str)
    qtbot.addWidget(page)
    page.show()
    control, candidates = page.control, [Candidate(run_id) for run_id in runs]
    control.start(candidates, "The cat", SamplingConfig(max_tokens=3))
    page.hide()
    page.departure.timeout.emit()
    assert page.departure.isActive(), "not while they reply"
    until(lambda: not control.busy)
    names = [use.name for use in session.models.uses]
    assert names == ["decoder-only", "encoder-decoder"]
    kept = [session.models.get(SIDE_BY_SIDE, path) for path in _checkpoints(session, runs)]
    models = [weakref.ref(loaded.model) for loaded in kept if loaded is not None]
    kept.clear()
    assert len(models) == 2
    page.show()
    assert not page.departure.isActive(), "they stay while the page is in view"
    page.hide()
    page.departure.timeout.emit()
    until(lambda: all(model() is None for model in models))
    assert session.models.uses == ()
    page.show()
    control.start(candidates, "The cat", SamplingConfig(max_tokens=3))
    until(lambda: not control.busy)
    assert [use.name for use in session.models.uses] == names, "loaded again when it is used again"
    session.training.pause(free=True)
    assert session.models.uses == ()


def _checkpoints(session: Session, run_ids: list[str]) -> list[Path]:
    found = [RunFolder.open(session.runs.find(run_id).folder).latest_checkpoint() for run_id in run_ids]
    return [path for path in found if path is not None]
