"""The recipes in the window: started, stopped, resumed, failed, and with what they came to, also after a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.recipes.card import RecipeCard
from terrarium.app.recipes.recipes_page import RecipesPage
from terrarium.app.session.routes import OpenModel, Route, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.events import Event, Finished, Phase, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.metrics.report import Report, Score
from terrarium.models.recipes.mark import RunMark, read_run_mark, write_run_mark
from terrarium.models.recipes.recipe_specs import task_spec
from terrarium.models.recipes.tasks import running
from terrarium.models.recipes.tasks.published import ALL_RECIPES
from terrarium.models.recipes.tasks.results import (
    ALL,
    GroupScores,
    TaskResult,
    read_result,
    write_result,
)
from terrarium.models.recipes.tasks.tasks_table import Bar, TaskRecipe, with_steps
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import Heard, Until, long
from tests.app.leading import FewTabs
from tests.models.recipes.small_recipes import N_ROWS, few_rows, small
from tests.runs_on_disk import make_run

STEPS = 6


@pytest.fixture(scope="module")
def mood() -> Iterator[TaskRecipe]:
    """A recipe of seconds, whose dataset is as small."""
    recipe = small("mood")
    recipe = dataclasses.replace(recipe, train=with_steps(recipe.train, STEPS))
    with few_rows(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "ALL_RECIPES", {**running.ALL_RECIPES, "mood": recipe})
        yield recipe


@pytest.fixture
def page(session: Session, theme: ThemeProvider, qtbot: QtBot, mood: TaskRecipe) -> RecipesPage:
    return shown(session, theme, qtbot, {"mood": mood})


def shown(session: Session, theme: ThemeProvider, qtbot: QtBot, recipes: dict[str, TaskRecipe]) -> RecipesPage:
    page = RecipesPage(session, theme, recipes)
    theme.apply_theme(page)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    return page


def press(card: RecipeCard, qtbot: QtBot) -> None:
    assert card.start.isEnabled()
    qtbot.mouseClick(card.start, Qt.MouseButton.LeftButton)


def test_learned_at_the_press_of_a_button(
    page: RecipesPage,
    session: Session,
    theme: ThemeProvider,
    went: list[Route],
    until: Until,
    qtbot: QtBot,
    library: Library,
) -> None:
    card = page.cards["mood"]
    assert not card.details.isVisible()
    qtbot.mouseClick(card.more, Qt.MouseButton.LeftButton)
    assert card.details.isVisible()
    assert card.none.isVisible()
    press(card, qtbot)
    assert card.going.progress.isVisible()
    assert not card.start.isVisible()
    until(lambda: card.outcome.isVisible())
    (run,) = session.runs.list()
    result = read_result(run.folder)
    assert result is not None
    assert (run.step, run.status) == (STEPS, "finished")
    outcome = card.outcome
    assert "95 % interval" in outcome.about.text()
    assert f"{N_ROWS} rows, seed 0" in outcome.about.text()
    assert [bar.name for bar in outcome.bars.bars] == [
        "This model",
        "Most frequent label",
        "Naive Bayes",
        "Goal",
    ]
    assert outcome.verdict.text() == "The goal is NOT reached"
    assert card.result.text().endswith("Accuracy  ·  short of the goal")
    assert outcome.reached.text().startswith("✗  Accuracy of “seen”")
    assert [bar.name for bar in outcome.groups.bars] == [f"All ({2 * N_ROWS})", f"unseen ({N_ROWS})"]
    for each in (outcome.scores, outcome.chat):
        qtbot.mouseClick(each, Qt.MouseButton.LeftButton)
    assert went == [ShowRun(run.id, "scores"), OpenModel(run.id)]
    page.grab()

    again = Session(library)  # as after a restart: nothing but the library tells
    other = shown(again, theme, qtbot, {"mood": card.recipe})
    until(lambda: not other.busy)
    assert other.cards["mood"].outcome.number.text() == outcome.number.text()
    assert other.cards["mood"].result.isVisible()
    other.close()
    again.close()


def test_beside_a_training_it_is_queued_and_follows(
    page: RecipesPage,
    session: Session,
    mood: TaskRecipe,
    tiny_spec: RunSpec,
    until: Until,
    qtbot: QtBot,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("terrarium.models.recipes.recipe_specs.ALL_RECIPES", {"mood": mood})
    card = page.cards["mood"]
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state.step >= 1)  # type: ignore[union-attr]
    assert card.start.text() == "Add to the queue"
    card.choices.seed.setValue(3)
    press(card, qtbot)
    assert heard.notices[-1] == f"“{mood.title}” is in the queue and starts after “tiny”."
    (item,) = RunQueue(session.library).items()
    assert item.recipe == task_spec("mood", 3), "it is on disk, also for another launch"
    session.queue.hold()
    session.training.stop()
    until(lambda: not session.training.active)
    assert card.start.text() == "Start"
    session.queue.start()
    until(lambda: not session.training.active and not session.queue.waiting)
    assert not heard.failures
    qtbot.mouseClick(card.more, Qt.MouseButton.LeftButton)
    until(lambda: card.outcome.isVisible())
    assert "seed 3" in card.outcome.about.text()


def test_stopped_and_resumed(page: RecipesPage, session: Session, until: Until, qtbot: QtBot) -> None:
    card = page.cards["mood"]

    def stop(events: tuple[Event, ...]) -> None:
        if any(isinstance(event, RunStarted) for event in events):
            assert card.going.watch.isEnabled()
            card.going.stop.click()

    session.training.events_received.connect(stop)
    press(card, qtbot)
    until(lambda: not session.training.active)
    session.training.events_received.disconnect(stop)
    (run,) = session.runs.list()
    assert run.status == "stopped"
    mark = read_run_mark(run.folder)
    assert mark is not None
    assert (mark.kind, mark.name, mark.result) == ("task", "mood", None)
    assert "stopped before it was scored" in card.note.text()
    assert card.start.isEnabled()
    assert session.training.resume_run(run.id)
    until(lambda: not session.training.active and not page.busy)
    assert card.result.isVisible(), "what was resumed is scored"
    assert [each.status for each in session.runs.list()] == ["finished"]


def test_a_failure_is_a_sentence_on_the_card(page: RecipesPage, until: Until, qtbot: QtBot, tmp_path: Path) -> None:
    card, file = page.cards["mood"], tmp_path / "few.jsonl"
    file.write_text('{"text": "a", "label": "b"}\n')
    card.take([str(file)])
    assert card.note.text() == "Learns from few.jsonl", "that other rows are used can be seen"
    press(card, qtbot)
    until(lambda: card.problem.isVisible())
    assert "too few different rows" in card.problem.text()
    card.choices.rows.setCurrentIndex(0)
    card.choices.rows.activated.emit(0)
    assert card.choices.data == ""


@pytest.fixture
def all_page(session: Session, theme: ThemeProvider, qtbot: QtBot) -> RecipesPage:
    return shown(session, theme, qtbot, dict(ALL_RECIPES))


def test_a_page_that_was_wide_needs_no_more_than_one_column(all_page: RecipesPage, qtbot: QtBot) -> None:
    """Where another page is in view, it would scroll sideways in a narrower window."""
    all_page.resize(1200, 700)
    tiles = [card.start.parentWidget() for card in list(all_page.cards.values())[:2]]
    qtbot.waitUntil(lambda: tiles[0].mapTo(all_page, QPoint()).y() == tiles[1].mapTo(all_page, QPoint()).y())
    assert all_page.minimumSizeHint().width() < 2 * 310


def test_every_recipe_has_a_card(all_page: RecipesPage) -> None:
    assert list(all_page.cards) == list(ALL_RECIPES)
    for name, card in all_page.cards.items():
        assert card.start.accessibleName() == f"Learn {ALL_RECIPES[name].title}"
        assert card.start.isEnabled() == (not card.choices.missing)


def is_whole(card: RecipeCard, page: RecipesPage) -> bool:
    port = page.area.viewport()
    return port.rect().contains(QRect(card.mapTo(port, QPoint()), card.size()))


def test_a_recipe_is_shown_as_a_whole(all_page: RecipesPage, until: Until) -> None:
    for name in ("sentiment", "names"):
        card = all_page.cards[name]
        all_page.show_recipe(name)
        until(lambda card=card: is_whole(card, all_page))  # type: ignore[misc]
        assert (card.open if name == "sentiment" else card.start).hasFocus(), "the file is to be opened first"


def test_what_a_recipe_needs(all_page: RecipesPage, until: Until, tmp_path: Path) -> None:
    film, form = all_page.cards["sentiment"], all_page.cards["format"]
    for card, words in ((film, "Drop the file here"), (form, "Drop the model here")):
        assert not card.start.isEnabled()
        assert words in card.choices.missing
        assert card.open.isVisible()
    damaged = tmp_path / "vaderSentiment-0.5.zip"
    damaged.write_bytes(b"no zip")
    film.take([str(damaged)])
    until(lambda: film.problem.isVisible())
    assert "damaged or no package" in film.problem.text()
    until(lambda: not film.problem.visibleRegion().isEmpty())  # it is scrolled to
    assert not film.start.isEnabled()
    film.take([str(tmp_path)])
    assert "folder without a model" in film.problem.text()
    film.take([str(damaged), str(damaged)])
    assert film.problem.text() == "Drop one file or one model at a time."
    film.take([str(tmp_path / "gone.zip")])
    assert "does not exist any more" in film.problem.text()
    model = tmp_path / "model.gguf"
    model.write_bytes(b"")
    form.take([str(model)])
    assert form.choices.parent_model == str(model)
    assert form.start.isEnabled()


def test_what_was_chosen_stays_in_view(all_page: RecipesPage, until: Until, tmp_path: Path) -> None:
    card = all_page.cards["mood"]
    (tmp_path / "minilm" / "model").mkdir(parents=True)
    (tmp_path / "minilm" / "model" / "config.json").write_text("{}")
    card.take([str(tmp_path / "minilm" / "model")])
    assert card.choices.start.currentText() == "minilm/model"
    assert card.note.text() == "Starts from minilm/model"
    card.more.setChecked(True)
    until(lambda: card.choices.start.width() > 2 * card.choices.seed.width())  # not as narrow as a number
    card.choices.seed.setValue(3)
    assert card.note.text() == "Starts from minilm/model, seed 3"
    card.choices.start.setCurrentIndex(0)
    card.choices.start.activated.emit(0)
    card.choices.seed.setValue(0)
    assert not card.note.isVisible()


def test_all_recipes_are_seen_at_a_glance(all_page: RecipesPage, qtbot: QtBot, until: Until) -> None:
    """In three columns or two, of which one alone is open."""
    all_page.resize(1080, 760)
    cards = [*all_page.cards.values(), *all_page.demonstrations.values()]
    inner = all_page.area.widget()
    until(lambda: 0 < inner.height() < 2 * all_page.area.viewport().height())
    assert len({card.mapTo(inner, QPoint()).x() for card in cards}) == 3
    first, second = cards[:2]
    for card in (first, second):
        qtbot.mouseClick(card.more, Qt.MouseButton.LeftButton)
    assert [card.details.isVisible() for card in (first, second)] == [False, True]
    assert not first.more.isChecked()
    until(lambda: second.details.mapTo(inner, QPoint()).y() > second.mapTo(inner, QPoint()).y() + second.height() - 1)
    assert second.details.width() > 2 * second.width(), "below its row, as wide as all of it"
    all_page.resize(720, 760)
    until(lambda: len({card.mapTo(inner, QPoint()).x() for card in cards}) == 2)
    assert second.details.isVisible()


def report(metric: str, value: float, n: int = 600, **details: object) -> Report:
    score = Score(value=value, interval=(value - 0.01, value + 0.01))
    return Report(headline=metric, n=n, scores={metric: score}, details=details)


def write(library: Library, day: int, groups: dict[str, tuple[float, float]], bars: tuple[Bar, ...]) -> str:
    """The id of a run with a result: the scores of the model and of a rule, by group."""
    run = make_run(library, ModelConfig(), f"run {day}", created=f"2026-01-{day:02}T00:00:00")
    outcomes = {"right": 540, "wrong value": 30, "exception": 20, "limit": 6, "not supported": 4}
    write_run_mark(run, RunMark(kind="task", arguments={"name": "code", "seed": 2}))
    scored = {
        group: GroupScores(
            report=report("pass_at_1", own, outcomes=outcomes), baselines={"A rule": report("pass_at_1", rule)}
        )
        for group, (own, rule) in groups.items()
    }
    metric, group = "pass_at_1", list(groups)[-1]
    write_result(
        TaskResult(name="code", seed=2, run=run, seconds=75, metric=metric, group=group, groups=scored, bars=bars)
    )
    return run.name


def test_the_newest_result_beside_those_before(
    session: Session, library: Library, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> None:
    bar = Bar(metric="pass_at_1", value=0.9, group="new")
    write(library, 1, {ALL: (0.5, 0.2), "new": (0.4, 0.1)}, (bar,))
    write(library, 2, {ALL: (0.5, 0.2)}, ())
    newest = write(library, 3, {ALL: (0.95, 0.2), "new": (0.93, 0.1)}, (bar,))
    damaged = library.runs / "run 2"
    (damaged / "recipe.json").write_text('{"name": "code", "seed": 0, "result": {}}')
    page = shown(session, theme, qtbot, dict(ALL_RECIPES))
    until(lambda: not page.busy)
    outcome = page.cards["code"].outcome
    assert (outcome.run_id, outcome.number.text()) == (newest, "93.0\N{NO-BREAK SPACE}%")
    assert outcome.verdict.text() == "The goal is reached"
    assert outcome.reached.text() == "✓  pass@1 of “new”: 93.0\N{NO-BREAK SPACE}% (at least 90.0\N{NO-BREAK SPACE}%)"
    assert "took 1 min 15 s" in outcome.about.text()
    assert [(bar.name, bar.text) for bar in outcome.outcomes.bars][:2] == [("Right", "540"), ("Wrong value", "30")]
    assert len(outcome.outcomes.bars) == 5
    assert outcome.earlier.text() == "Before: 40.0\N{NO-BREAK SPACE}% (seed 2)."
    with pytest.raises(ValueError, match=r"recipe\.json is damaged"):
        read_result(damaged)
    own = write(library, 4, {ALL: (0.7, 0.2)}, ())
    session.runs.changed.emit()
    until(lambda: outcome.run_id == own)
    assert outcome.verdict.isHidden()
    assert outcome.reached.text().startswith("Your own rows")


def test_the_training_tab_leads_there_and_back(
    session: Session, library: Library, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> None:
    run_id = write(library, 1, {ALL: (0.95, 0.2)}, ())
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    theme.apply_theme(tab)
    qtbot.addWidget(tab)
    tab.show()
    until(lambda: tab.runs.runs.is_read)
    qtbot.mouseClick(tab.panel.learn, Qt.MouseButton.LeftButton)
    assert tab.shows_recipes
    until(lambda: not tab.recipes.busy)
    tab.recipes.show_recipe("code")
    assert tab.recipes.cards["code"].start.hasFocus()
    tab.recipes.cards["code"].outcome.scores.click()
    assert tab.pages.currentWidget() is tab.run_view
    assert (tab.run_view.run_id, tab.run_view.views.current) == (run_id, "scores")
    tab.show_recipes()
    assert tab.shows_recipes
    qtbot.mouseClick(tab.panel.new, Qt.MouseButton.LeftButton)
    assert tab.pages.currentWidget() is tab.new_run


def test_a_recipe_that_trains_two_runs(session: Session, until: Until) -> None:
    """As one that is learned from scratch too, to stand beside."""
    seen = []

    def make() -> Iterator[Event]:
        for run_id in ("scratch", "tuned"):
            started = {"name": run_id, "device": "cpu", "precision": "float32", "threads": 1}
            yield RunStarted(run_id=run_id, step=0, total_steps=1, **started)  # type: ignore[arg-type]
            yield TrainMetrics(
                step=1,
                total_steps=1,
                tokens=1,
                elapsed_s=1,
                loss=1,
                lr=1,
                grad_norm=1,
                tokens_per_s=1,
                seconds_left=0,
            )
            yield Finished(run_id=run_id, status="finished", step=1)
            yield Phase(name="Predicting")

    def look(events: tuple[Event, ...]) -> None:
        training = session.training
        assert training.state is not None
        seen.append((training.state.run_id, training.state.status, len(training.history.train)))

    session.training.events_received.connect(look)
    job: Any = SimpleNamespace(events=make)
    session.training.begin(TrainingState(name="two", recipe="sentiment"), lambda: job)
    until(lambda: not session.training.active)
    assert seen[-1] == ("tuned", "evaluating", 1), "the curve is that of the second run"
    state = session.training.state
    assert state is not None
    assert (state.status, state.outcome) == ("finished", "finished")
