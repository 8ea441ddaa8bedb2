"""What a quick start shows while its model learns: accuracy by kind, replies over time, and a chat from step 0 on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.home.answer_feed import DEFAULT_KIND
from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.routes import OpenModel, Route
from terrarium.app.session.session import Session
from terrarium.models.events import Evaluated, Finished, Phase
from terrarium.models.tiny_world.questions import KINDS, kind_title
from tests.app.home.script import STARTED, Script, trained
from tests.app.measured import measured

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> QuickStartView:
    view = QuickStartView(session, theme)
    qtbot.addWidget(view)
    view.resize(1100, 760)
    view.show()
    return view


@pytest.fixture
def script(session: Session, until: Until, view: QuickStartView) -> Iterator[Script]:
    script = Script(session, until)
    yield script
    script.end()


def test_accuracy_climbs_while_nothing_moves(view: QuickStartView, script: Script) -> None:
    script.give(STARTED)
    assert view.headline.text() == "–"
    assert "not measured yet" in view.accuracy.accessibleName()
    answers = view.answers
    fixed: tuple[QWidget, ...] = (view.headline, view.accuracy, answers, answers.now_area, view.loss, view.chat)
    places = [each.mapTo(view, QPoint()) for each in fixed]
    sizes = [each.size() for each in fixed]
    replies = ("<|assistant|>" * 80, "The " * 80, "The " * 8)
    for i, accuracy in enumerate((0.0, 0.5, 1.0)):
        script.give(*([trained(100 * i)] if i else []), measured(100 * i, accuracy, replies[i]))
        assert view.headline.text() == f"{100 * accuracy:.1f}\N{NO-BREAK SPACE}%"
        assert f"24 questions of each, at step {100 * i:,}" in view.measured_on.text()
        share = f"{100 * accuracy:.1f}\N{NO-BREAK SPACE}%"
        assert f"What changed: {share} of 24 questions" in view.accuracy.accessibleName()
        assert "always the commonest answer 12" in view.accuracy.toolTip()
        for _ in range(2):  # what the first one lays out anew
            assert view.grab().height() == view.height()
        assert [each.mapTo(view, QPoint()) for each in fixed] == places
        assert [each.size() for each in fixed] == sizes
        assert not answers.now_area.horizontalScrollBar().isVisible()
    assert view.loss.isVisible()


def test_the_final_evaluation_takes_its_place(view: QuickStartView, script: Script) -> None:
    last = measured(400, 0.75)
    script.give(STARTED, last)
    script.give(Evaluated(accuracy=0.8, kinds=last.kinds, seconds=3.0))
    assert view.headline.text() == "80.0\N{NO-BREAK SPACE}%"
    assert "after training" in view.measured_on.text()
    view.shows.buttons.button(1).click()
    assert view.answers.isVisible(), "how it came about can still be read"


def test_chat_is_offered_from_the_first_weights_on(
    view: QuickStartView, script: Script, went: list[Route], qtbot: QtBot
) -> None:
    script.give(Phase(name="Training the tokenizer"))
    assert view.chat.isVisible()
    assert not view.chat.isEnabled()
    script.give(Phase(name="Building the model"), STARTED)
    assert view.chat.isEnabled()
    qtbot.mouseClick(view.chat, Qt.MouseButton.LeftButton)
    assert went == [OpenModel(LIVE)]


def test_replies_to_one_question_are_kept_step_by_step(view: QuickStartView, script: Script, qtbot: QtBot) -> None:
    feed = view.answers
    script.give(STARTED, measured(0, 0.0, "<|user|> of of"))
    assert (feed.kind, feed.question.text()) == (DEFAULT_KIND, f"A question of {DEFAULT_KIND}?")
    assert feed.now.text() == "<|user|> of of", "as it is: no markup"
    script.give(trained(100), measured(100, 0.2, ""))
    script.give(trained(200), measured(200, 0.4, "Emma was in\nthe hall."))
    assert feed.now.text() == "Emma was in\nthe hall."
    assert feed.step.text() == "step 200 · right"
    assert [row.text.text() for row in feed.rows] == ["<|user|> of of", "(no text)"]
    feed.choose("state")
    assert feed.question.text() == "A question of state?"
    assert feed.step.text() == "step 200 · wrong"
    assert feed.gold.text() == "Right: state."


def test_a_kind_is_chosen_in_the_chart_or_beside_it(view: QuickStartView, script: Script, qtbot: QtBot) -> None:
    script.give(STARTED, measured(0, 0.0))
    row = view.accuracy.height() // (len(KINDS) + 2)
    qtbot.mouseClick(view.accuracy, Qt.MouseButton.LeftButton, pos=QPoint(40, row // 2))
    assert view.answers.kind == KINDS[0]
    view.accuracy.setFocus()
    qtbot.keyClick(view.accuracy, Qt.Key.Key_Up)
    assert view.answers.kind == KINDS[0]
    for kind in KINDS[1:]:
        qtbot.keyClick(view.accuracy, Qt.Key.Key_Down)
        assert view.answers.kind == kind
        assert f"Answers to “{kind_title(kind)}” are shown" in view.accuracy.accessibleName()
    view.answers.choose("reading")
    assert "Answers to “Reading” are shown" in view.accuracy.accessibleName()


def test_in_a_low_window_the_loss_is_told_in_words(view: QuickStartView, script: Script) -> None:
    script.give(STARTED, trained(3), measured(3, 0.0))
    assert view.loss.isVisible()
    view.resize(1100, 560)
    assert not view.loss.isVisible()
    assert "step 3 of 400" in view.phase.text()
    assert "loss 2.500" in view.phase.text()


def test_the_loss_in_words_is_that_of_the_curve(view: QuickStartView, script: Script) -> None:
    """Not the mean of the last steps, which lags far behind while it falls."""
    losses = [*np.linspace(7.0, 1.5, 30), *[1.5] * 20]
    metrics = [dataclasses.replace(trained(step), loss=float(loss)) for step, loss in enumerate(losses, start=1)]
    script.give(STARTED, *metrics, measured(50, 0.0))
    view.resize(1100, 560)
    view.loss.refresh()
    drawn = view.loss.smooth.getData()[1][-1]
    assert f"loss {drawn:.3f}" in view.phase.text()


def test_a_text_keeps_its_bits_per_byte_and_samples(session: Session, until: Until, view: QuickStartView) -> None:
    script = Script(session, until, files=("words.txt",))
    script.give(STARTED, trained(1))
    assert view.bits.isVisible()
    assert view.samples.isVisible()
    assert not view.accuracy.isVisible()
    view.resize(1100, 500)
    assert view.bits.isVisible()
    script.end()


def test_a_quick_start_that_is_stopped_says_where(view: QuickStartView, script: Script) -> None:
    script.give(STARTED, trained(3), measured(3, 0.0), Finished(run_id="tiny-world", status="stopped", step=3))
    script.end()
    assert view.phase.text().startswith("Stopped at step 3 of 400.")
    assert view.stepper.accessibleName() == "Stage 3 of 5: Training", "it was never evaluated"
