"""The doctor's view: a card per problem, whose button requests the remedy, and the checks that passed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.diagnosis.diagnosis_view import DoctorView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from tests.models.diagnosis.doctor_suite import train_spec

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def spec(tiny_spec: RunSpec) -> RunSpec:
    """A run of a second, whose validation is no trouble."""
    train = dataclasses.replace(tiny_spec.train, steps=20, eval_batches=20, layer_interval=2, prompts=())
    return dataclasses.replace(tiny_spec, train=train)


@pytest.fixture
def view(theme: ThemeProvider, qtbot: QtBot) -> DoctorView:
    """The view, on screen."""
    view = DoctorView(theme)
    qtbot.addWidget(view)
    view.resize(900, 560)
    view.show()
    return view


def shown(run: RunFolder, history: RunHistory | None = None) -> ShownRun:
    history = RunHistory.read(run) if history is None else history
    return ShownRun(id=run.id, name=run.name, folder=run.folder, spec=run.spec, history=history)


def test_a_problem_is_a_card_whose_button_requests_the_remedy(
    view: DoctorView, spec: RunSpec, library: Library, until: Until, qtbot: QtBot
) -> None:
    run = train_spec(dataclasses.replace(spec, model=dataclasses.replace(spec.model, init_std=0.0)), library)
    view.show_run(shown(run))
    until(lambda: "dead" in view.cards)
    card = view.cards["dead"]
    assert view.heading.text() == "1 problem"
    assert card.isVisible()
    assert card.remedy.text() == "New run with init std 0.02"
    with qtbot.waitSignal(view.remedy_asked) as asked:
        qtbot.mouseClick(card.remedy, Qt.MouseButton.LeftButton)
    run_id, remedy = asked.args
    assert run_id == run.id
    assert remedy.changes == {"model.init_std": 0.02}
    assert remedy.fork_step is None

    healthy = train_spec(spec, library)
    view.show_run(shown(healthy))
    assert not view.cards, "its button would be of this run"
    until(lambda: view.heading.text() != "Examining…")
    assert view.heading.text() in ("No problems found", "Too early to tell")


def test_an_alignment_is_examined_by_its_figures(
    view: DoctorView, spec: RunSpec, library: Library, until: Until
) -> None:
    """The run of a text, whose figures and stage are those of an alignment."""
    run = train_spec(spec, library)
    data = DataSpec(source="dataset", dataset="any", task="prompts")
    tune, align = TuneSpec(parent="any"), AlignSpec(stage="grpo")
    settings = dataclasses.replace(run.spec.train, optimizer="adamw")
    aligned = dataclasses.replace(run.spec, data=data, tune=tune, align=align, train=settings)
    run.acquire()
    run.update(spec=aligned.to_dict())
    for step in range(1, 21):
        figures = {"frac_reward_zero_std": 1.0, "pass@1": 0.0, "reward": -0.5, "entropy": 0.5}
        row = {"step": step, "tokens": step, "elapsed_s": 0.1 * step, "is_validation": False, "figures": figures}
        run.append("alignment", row)
    run.release()
    view.show_run(shown(RunFolder.open(run.folder)))
    until(lambda: "no_signal" in view.cards)
    card = view.cards["no_signal"]
    assert "none of the 1,280 replies was right" in card.diagnosis.sentence if card.diagnosis else False
    assert not card.remedy.isVisible(), "no setting teaches what never happens"
    words = dict(line.split(": ", 1) for line in view.checks.words())
    assert words["No entropy collapse"].startswith("The entropy is 100")
    assert "Plateau" not in words, "the loss of such a run says nothing"


def test_passed_checks_are_listed_with_their_values(
    view: DoctorView, spec: RunSpec, library: Library, until: Until
) -> None:
    run = train_spec(spec, library)
    view.show_run(shown(run))
    until(lambda: view.checks.isVisible())
    words = dict(line.split(": ", 1) for line in view.checks.words())
    assert words["Finite numbers"] == "All 20 losses and gradients are finite numbers."
    assert words["No exploding gradients"].startswith("Gradient norm: median ")
    assert words["Plateau"].startswith("Needs "), "it may have one"
    assert view.summary.text().endswith(" could not be made: see below.")


def test_a_run_that_grows_is_examined_again(view: DoctorView, spec: RunSpec, library: Library, until: Until) -> None:
    run = train_spec(spec, library)
    whole = RunHistory.read(run)
    history = RunHistory()
    view.show_run(shown(run, history))
    assert not view.heading.isVisible()
    for i in range(20):
        row = {name: float(whole.train[name][i]) for name in ("elapsed_s", "loss", "lr", "grad_norm", "tokens_per_s")}
        step, tokens = int(whole.train["step"][i]), int(whole.train["tokens"][i])
        history.add(TrainMetrics(step=step, tokens=tokens, total_steps=20, seconds_left=None, **row))
        view.refresh()
    until(lambda: any("All 20 losses" in line for line in view.checks.words()))
