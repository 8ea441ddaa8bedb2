"""The page of minimal pairs: the pronoun models differ, any model can be compared, and errors are shown."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.minimal_pairs.answers import NounBars
from terrarium.app.minimal_pairs.minimal_pairs_page import MinimalPairs
from terrarium.app.minimal_pairs.pair_text import attention_columns, column_labels, describe_row, differing_columns
from terrarium.app.minimal_pairs.pronoun_models import PRONOUNS
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from terrarium.models.recipes import pronoun_specs as specs
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.pronoun_specs import KINDS
from terrarium.models.recipes.pronouns import PronounRecipe
from terrarium.models.tasks.pronouns import resolving
from terrarium.models.tasks.pronouns.evaluation import evaluation_pairs
from terrarium.models.tasks.pronouns.pronoun_reading import NounScores
from terrarium.models.tiny_world import pronouns
from terrarium.models.tiny_world.pronouns import Reference, sentences

QUICK = dataclasses.replace(
    specs.TRAINING, steps=2, batch_size=8, eval_batches=1, eval_interval=2, sample_interval=0, checkpoint_interval=2
)


@pytest.fixture(scope="module", autouse=True)
def little_recipe() -> Iterator[None]:
    """The recipe trains for two steps, on every tenth sentence, and evaluates little."""

    def few(*, held_out: bool) -> Iterator[Reference]:
        return itertools.islice(sentences(held_out=held_out), 0, None, 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specs, "TRAINING", QUICK)
        patch.setattr(pronouns, "sentences", few)
        patch.setattr(resolving, "evaluation_pairs", lambda: evaluation_pairs(50))
        yield


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with both pronoun models."""
    home = tmp_path_factory.mktemp("grown")
    list(RunJob(Library(home), PronounRecipe(), device="cpu").events())
    return home


@pytest.fixture
def both_models(grown: Path, library: Library) -> None:
    """Both are there before the session looks."""
    shutil.copytree(grown, library.home)


@pytest.fixture
def page(both_models: None, session: Session, qtbot: QtBot, theme: ThemeProvider) -> MinimalPairs:
    page = MinimalPairs(session, theme)
    qtbot.addWidget(page)
    page.resize(900, 1300)
    page.show()
    qtbot.waitUntil(lambda: page.reading is not None)
    return page


def test_both_models_are_shown_and_the_causal_one_has_no_difference(page: MinimalPairs, qtbot: QtBot) -> None:
    encoder, causal = (page.resolved[topology] for topology in KINDS)
    assert "differ by up to" in encoder.summary.text()
    assert "difference exactly 0" in causal.summary.text()
    assert [verdict.split()[-1] for verdict in causal.bars.verdicts] in (["animal"] * 2, ["street"] * 2)
    assert page.measured.figure(0, "decoder-only") == "50.0\N{NO-BREAK SPACE}%"
    assert page.measured.figure(1, "decoder-only") == "0.0\N{NO-BREAK SPACE}%"
    assert page.measured.figure(3, "decoder-only") == "0"
    assert not page.grow.isVisible()
    reading = page.reading
    assert reading is not None
    assert column_labels(reading)[page.tokens.chosen] == "·it"
    assert len(differing_columns(reading)) == 1
    page.which.buttons.button(1).click()
    assert "the difference of its row is exactly 0" in page.attention.summary.text()
    rows = page.attention.maps.tables[2][: min(differing_columns(reading))]
    assert np.nanmax(np.abs(rows)) == 0


def test_a_click_on_a_token_or_a_cell_chooses_its_row(page: MinimalPairs, qtbot: QtBot) -> None:
    reading = page.reading
    assert reading is not None
    left, top, _ = page.tokens.column_boxes(page.tokens.width())[1]
    qtbot.mouseClick(page.tokens, Qt.MouseButton.LeftButton, pos=QPoint(int(left) + 3, int(top) + 3))
    assert page.tokens.chosen == 1
    assert page.attention.summary.text().startswith("“·animal”")
    qtbot.keyClick(page.tokens, Qt.Key.Key_Right)
    assert page.tokens.chosen == 2
    maps = page.attention.maps
    area = maps.area(1)
    qtbot.mouseClick(maps, Qt.MouseButton.LeftButton, pos=area.topLeft().toPoint() + QPoint(4, 4))
    assert page.tokens.chosen == 0
    qtbot.mouseMove(maps, area.center().toPoint())
    qtbot.waitUntil(lambda: "B − A" in page.attention.summary.text())
    summary = page.attention.summary.text()
    qtbot.keyClick(maps, Qt.Key.Key_Down)
    assert page.attention.summary.text() != summary
    qtbot.keyClick(maps, Qt.Key.Key_Return)
    assert page.tokens.chosen > 0
    qtbot.keyClick(maps, Qt.Key.Key_Right)
    qtbot.keyClick(maps, Qt.Key.Key_Escape)
    assert "B − A" not in page.attention.summary.text()
    page.attention.heads.setCurrentIndex(3)
    page.attention.heads.activated.emit(3)
    assert f"Layer {page.attention.head[0] + 1}" in page.attention.heads.currentText()
    page.attention.scale.buttons.button(1).click()
    page.grab()


def test_sentences_are_read_while_typing(page: MinimalPairs, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.pronouns.answered):
        page.sentences.another.click()
    assert page.sentences.texts[0].split()[:-1] == page.sentences.texts[1].split()[:-1]
    with qtbot.waitSignal(page.pronouns.answered):
        page.sentences.lines[1].setText("The animal slept.")
    assert page.problem.text().startswith("Sentence B: There is no “it”")
    assert page.reading is None
    assert not page.export.isEnabled()
    with qtbot.waitSignal(page.pronouns.answered):
        page.sentences.first.click()
    assert not page.problem.isVisible()
    assert page.export.isEnabled()


