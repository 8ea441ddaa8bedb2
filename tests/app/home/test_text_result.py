"""A quick start on a text: bits per byte against the lines of tables as it learns, and words that follow the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import DoToRun, Route, ShowTokenizer, TunePublished
from terrarium.app.session.session import Session
from terrarium.models.evaluation.text_verdict import sentence_of
from terrarium.models.events import Finished, Noted, SampleMade, TextCompared, TrainMetrics, ValMetrics
from tests.app.home.script import STARTED, Script, trained

Until = Callable[[Callable[[], bool]], None]

TABLES = TextCompared(n_held_out=100_000, n_train=900_000, gzip=2.6, trigram=2.9, table=2.0, table_order=7)
FILES = ("/home/ada/book.txt",)


@pytest.fixture
def view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> QuickStartView:
    view = QuickStartView(session, theme)
    qtbot.addWidget(view)
    view.resize(1280, 590)
    view.show()
    return view


def validated(step: int, bits: float) -> ValMetrics:
    return ValMetrics(step=step, tokens=step, elapsed_s=0.1 * step, loss=3 * bits, bits_per_byte=bits, loss_error=0.1)


def learned(step: int) -> TrainMetrics:
    return dataclasses.replace(trained(step), bits_per_byte=4.0 - step / 200)


def test_its_bits_per_byte_fall_against_the_lines_of_tables(
    view: QuickStartView, session: Session, until: Until
) -> None:
    script = Script(session, until, FILES)
    script.give(TABLES, STARTED, learned(1), validated(1, 4.0), learned(2), validated(2, 3.5), learned(200))
    until(lambda: len(view.bits.history.train) == 3)
    view.bits.refresh()
    assert view.bits.isVisible()
    assert not view.loss.isVisible()
    assert [line.value for line in view.bits.tables] == [2.9, 2.6, 2.0]
    assert math.isnan(view.bits.uniform_guess.value)
    assert view.bits.tables[2].name.toPlainText() == "a table of the last six letters: 2.00"
    top = view.bits.chart.getPlotItem().getViewBox().viewRange()[1]
    assert top[0] < 2.0 < 2.9 < top[1], "all lines are in view"
    script.end()


@pytest.mark.parametrize(
    ("bits", "headline"),
    [(1.9, "Your model has grown"), (2.4, "Your model is half grown"), (3.4, "Your model has hardly begun to grow")],
)
def test_headline_sentence_and_bars_follow_the_comparison(
    view: QuickStartView, session: Session, until: Until, bits: float, headline: str
) -> None:
    script = Script(session, until, FILES)
    sample = SampleMade(step=400, prompt="The", seed=0, text=" end of it", top=())
    script.give(TABLES, STARTED, learned(400), validated(400, bits), sample)
    assert not view.result.isVisible()
    compared = dataclasses.replace(TABLES, model=bits, step=400)
    script.give(Finished(run_id="tiny-world", status="finished", step=400), compared)
    script.end()
    result = view.result.text_result
    assert result.isVisible()
    assert headline in [each.text() for each in view.findChildren(ElidedLabel)]
    assert result.comparison.sentence.text() == sentence_of(compared)
    assert [bar.text for bar in result.comparison.bars.bars] == [f"{one:.2f}" for one in sorted((bits, 2.0, 2.6, 2.9))]
    assert result.sample.text() == "The end of it"
    assert max(bar.share or 0 for bar in result.comparison.bars.bars) == 1.0


def test_one_that_stopped_by_itself_has_a_result_and_one_that_was_stopped_has_none(
    view: QuickStartView, session: Session, until: Until
) -> None:
    script = Script(session, until, FILES)
    stopped = Finished(run_id="tiny-world", status="stopped", step=300)
    script.give(
        TABLES, STARTED, learned(300), validated(300, 1.9), Noted(step=300, event="early stop", detail=""), stopped
    )
    script.give(dataclasses.replace(TABLES, model=1.9, step=250))
    script.end()
    assert view.result.isVisible()
    assert "stopped before step 400" in view.phase.text()

    script = Script(session, until, FILES)
    script.give(TABLES, STARTED, learned(300), validated(300, 1.9), stopped)
    script.end()
    assert not view.result.isVisible()
    assert "Stopped at step 300 of 400" in view.phase.text()


def test_the_result_leads_to_more_training_to_published_models_and_to_its_tokenizer(
    view: QuickStartView,
    session: Session,
    went: list[Route],
    until: Until,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session.runs, "tokenizer_name", {"tiny-world": "Tiny World's"}.get)
    script = Script(session, until, FILES)
    script.give(TABLES, STARTED, dataclasses.replace(TABLES, model=1.9, step=400))
    for card in (view.result.longer, view.result.tune, view.result.tokenizer):
        qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    assert went == [DoToRun("tiny-world", "longer"), TunePublished(FILES), ShowTokenizer("Tiny World's")]
    script.end()
