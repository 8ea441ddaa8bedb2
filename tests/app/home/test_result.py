"""A quick start's result: real questions with the model's own answers, the share beside guessing, and what is next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.home.result import headline_words, short_question, sums_words
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import DoToRun, OpenModel, Route, ShowRun, ShowTokenizer, TunePublished
from terrarium.app.session.session import Session
from terrarium.models.evaluation.text_verdict import sentence_of
from terrarium.models.events import (
    Evaluated,
    Finished,
    HeldOutAnswer,
    KindAccuracy,
    Noted,
    SampleMade,
    TextCompared,
    TrainMetrics,
    ValMetrics,
)
from terrarium.models.tiny_world.questions import KIND_MEANINGS, KIND_TITLES, KINDS
from tests.app.home.script import STARTED, Script, trained
from tests.app.measured import measured

Until = Callable[[Callable[[], bool]], None]
TABLES = TextCompared(n_held_out=100_000, n_train=900_000, gzip=2.6, trigram=2.9, table=2.0, table_order=7)
FILES = ("/home/ada/book.txt",)


def evaluated(sums: float = 0.08, reply: str = "104") -> Evaluated:
    accuracies = dict.fromkeys(KINDS, 0.966) | {"sums": sums}
    kinds = tuple(
        KindAccuracy(
            kind=kind, n=120, accuracy=share, most_frequent=0.08, last_mentioned=0.43 if kind == "state" else None
        )
        for kind, share in accuracies.items()
    )
    answers = tuple(
        HeldOutAnswer(kind=kind, question=f"About {kind}?", gold="110", reply=reply, right=kind != "sums")
        for kind in KINDS
    )
    return Evaluated(accuracy=0.966, kinds=kinds, seconds=1.0, answers=answers)


@pytest.fixture
def view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> QuickStartView:
    view = QuickStartView(session, theme)
    qtbot.addWidget(view)
    view.resize(1280, 590)
    view.show()
    return view


def test_every_kind_has_a_name_and_a_meaning() -> None:
    assert set(KIND_TITLES) == set(KIND_MEANINGS) == set(KINDS)


def test_the_share_is_said_beside_what_guessing_gets() -> None:
    assert headline_words(evaluated()) == "Right in 97 of 100 questions it had never seen; guessing gets 8."
    nearly = dataclasses.replace(evaluated(), accuracy=0.999)
    assert headline_words(nearly).startswith("Right in 99 of 100"), "not all of them"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Where is Ben?", "Where is Ben?"),
        (f"{'Ben went to the barn. ' * 9}Where is Ben?", "(9 sentences of a story) Where is Ben?"),
        ("Ben " * 60, "Ben " * 60),
    ],
)
def test_a_long_question_is_told_by_its_end(question: str, words: str) -> None:
    assert short_question(question) == words


def test_few_right_sums_are_explained() -> None:
    words = sums_words(evaluated(0.08))
    assert words.startswith("Why only 8 of 100 sums?")
    assert "5 of 100 conversations" in words
    assert "is a number (“104”)" in words
    assert "number" not in sums_words(evaluated(0.08, reply="The door."))
    assert sums_words(evaluated(0.6)) == ""


def test_the_result_shows_real_answers_right_or_wrong(
    view: QuickStartView, session: Session, went: list[Route], until: Until, qtbot: QtBot
) -> None:
    script = Script(session, until)
    script.give(STARTED, measured(400, 0.9))
    assert not view.result.isVisible()
    script.give(evaluated())
    result = view.result
    assert result.isVisible()
    assert "97 of 100" in result.sentence.text()
    sums, facts = result.rows["sums"], result.rows["knowledge"]
    assert (sums.mark.text(), sums.reply.text(), sums.gold.text()) == ("✗", "104", "right would be: 110")
    assert (sums.share.text(), sums.guess.text()) == ("8 of 100", "guessing: 8")
    assert (facts.mark.text(), facts.gold.text()) == ("✓", "")
    assert "43 of 100: always the last thing mentioned" in result.rows["state"].share.toolTip()
    assert result.sums.isVisible()
    for card in (result.chat, result.machine, result.inside):
        qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    assert went == [OpenModel("tiny-world"), ShowRun("tiny-world", "machine"), OpenModel("tiny-world", "next")]
    view.shows.buttons.button(1).click()
    assert not result.isVisible()
    assert view.accuracy.isVisible()
    assert view.answers.isVisible(), "how it came about can still be read"
    view.shows.buttons.button(0).click()
    assert result.isVisible()
    script.end()


def test_an_evaluation_without_answers_still_has_its_shares(
    view: QuickStartView, session: Session, until: Until
) -> None:
    script = Script(session, until)
    script.give(STARTED, dataclasses.replace(evaluated(), answers=()))
    facts = view.result.rows["knowledge"]
    assert (facts.mark.text(), facts.question.text(), facts.share.text()) == ("", "", "97 of 100")
    script.end()


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
