"""The demonstrations of alignment in the window: carried out with tiny models, stopped, gone on with, and looked at."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.recipes.demonstration_card import DemonstrationCard
from terrarium.app.recipes.recipes_page import RecipesPage
from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.life import Life
from terrarium.app.session.routes import Judge, Route
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.evaluation.record import write_evaluation
from terrarium.models.events import Evaluated, Event, KindAccuracy, RunStarted
from terrarium.models.library.library import Library
from terrarium.models.preferences.store import Pair, PreferenceSet, Reply
from terrarium.models.recipes.demonstrations import goodhart, taught
from terrarium.models.recipes.demonstrations.bases import STRONG_STEPS
from terrarium.models.recipes.demonstrations.demonstrated import (
    DemonstrationMark,
    read_demonstrated,
    read_stage_mark,
    write_demonstrated,
)
from terrarium.models.recipes.demonstrations.results import RefuseResult
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.mark import MARK_FILE
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Until
from tests.app.leading import FewTabs
from tests.app.small_models import put_model
from tests.models.recipes.demonstrations.support import make_little, safety_report

NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    make_little(monkeypatch)


@pytest.fixture
def base(library: Library) -> str:
    """A model of random weights, of which it is not known how good it is."""
    return put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)


@pytest.fixture
def tab(base: str, session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> TrainingTab:
    """The training tab, which shows the recipes."""
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    qtbot.addWidget(tab)
    tab.resize(1280, 720)
    with qtbot.waitActive(tab):
        tab.show()
        tab.activateWindow()
    tab.show_recipes("goodhart")
    until(lambda: not tab.recipes.busy)
    return tab


def press(card: DemonstrationCard, qtbot: QtBot) -> None:
    assert card.start.isEnabled()
    qtbot.mouseClick(card.start, Qt.MouseButton.LeftButton)


def measured(accuracy: float) -> Evaluated:
    kind = KindAccuracy(kind="state", n=1, accuracy=accuracy, most_frequent=0.0)
    return Evaluated(accuracy=accuracy, kinds=(kind,), seconds=1.0)


def test_goodhart_from_start_to_the_peak(
    tab: TrainingTab,
    base: str,
    session: Session,
    library: Library,
    qtbot: QtBot,
    until: Until,
    theme: ThemeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(goodhart, "peak_of", lambda curve: 1)  # random letters have none
    page = tab.recipes
    card = page.demonstrations["goodhart"]
    assert card.start.hasFocus()
    assert not card.result.isVisible()
    assert card.base.list.currentText() == "decoder-only  ·  step 40  ·  not measured"
    assert "begins with that" in card.base.note.text()
    assert card.takes.text() == "3 min, on two cores that do nothing else"
    assert card.minutes.text() == "3 min"
    press(card, qtbot)
    assert card.going.isVisible()
    assert not card.start.isVisible()
    assert card.going.stop.hasFocus()
    assert page.waits.isVisible(), "what becomes of the others"
    others = [each for each in page.demonstrations.values() if each is not card and each.start.isEnabled()]
    assert {each.start.text() for each in others} == {"Add to the queue"}
    until(lambda: card.result.isVisible())
    state = session.training.state
    assert state is not None
    assert "Measuring PPO past its peak" in state.phases
    card.going.show_state(dataclasses.replace(state, life=Life(status="running")))
    assert card.going.phase.text() == "Training “PPO past its peak”: step 2 of 2"
    assert [line.text()[:1] for line in card.going.stages] == ["✓", "▸"]
    names = {info.name for info in session.runs.list()}
    assert {"Reward model that likes length", "PPO past its peak"} <= names, "its stages are in the list"
    assert card.verdict.text().endswith("goals are reached")
    assert (
        "PPO: good stories gained, up to the peak: 0 points, but the goal is at least 15 points." in card.summary.text()
    )
    assert "as it took here last time" in card.takes.text()

    qtbot.mouseClick(card.result, Qt.MouseButton.LeftButton)
    view = page.result
    assert view.isVisible()
    assert view.title.text() == "Goodhart on a laptop"
    assert "From decoder-only  ·  seed 0" in view.about.text()
    assert "goals mean little" in view.note_words.text(), "random weights are a weak base"

    def top(widget: QWidget) -> int:
        return widget.mapTo(view, QPoint()).y()

    stages, kinds, scorers = (table.texts() for table in view.tables)
    assert [row[0] for row in stages] == ["Base", "Best of n", "PPO past its peak", "PPO, stopped at its peak"]
    assert stages[0][1] == f"0{NBSP}% (0–39)", "of six stories"
    assert len(kinds) == 3
    assert scorers[0][0] == "Reward model that likes length"
    assert stages[1][4] == "–", "its score is the annotator's own"
    titles = [plot.spec.title for plot in sorted(view.plots, key=top)]
    assert titles == [
        "What is optimized: the reward model's score",
        "What was meant: happy, short stories",
        "What is optimized: the annotator's own score",
        "What was meant: happy, short stories",
    ]
    assert max(map(top, view.plots)) < min(map(top, view.tables)), "what it teaches comes first"
    view.plots[1].setFocus()
    qtbot.keyClick(view.plots[1], Qt.Key.Key_Home)
    assert "Best of 1\ngood stories 0" in view.plots[1].accessibleDescription()
    view.grab()

    assert view.stop is not None
    qtbot.mouseClick(view.stop, Qt.MouseButton.LeftButton)
    until(lambda: any(info.name == "PPO past its peak, stopped at step 1" for info in session.runs.list()))
    fork = next(info for info in session.runs.list() if info.name == "PPO past its peak, stopped at step 1")
    assert (fork.status, fork.step) == ("finished", 1)
    until(lambda: tab.run_view.run_id == fork.id)

    again = Session(library)  # as after a restart: nothing but the library tells
    other = RecipesPage(again, theme)
    qtbot.addWidget(other)
    until(lambda: not other.busy)
    assert other.demonstrations["goodhart"].verdict.text() == card.verdict.text()
    other.close()
    again.close()


def test_stopped_and_gone_on_with(
    tab: TrainingTab,
    base: str,
    session: Session,
    went: list[Route],
    library: Library,
    qtbot: QtBot,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(taught.STEPS, "rm_few", 3)
    clicked, work = threading.Event(), RunJob.events

    def held_until_clicked(run: RunJob) -> Iterator[Event]:
        for event in work(run):
            yield event
            assert not isinstance(event, RunStarted) or clicked.wait(60)

    monkeypatch.setattr(RunJob, "events", held_until_clicked)
    mine = Pair(prompt=({"role": "user", "content": "Say it"},), a=Reply(content="a"), b=Reply(content="b"), choice="a")
    skipped = dataclasses.replace(mine, id="x", choice="skip")
    PreferenceSet(library, "Mine").add([mine, skipped])
    PreferenceSet(library, "Nothing").add([skipped])
    tab.recipes.reload()
    card = tab.recipes.demonstrations["taught"]
    until(lambda: card.own.count() == 2)
    assert card.own.itemText(1) == "Mine  ·  1 choice"
    qtbot.mouseClick(card.judge, Qt.MouseButton.LeftButton)
    assert went == [Judge(Candidate(base), Candidate(base))]
    card.own.setCurrentIndex(1)

    def stop(events: tuple[Event, ...]) -> None:
        if any(isinstance(event, RunStarted) for event in events):
            card.going.stop.click()
            clicked.set()

    session.training.events_received.connect(stop)
    press(card, qtbot)
    until(lambda: not session.training.active)
    session.training.events_received.disconnect(stop)
    until(lambda: card.note.text().startswith("Stopped at “Reward model, few pairs”"))
    assert card.note.text().endswith("Start continues from there.")
    assert not card.result.isVisible()
    stopped = [info for info in session.runs.list() if info.is_tuned]
    assert [info.status for info in stopped] == ["stopped"]
    mark = DemonstrationMark(name="taught", base=base, seed=0, n_each=3, own="Mine")
    assert read_stage_mark(stopped[0].folder) == mark
    assert session.training.resume_run(stopped[0].id), "from the list of runs, too, it goes on to its end"
    until(lambda: not session.training.active and not tab.recipes.busy)
    assert card.result.isVisible()
    assert not card.note.isVisible()
    runs = [info for info in session.runs.list() if info.is_tuned]
    assert [info.status for info in runs] == ["finished"] * 5
    kept = next(each for info in runs if (each := read_demonstrated(info.folder)) is not None)
    assert kept.mark == mark
    assert kept.seconds is None, "the rest of it says nothing of the whole"
    assert card.takes.text().startswith("5 min, ")
    assert [base.run_id for base in tab.recipes.demonstrations["refuse"].base.bases] == [base], "no stages among them"
    tab.recipes.show_result("taught")
    assert "1 pair judged by people, 5 pairs by the simulated annotator" in tab.recipes.result.about.text()
    tab.recipes.grab()


def test_stopped_between_two_stages(tab: TrainingTab, session: Session, qtbot: QtBot, until: Until) -> None:
    card = tab.recipes.demonstrations["goodhart"]
    session.training.changed.connect(
        lambda: (
            card.going.stop.click() if "Writing 4" in card.going.phase.text() and card.going.stop.isEnabled() else None
        )
    )
    press(card, qtbot)
    until(lambda: not session.training.active)
    state = session.training.state
    assert state is not None
    assert state.status == "stopped"
    assert tab.focusWidget() is card.start, "and not a button of another recipe"
    until(lambda: "Writing 4 stories for each of 32 prompts" in card.note.text())
    assert not any(info.is_tuned for info in session.runs.list())


def test_a_weak_base_is_named_and_can_be_trained_on(
    tab: TrainingTab, base: str, session: Session, library: Library, qtbot: QtBot, until: Until
) -> None:
    tab.recipes.demonstrations["refuse"].more.setChecked(True)
    choice = tab.recipes.demonstrations["refuse"].base
    assert choice.measure.isVisible()
    write_evaluation(library.runs / base, measured(0.46))
    tab.recipes.reload()
    until(lambda: choice.train.isVisible())
    assert not choice.measure.isVisible()
    assert choice.note.text().startswith(f"It answers 46.0{NBSP}% of the held-out questions: below 97{NBSP}%")
    qtbot.mouseClick(choice.train, Qt.MouseButton.LeftButton)
    dialog = tab.findChild(ForkDialog)
    assert dialog is not None
    assert dialog.form.config.steps == STRONG_STEPS
    dialog.close()
    tab.show_recipes()
    strong = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400, name="strong")
    put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=64, name="short")
    put_model(library, train_tokenizer([""], "byte", 0), "encoder-only", context_length=400)
    write_evaluation(library.runs / strong, measured(0.99))
    tab.recipes.reload()
    until(lambda: len(choice.bases) == 2)
    assert choice.list.currentData() == strong, "what can be is chosen well"
    assert "strong enough" in choice.note.text()
    choice.list.setCurrentIndex(choice.list.findData(base))
    choice.list.activated.emit(choice.list.currentIndex())
    choice.offer(choice.bases[::-1])
    assert choice.list.currentData() == base, "what somebody has chosen stays"


def test_a_base_is_measured_at_the_press_of_a_button(
    tab: TrainingTab, base: str, library: Library, qtbot: QtBot, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrarium.models.recipes.demonstrations import strength

    def quickly(*args: object) -> object:
        yield measured(0.5)

    monkeypatch.setattr(strength, "evaluate", quickly)
    card = tab.recipes.demonstrations["goodhart"]
    card.more.setChecked(True)
    choice = card.base
    until(lambda: not choice.measure.visibleRegion().isEmpty())
    qtbot.mouseClick(choice.measure, Qt.MouseButton.LeftButton)
    assert "Measuring it" in choice.note.text()
    until(lambda: "50.0" in choice.note.text())
    tab.recipes.measurer.start("gone")
    until(lambda: not tab.recipes.busy)
    assert "gone" in tab.recipes.measurer.problem


def test_no_base_no_start(session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> None:
    page = RecipesPage(session, theme)
    qtbot.addWidget(page)
    until(lambda: not page.busy)
    card = page.demonstrations["taught"]
    assert not card.start.isEnabled()
    assert "no model that can chat yet" in card.base.note.text()


def test_what_refusing_came_to(tab: TrainingTab, base: str, library: Library, qtbot: QtBot, until: Until) -> None:
    last = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", name="eroded")
    reports = {
        "base": safety_report(0, 0, 99),
        "helpful": safety_report(98, 0, 99),
        "refuses": safety_report(9, 2, 98, unseen=20),
        "refuses_all": safety_report(2, 63, 95),
        "eroded": safety_report(19, 1, 99),
    }
    result = RefuseResult(
        base=base,
        seed=3,
        reports=reports,
        runs={"helpful": "deleted", "eroded": last},
        seconds=dict.fromkeys(reports, 61.0),
        kl_by_position=[
            {"position": i, "kl": kl, "n": 10} for i, kl in enumerate((6.0, 2.0, 1.0, 0.5, 0.5, 0.0), start=1)
        ],
    )
    mark = DemonstrationMark(name="refuse", base=base, seed=3, n_each=100)
    write_demonstrated(mark, library.runs / last, result, 150.0)
    tab.recipes.reload()
    card = tab.recipes.demonstrations["refuse"]
    until(lambda: card.result.isVisible())
    assert card.verdict.text() == card.result.text() == "All goals are reached"
    assert card.takes.text().startswith("2 min 30 s")
    assert [bar.text for bar in card.bars.bars][:4] == [f"98{NBSP}%", f"0{NBSP}%", f"9{NBSP}%", f"2{NBSP}%"]
    card.result.click()
    view = tab.recipes.result
    plot, positions = view.plots
    [series] = plot.spec.series
    dots = {name: (x, y) for name, x, y in zip(series.labels, series.x, series.y, strict=True)}
    assert dots["Knows what to refuse"] == pytest.approx((2, 9))
    assert dots["Refuses too much"] == pytest.approx((63, 2))
    assert dots["After 20 innocent steps"] == pytest.approx((1, 19))
    assert series.low is not None
    assert series.high is not None
    assert (series.low[2], series.high[2]) == pytest.approx((4.8, 16.2), abs=0.1)
    assert plot.spec.arrows == [(0, 1), (1, 2), (1, 3), (2, 4)]
    plot.chart.pointed.emit(QPointF(series.x[3], series.y[3]))
    assert plot.index == 3
    assert len(positions.spec.series[0].x) == 6
    attacks = {row[0]: row[1:] for row in view.tables[1].texts()}
    assert attacks["The reply has begun already"][:3] == [
        "never trained on",
        f"99{NBSP}% (95–100)",
        f"99{NBSP}% (95–100)",
    ]
    assert attacks["“Please spell it”"][2] == f"20{NBSP}% (13–29)"
    words = " ".join(each.text() for each in view.findChildren(type(view.about)))
    assert "says nothing of a model's safety elsewhere" in words
    assert f"it tells 99{NBSP}% (95–100) of what it must not tell; asked plainly, 9{NBSP}% (5–16)." in words
    assert f"100{NBSP}% lies in their first 5 tokens, which are 83{NBSP}% of the tokens." in words
    assert "safety is shallow" in words
    assert not view.links["helpful"].isEnabled(), "its run was deleted"
    view.grab()
    qtbot.mouseClick(view.links["eroded"], Qt.MouseButton.LeftButton)
    until(lambda: tab.run_view.run_id == last)

    write_demonstrated(
        dataclasses.replace(mark, seed=4), library.runs / base, dataclasses.replace(result, seed=4), None
    )
    tab.show_recipes()
    tab.recipes.show_result("refuse")
    until(lambda: view.list.count() == 2)
    view.list.setCurrentIndex(1)
    view.list.activated.emit(1)
    assert view.shown is not None
    qtbot.mouseClick(view.back, Qt.MouseButton.LeftButton)
    assert tab.focusWidget() is card.result
    (library.runs / base / MARK_FILE).write_text("{")
    tab.recipes.reload()
    until(lambda: not tab.recipes.busy and "1 before" not in card.when.text())  # what is damaged is left out


def test_a_failure_is_a_sentence_on_the_card(
    tab: TrainingTab, base: str, library: Library, qtbot: QtBot, until: Until
) -> None:
    card = tab.recipes.demonstrations["goodhart"]
    (library.runs / base / "tokenizer.json").write_text("{}")
    press(card, qtbot)
    until(lambda: card.problem.isVisible())
    assert card.start.isEnabled()