def test_figures_and_tables_are_exported(page: MinimalPairs, session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    page.export.export_to(tmp_path / "pair.png", "png")
    assert (tmp_path / "pair.png").stat().st_size > 10_000
    with qtbot.waitSignal(session.notices.notified):
        page.export.export_to(tmp_path / "pair.csv", "csv")
    reading = page.reading
    assert reading is not None
    lines = (tmp_path / "pair.csv").read_text().splitlines()
    assert lines[0] == "layer,head,looking,looking_token,seen,seen_token,A,B,B less A"
    assert len(lines) == 1 + len(reading.columns) ** 2
    columns = attention_columns(reading, 0, 0)
    assert sum(columns["A"][:13]) == pytest.approx(1, abs=1e-5)
    assert list(columns["seen_token"][:13]) == column_labels(reading)


def test_without_an_open_model_it_says_so(page: MinimalPairs, qtbot: QtBot) -> None:
    page.source.buttons.button(1).click()
    assert page.problem.text() == "No model is open: choose one in the chat."
    assert not page.changes.isVisible()
    assert not page.measured.isVisible()


def test_any_open_model_is_compared(page: MinimalPairs, session: Session, qtbot: QtBot) -> None:
    run = next(run for run in session.runs.list() if "causal" in run.name)
    with qtbot.waitSignal(session.chat.model_changed):
        session.chat.open(run.id)
    with qtbot.waitSignal(page.examiner.done):
        page.source.buttons.button(1).click()
    reading = page.reading
    assert reading is not None
    assert page.changes.isVisible()
    page.on_picked(3)
    assert "bit-identical" in page.changes.summary.text()
    page.on_picked(len(reading.columns) - 1)
    assert page.changes.bars.changes
    assert "nats" in page.changes.bars.tip(1)
    assert page.changes.title.text() == "Next token after “.”"
    page.grab()
    with qtbot.waitSignal(page.examiner.failed):
        page.sentences.lines[0].setText("")
    assert page.problem.text() == "The first sentence is empty: write one."


def test_missing_models_are_trained(session: Session, qtbot: QtBot, theme: ThemeProvider) -> None:
    page = MinimalPairs(session, theme)
    qtbot.addWidget(page)
    page.resize(740, 640)
    page.show()
    qtbot.waitUntil(lambda: page.answer is not None)
    assert page.grow.grow.isVisible()
    assert not page.attention.isVisible()
    page.grow.grow.click()
    assert page.grow.growth.active
    assert page.grow.cancel.isVisible()
    qtbot.waitUntil(lambda: page.answer is not None and len(page.answer.models) == 2)
    assert not page.grow.isVisible()
    assert [run.name for run in session.runs.list()] == ["Pronouns, causal", "Pronouns, encoder"]
    assert page.reading is not None


def test_training_stops_after_the_current_step(
    session: Session, qtbot: QtBot, theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specs, "TRAINING", dataclasses.replace(QUICK, steps=5000, eval_interval=5000))
    page = MinimalPairs(session, theme)
    qtbot.addWidget(page)
    page.show()
    qtbot.waitUntil(lambda: page.answer is not None)
    page.grow.grow.click()
    qtbot.waitUntil(lambda: "step" in page.grow.words.text())
    with qtbot.waitSignal(session.training.ended):
        page.grow.cancel.click()
    assert not page.grow.growth.active
    assert len(session.runs.list()) == 1
    qtbot.waitUntil(lambda: page.answer is not None and len(page.answer.models) == 1)
    assert page.grow.grow.text() == "Grow the causal model"
    assert describe_row(page.reading, 0, 0, 0)  # type: ignore[arg-type]
    assert page.grow.title.text().startswith("“Pronouns, encoder” was stopped at step")
    (run,) = session.runs.list()
    page.grow.resume.click()
    qtbot.waitUntil(lambda: session.training.trains(run.id) and session.training.state.step > run.step)  # type: ignore[union-attr]
    with qtbot.waitSignal(session.training.ended):
        page.grow.cancel.click()
    assert len(session.runs.list()) == 1, "it is the same run"


def test_the_models_are_released_some_time_after_the_page_was_left(
    page: MinimalPairs, session: Session, qtbot: QtBot
) -> None:
    kept = [session.models.get(PRONOUNS, topology) for topology in KINDS]
    models = [weakref.ref(loaded.model) for loaded in kept if loaded is not None]
    kept.clear()
    assert len(models) == len(session.models.uses) == 2
    page.hide()
    assert page.departure.isActive()
    qtbot.waitUntil(lambda: not page.pronouns.busy)
    page.departure.timeout.emit()
    qtbot.waitUntil(lambda: all(model() is None for model in models))
    assert session.models.uses == ()
    page.show()
    page.pronouns.ask(("The animal was tired.", "The animal was wide."))
    qtbot.waitUntil(lambda: not page.pronouns.busy)
    assert len(session.models.uses) == 2, "loaded again when they are asked again"


def test_equal_probabilities_decide_nothing(qtbot: QtBot, theme: ThemeProvider) -> None:
    bars = NounBars(theme)
    qtbot.addWidget(bars)
    nouns = ("animal", "street")
    close = NounScores(nouns=nouns, probabilities=(0.495, 0.505), scores=(1.0, 1.02))
    clear = NounScores(nouns=nouns, probabilities=(0.95, 0.05), scores=(3.0, 0.0))
    bars.show_nouns((close, clear))
    assert bars.verdicts == ["A: undecided between the street and the animal", "B: “it” is the animal"]
