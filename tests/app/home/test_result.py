"""A quick start's result: real questions with the model's own answers, the share beside guessing, and what is next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.home.result_words import headline_words, short_question, sums_words
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import OpenModel, Route, ShowRun
from terrarium.app.session.session import Session
from terrarium.models.events import Evaluated, HeldOutAnswer, KindAccuracy
from terrarium.models.tiny_world.questions import KIND_MEANINGS, KIND_TITLES, KINDS
from tests.app.home.script import STARTED, Script
from tests.app.measured import measured

Until = Callable[[Callable[[], bool]], None]


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
