"""What a quick start shows before there is a model, and how far it is in the top bar."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.home.quickstart_view import QuickStartView
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.events import Phase, ShownText, TextsShown, WordMerges, WordsMerged
from tests.app.home.script import STARTED, Script, trained
from tests.app.measured import measured

Until = Callable[[Callable[[], bool]], None]

TEXTS = tuple(ShownText(text=f"Where is Ben, {i}?", answer=f"In the barn, {i}.") for i in range(5))
BARN = WordMerges(word="barn", states=(("·", "b", "a", "r", "n"), ("·b", "a", "r", "n"), ("·b", "ar", "n")))
HALL = WordMerges(word="hall", states=(("h", "a", "ll"), ("h", "all")))


@pytest.fixture
def view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> QuickStartView:
    view = QuickStartView(session, theme)
    qtbot.addWidget(view)
    view.resize(1100, 760)
    view.show()
    return view


def shown(view: QuickStartView) -> list[str]:
    return [question.text() for question, _ in view.preparing.lines]


def test_texts_and_merges_are_shown_until_it_learns(view: QuickStartView, session: Session, until: Until) -> None:
    script, preparing = Script(session, until), view.preparing
    script.give(Phase(name="Preparing the text"))
    assert preparing.isVisible()
    assert not view.answers.isVisible()
    script.give(TextsShown(texts=TEXTS))
    assert shown(view)[:1] == ["Where is Ben, 0?"]
    for _ in TEXTS:
        preparing.show_more()
    assert shown(view) == [text.text for text in TEXTS]
    assert "As soon as its tokenizer is trained" in preparing.words_about.text()
    script.give(WordsMerged(words=(BARN, HALL)))
    said = []
    for _ in range(6):
        said.append(preparing.merges.accessibleName())
        preparing.show_more()
    assert said == [
        "barn: · b a r n",
        "barn: · b a r n; ·b a r n",
        "barn: · b a r n; ·b a r n; ·b ar n",
        "hall: h a ll",
        "hall: h a ll; h all",
        "barn: · b a r n",
    ]
    script.give(STARTED, measured(0, 0.0))
    assert not preparing.isVisible()
    assert view.answers.isVisible()
    assert view.answers.changed.text() == "This is where it starts."
    script.end()
    another = Script(session, until)
    another.give(Phase(name="Preparing the text"))
    assert shown(view) == []
    assert "appear here in a moment" in preparing.texts_about.text()
    assert preparing.merges.accessibleName() == "", "the words of the one before are gone"
    another.end()


def test_the_first_steps_can_be_spread_out(view: QuickStartView, session: Session, until: Until) -> None:
    script = Script(session, until)
    script.give(STARTED, trained(1), trained(10), trained(100))
    view.loss.refresh()
    assert view.log_axis.isChecked()
    assert list(view.loss.raw.xData) == [0, 1, 2]
    view.log_axis.click()
    assert list(view.loss.raw.xData) == [1, 10, 100]
    assert session.remembered.get("quick start log axis", True) is False
    script.end()


def test_the_top_bar_says_how_far_it_is(session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> None:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    button = window.top_bar.quickstart_button
    script = Script(session, until)
    assert button.text() == "Growing…"
    for step, words in ((137, " 34\N{NO-BREAK SPACE}%"), (399, " 99\N{NO-BREAK SPACE}%")):
        script.give(*([STARTED] if step == 137 else []), trained(step))  # of 400 steps
        assert button.text() == f"Growing…{words}"
        assert button.accessibleName() == f"Quick start, running{words}"
    session.training.pause()
    script.give(trained(399))
    until(lambda: session.training.state.status == "paused")  # type: ignore[union-attr]
    assert button.text() == "Paused 99\N{NO-BREAK SPACE}%"
    session.training.resume()
    script.end()
    assert (button.text(), button.accessibleName()) == ("Quick start", "Quick start")
