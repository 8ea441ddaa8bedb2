"""The form of a new run: templates, TOML files, data preview, cost, and results of the finders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QFileDialog, QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.new_run_page import NewRun
from terrarium.app.new_run.new_run_views import RunDataPage
from terrarium.app.new_run.trials.batch_finder_view import BatchFinderView
from terrarium.app.new_run.trials.lr_finder_view import LrFinderView
from terrarium.app.run.data_view import RunDataView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.session import Session
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec
from terrarium.models.settings.spec_file import load_spec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.estimates import trial
from terrarium.models.training.estimates.findings import BatchFound, BatchPoint, LrFound, LrPoint
from tests.app.heard import Heard
from tests.app.wheel import turn_wheel

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def form(session: Session, theme: ThemeProvider, tiny_spec: RunSpec, qtbot: QtBot) -> NewRun:
    """The shown form, set to the tiny run."""
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.resize(1100, 640)
    form.show()
    form.set_spec(tiny_spec)
    return form


def test_the_wheel_scrolls_past_every_setting(form: NewRun) -> None:
    boxes: list[QWidget] = [*form.findChildren(QAbstractSpinBox), *form.findChildren(QComboBox)]
    assert {"Validation share", "World seed", "Vocabulary", "Data"} <= {box.accessibleName() for box in boxes}
    form.setFocus()
    for box in boxes:
        assert not turn_wheel(box).isAccepted(), box.accessibleName()
        assert box.focusPolicy() != Qt.FocusPolicy.WheelFocus, "the wheel would give it the focus first"


def unnamed(spec: RunSpec) -> RunSpec:
    return dataclasses.replace(spec, name="x")


@pytest.fixture
def host(qtbot: QtBot) -> QWidget:
    """What a form is put into, which it must not outlive."""
    host = QWidget()
    qtbot.addWidget(host)
    return host


def test_the_review_uses_the_width_that_it_has(form: NewRun, host: QWidget, until: Until) -> None:
    review = form.review
    assert review.width() == review.minimumWidth(), "beside the form"
    form.setParent(host)
    form.setMinimumSize(0, 0)  # as a page, which a window of its own need not hold
    host.resize(600, 640)
    host.show()
    form.show()
    form.resize(600, 640)
    form.show_review()

    def top(widget: QWidget) -> int:
        return widget.mapTo(review, QPoint()).y()

    until(lambda: top(review.gauge) < top(review.facts["parameters"]))  # the costs stand beside the other facts
    assert review.width() > 1.5 * review.minimumWidth()


# -- Whole specs ------------------------------------------------------------------------------------------


def test_any_spec_fills_the_form(form: NewRun, session: Session, tiny_spec: RunSpec) -> None:
    assert form.draft.spec() == tiny_spec
    other = dataclasses.replace(
        tiny_spec,
        model=PRESETS["bert-tiny"],
        tokenizer=TokenizerSpec(kind="unigram", vocab_size=700),
        data=dataclasses.replace(tiny_spec.data, val_fraction=0.25),
        train=dataclasses.replace(tiny_spec.train, lr=3e-4, optimizer="adamw", prompts=()),
    )
    form.set_spec(other)
    got = form.draft.spec()
    assert got == dataclasses.replace(other, model=dataclasses.replace(other.model, vocab_size=700))
    assert session.designs.name == "bert-tiny"


def test_a_run_is_the_template_of_the_next(
    form: NewRun, session: Session, tiny_spec: RunSpec, until: Until, heard: Heard
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    form.set_train({"batch_size": 99})
    form.show_template(session.runs.list()[0].id)
    got = form.draft.spec()
    assert (got.train, got.data) == (tiny_spec.train, tiny_spec.data)
    assert got.tokenizer == TokenizerSpec(path="byte")  # the very same, not one trained anew
    assert got.name == "tiny 2"
    assert form.review.like.text() == "Like “tiny”"
    form.show_template("gone")
    assert "cannot be read" in heard.notices[-1]


def test_a_toml_file_round_trips_all_settings(
    form: NewRun, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard, qtbot: QtBot
) -> None:
    path = tmp_path / "run.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    wanted = form.draft.spec()
    form.save()
    assert "terrarium train run.toml" in heard.notices[-1]
    assert load_spec(path) == wanted
    form.set_spec(dataclasses.replace(wanted, train=dataclasses.replace(wanted.train, steps=7)))
    session.designs.choose("gpt2-tiny")
    load = next(action for action in form.findChildren(QAction) if action.text() == "Load settings…")
    load.trigger()
    assert form.draft.spec() == wanted
    path.write_text("[train]\nsteps = 'many'", encoding="utf-8")
    load.trigger()
    assert "steps must be a whole number" in heard.failures.pop()
    assert form.draft.spec() == wanted


def test_a_tokenizer_file_is_offered_by_its_path(form: NewRun, session: Session, tmp_path: Path) -> None:
    from terrarium.models.tokenizers import save_tokenizer, train_tokenizer

    save_tokenizer(train_tokenizer((), "byte", 0), session.library, "mine", {})
    path = tmp_path / "copied"
    (session.library.tokenizers / "mine").rename(path)
    form.set_spec(dataclasses.replace(form.draft.spec(), tokenizer=TokenizerSpec(path=str(path))))
    assert form.draft.spec().tokenizer.path == str(path)
    assert form.tokenizer.choice.currentText() == "copied  (file)"
    assert form.draft.model.vocab_size == 261


# -- Data and cost ----------------------------------------------------------------------------------------


def test_the_data_is_previewed_automatically_if_the_tokenizer_exists(form: NewRun, until: Until) -> None:
    form.views.show_view("data")
    page: RunDataPage = form.views.pages.made["data"]
    assert page.note.isVisible(), "never an empty page, not even for a moment"
    until(lambda: page.panel.preview is not None)
    assert page.panel.title.text() == "Next token"
    assert page.panel.stats.number("training tokens").endswith(" k")
    assert page.panel.count.text() == "1 of 6"
    page.panel.step(1)
    assert page.panel.count.text() == "2 of 6"
    assert page.panel.target.mark_of(0) == ""
    assert page.panel.target.mark_of(1) == "predicted"
    form.grab()


def test_the_objective_is_shown_only_where_there_is_a_choice(form: NewRun) -> None:
    line = form.form.row("objective")
    assert line.isHidden()
    form.session.designs.choose("bart-tiny")
    assert not line.isHidden()
    form.session.designs.choose("bert-tiny")
    assert line.isHidden()


def test_a_tokenizer_is_trained_only_when_asked(form: NewRun, session: Session, until: Until, qtbot: QtBot) -> None:
    spec = dataclasses.replace(form.draft.spec(), tokenizer=TokenizerSpec(kind="bpe", vocab_size=300))
    form.set_spec(dataclasses.replace(spec, model=PRESETS["t5-tiny"]))
    form.form.apply({"batch_size": 2})
    form.views.show_view("data")
    page: RunDataPage = form.views.view("data")
    assert page.run_preview.text() == "Train the tokenizer and preview"
    assert not form.trials.state.running
    qtbot.mouseClick(page.run_preview, Qt.MouseButton.LeftButton)
    until(lambda: page.panel.preview is not None)
    assert page.panel.title.text() == "Span corruption"
    assert page.panel.source.isVisibleTo(form)
    assert [info.kind for info in session.tokenizers.list()] == ["bpe"]


def test_the_cost_is_estimated_then_measured(form: NewRun, session: Session, until: Until, qtbot: QtBot) -> None:
    review = form.review
    assert review.origin.text() == "estimated"
    assert review.fact("time") in ("unknown", "measuring…")
    qtbot.mouseClick(review.measure, Qt.MouseButton.LeftButton)
    assert review.cancel.isVisibleTo(form) or form.trials.state.running
    until(lambda: not form.trials.state.running and review.origin.text() == "measured")
    assert review.fact("time").endswith("s")
    assert review.fact("per step").endswith("s")
    form.set_train({"batch_size": 3})
    until(lambda: review.origin.text() == "estimated")
    assert not review.fact("time").endswith("s"), "another size was not measured"


def test_larger_text_does_not_truncate_numbers(form: NewRun, theme: ThemeProvider, qtbot: QtBot) -> None:
    theme.apply_theme(form)
    theme.set_text_scale(1.5)
    memory = form.review.facts["memory"]
    memory.setText("28.8 GiB of 22.6 GiB")
    qtbot.waitUntil(lambda: memory.width() >= memory.sizeHint().width())
    qtbot.waitUntil(lambda: form.choices.horizontalScrollBar().maximum() == 0)  # one column: two have no room


def test_a_run_that_does_not_fit_is_made_to_fit(
    form: NewRun, session: Session, until: Until, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trial.weighted_nll

    def loss(model: Any, batch: Any, *args: Any) -> torch.Tensor:
        if batch.inputs.numel() > 6 * 32:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(model, batch, *args)

    monkeypatch.setattr(trial, "weighted_nll", loss)
    form.set_train({"batch_size": 16})
    qtbot.mouseClick(form.review.measure, Qt.MouseButton.LeftButton)
    until(lambda: form.review.fit.isVisibleTo(form))
    assert "Memory ran out when this was tried." in form.review.note.text()
    qtbot.mouseClick(form.review.fit, Qt.MouseButton.LeftButton)
    until(lambda: form.review.origin.text() == "measured" and not form.trials.state.running)
    train = form.form.config
    assert (train.batch_size, train.grad_accum_steps) == (4, 4)
    assert not form.review.fit.isVisibleTo(form)


def test_the_data_of_a_run_is_shown(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    view = RunDataView(session, theme)
    qtbot.addWidget(view)
    view.show_run(ShownRun(id="", name="", folder=None, spec=None, history=session.training.history))
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    run = session.runs.list()[0]
    spec = session.runs.spec(run.id)
    view.show_run(ShownRun(id=run.id, name=run.name, folder=run.folder, spec=spec, history=session.training.history))
    until(lambda: view.panel.preview is not None)
    view.refresh()


# -- Finders ----------------------------------------------------------------------------------------------


def tell(form: NewRun, **state: object) -> None:
    """Let the session have found something."""
    form.trials.runner.state = dataclasses.replace(form.trials.state, **state)  # type: ignore[arg-type]
    form.trials.changed.emit()


def test_a_found_learning_rate_is_applied_with_muons(
    form: NewRun, session: Session, qtbot: QtBot, until: Until
) -> None:
    form.views.show_view("lr")
    view: LrFinderView = form.views.view("lr")
    assert view.start.isVisibleTo(form)
    points = tuple(LrPoint(lr=10 ** (i / 10 - 5), loss=5 - i / 20, smoothed=5 - i / 25) for i in range(50))
    found = LrFound(points=points, suggestion=0.004, low=0.001, high=0.01, ratios={"muon_lr": 2.5}, exploded=False)
    tell(form, kind="lr", lr_points=points, lr=found, lr_of=form.draft.spec())
    assert view.use.text() == "Use 0.004"
    assert view.sentence.text().startswith("The smoothed loss")
    assert "0.004" in view.sentence.text()
    view.choose(0.0071)
    assert view.use.text() == "Use 0.0071"
    form.grab()
    qtbot.mouseClick(view.use, Qt.MouseButton.LeftButton)
    assert (form.form.config.lr, form.form.config.muon_lr) == (0.0071, 0.018)
    assert form.views.current == "choices"
    assert not form.form.group("Learning rate").folded
    form.views.show_view("lr")
    assert view.sentence.text().startswith("The smoothed loss")  # it still holds
    session.designs.choose("gpt2-tiny")
    until(lambda: view.sentence.text().startswith("For another model or other data"))


def test_no_rate_is_offered_without_a_result(form: NewRun, session: Session) -> None:
    form.views.show_view("lr")
    view: LrFinderView = form.views.view("lr")
    points = (LrPoint(lr=1e-5, loss=5.0, smoothed=5.0), LrPoint(lr=1e-4, loss=5.0, smoothed=5.0))
    nothing = LrFound(points=points, suggestion=None, low=None, high=None, ratios={}, exploded=False)
    tell(form, kind="lr", lr_points=points, lr=nothing)
    assert not view.use.isVisibleTo(form)
    assert "hardly fell" in view.sentence.text()
    tell(form, lr=None)
    assert "stopped early" in view.sentence.text()
    tell(form, problem="The text is too short.")
    assert view.sentence.text() == "The text is too short."


def test_a_found_batch_size_is_applied(form: NewRun, session: Session, qtbot: QtBot) -> None:
    form.views.show_view("batch")
    view: BatchFinderView = form.views.view("batch")
    points = (
        BatchPoint(batch_size=1, fits=True, tokens_per_s=100.0, peak_bytes=10**6),
        BatchPoint(batch_size=2, fits=True, tokens_per_s=180.0, peak_bytes=2 * 10**6),
        BatchPoint(batch_size=4, fits=False),
    )
    found = BatchFound(points=points, largest=2, fastest=2, batch_size=2, grad_accum_steps=4, limit_bytes=3 * 10**6)
    tell(form, kind="batch", batch_points=points, batch=found, spec=form.draft.spec())
    assert "2 is the largest that fits" in view.sentence.text()
    assert view.use.text() == "Use 2 × 4"
    form.grab()
    qtbot.mouseClick(view.use, Qt.MouseButton.LeftButton)
    assert (form.form.config.batch_size, form.form.config.grad_accum_steps) == (2, 4)
    tell(form, batch_of=form.draft.spec())
    form.views.show_view("batch")
    assert view.use.isHidden()
    assert "its batch size is right" in view.sentence.text()


def test_no_trial_starts_beside_a_training(
    form: NewRun, session: Session, tiny_spec: RunSpec, until: Until, heard: Heard
) -> None:
    form.views.show_view("lr")
    view: LrFinderView = form.views.view("lr")
    endless = dataclasses.replace(tiny_spec, train=dataclasses.replace(tiny_spec.train, steps=10**6))
    session.training.start(endless)
    until(lambda: not view.start.isEnabled() and not form.start.isEnabled())
    assert "add this one to the queue" in form.draft.problem
    assert not form.draft.try_out("lr")
    assert "is training" in heard.failures.pop()
    session.training.stop()
    until(lambda: not session.training.active)
    until(lambda: form.start.isEnabled())


def test_other_text_gets_a_tokenizer_of_its_own(form: NewRun, session: Session, text_file: Path) -> None:
    from terrarium.models.tokenizers import save_tokenizer, train_tokenizer

    save_tokenizer(train_tokenizer((), "byte", 0), session.library, "tiny world", {})
    session.tokenizers.add("tiny world")
    form.begin()
    form.data.source.setCurrentIndex(form.data.source.findData("tiny-world"))
    assert form.tokenizer.spec.path == "", "not the one that was made last, for whatever text"
    form.tokenizer.choice.setCurrentIndex(form.tokenizer.choice.findData("tiny world"))
    form.data.set_files((str(text_file),))
    assert form.tokenizer.spec.path == "", "a new one, trained on this text"
    form.tokenizer.choice.setCurrentIndex(form.tokenizer.choice.findData("tiny world"))
    assert any("on other text" in label.text() for label in form.tokenizer.findChildren(QLabel))
    form.data.set_files((str(text_file), str(text_file)))
    assert form.tokenizer.spec.path == "tiny world", "what was chosen for this text stays"


def test_before_it_is_measured_the_time_is_said_to_be_unknown_or_a_guess(
    form: NewRun, session: Session, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    form.proposer.may_measure = False
    form.proposer.stop()
    form.proposer.changed.emit()
    until(lambda: form.review.fact("time") == "unknown")
    assert "unknown until measured" in form.review.note.text()
    train = dataclasses.replace(tiny_spec.train, steps=20, sample_interval=0, eval_interval=0)
    session.training.start(dataclasses.replace(tiny_spec, name="before", train=train))
    until(lambda: not session.training.active)
    form.form.apply({"steps": 200})
    until(lambda: form.review.fact("time").startswith("about "))
    assert "speed of “before”" in form.review.note.text()
    estimate = form.draft.estimated_time()
    (run,) = session.runs.list()
    assert estimate is not None
    assert run.elapsed_s is not None
    assert estimate.seconds == pytest.approx(10 * run.elapsed_s)
    assert run.spec is not None
    prompts = DataSpec(source="dataset", dataset="Tiny World 0, wish happy", task="prompts")
    aligned = dataclasses.replace(run.spec, data=prompts, tune=TuneSpec(parent="a@1"), align=AlignSpec())
    newer = dataclasses.replace(run, name="aligned", spec=aligned)
    monkeypatch.setattr(session.runs, "known", lambda: [newer, run])
    assert form.draft.estimated_time() == estimate, "an alignment draws replies most of the time"
    tiny = dataclasses.replace(run.spec, train=dataclasses.replace(run.spec.train, batch_size=1), model=tiny_spec.model)
    assert run.tokens is not None
    fewer = run.tokens // run.spec.train.batch_size
    newest = dataclasses.replace(run, name="smaller", spec=tiny, elapsed_s=1000 * run.elapsed_s, tokens=fewer)
    monkeypatch.setattr(session.runs, "known", lambda: [newest, run])
    assert form.draft.estimated_time() == estimate, "the run whose steps are as large tells more than the newest"
    short = dataclasses.replace(run, name="short", step=20, elapsed_s=9 * run.elapsed_s)
    long = dataclasses.replace(run, step=200, elapsed_s=10 * run.elapsed_s, tokens=10 * run.tokens)
    monkeypatch.setattr(session.runs, "known", lambda: [short, long])
    assert form.draft.estimated_time() == estimate, "of equal ones the longest, whose first tests count less"
    form.form.apply({"batch_size": 20 * train.batch_size})
    assert form.draft.estimated_time() is None, "steps of another size say little"
