"""Home: what has been grown, what is running, a next step, and ways to start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.home.home import Home
from terrarium.app.home.library_overview import MAX_SHOWN, ModelSummary
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import OpenModel, Route, ShowRun, ShowRunning, TryPronouns
from terrarium.app.session.session import Session
from terrarium.models.evaluation.record import write_evaluation
from terrarium.models.events import Evaluated
from terrarium.models.recipes.recipe_specs import quick_start_spec
from tests.app.home.script import STARTED, Script, trained
from tests.app.small_models import put_model

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def home(qtbot: QtBot, session: Session, theme: ThemeProvider) -> Home:
    page = Home(session, theme)
    qtbot.addWidget(page)
    theme.apply_theme(page)
    page.resize(1280, 590)  # what a window of 1280×720 leaves it
    page.show()
    return page


def test_no_button_is_cut_off_at_any_text_size(home: Home, theme: ThemeProvider, text_file: Path) -> None:
    buttons = [*home.cards.buttons, home.cards.quickstart, home.cards.run]
    home.offer_files((str(text_file),))
    widths = {}
    for scale in (1.0, 1.5, 1.0):
        theme.set_text_scale(scale)
        home.cards.buttons[0].window().grab()  # lays it out
        assert all(button.width() >= button.sizeHint().width() for button in buttons)
        widths.setdefault(scale, {button.width() for button in buttons})
        assert {button.width() for button in buttons} == widths[scale]
    assert all(len(same) == 1 for same in widths.values())


def test_no_button_is_cut_off_while_something_trains(
    home: Home, session: Session, text_file: Path, until: Until
) -> None:
    home.offer_files((str(text_file),))
    script = Script(session, until)
    script.give(STARTED, trained(100))
    home.grab()  # lays it out
    added, width = home.cards.quickstart.text(), home.cards.quickstart.width()
    needed = home.cards.quickstart.sizeHint().width()
    script.end()
    assert added == "Add it to the queue"
    assert width >= needed
    assert home.cards.quickstart.text() == "Quick start with it"


def test_the_actions_for_a_file_are_visible(home: Home, theme: ThemeProvider, text_file: Path, until: Until) -> None:
    theme.set_text_scale(1.5)
    home.offer_files((str(text_file),))

    def seen_whole() -> bool:
        return all(
            button.visibleRegion().boundingRect() == QRect(0, 0, button.width(), button.height())
            for button in (home.cards.quickstart, home.cards.run, home.cards.buttons[0])
        )

    until(seen_whole)
    captions = [each.text() for each in home.cards.findChildren(QLabel)]
    assert any("about 3 minutes on a computer" in words for words in captions), "before it is pressed"


def test_what_was_grown_is_shown_with_what_can_be_done(
    home: Home, session: Session, byte_tokenizer: Tokenizer, went: list[Route], qtbot: QtBot, until: Until
) -> None:
    assert home.quickstart.isVisible()
    assert not home.models.isVisible()
    put_model(session.library, byte_tokenizer, "decoder-only", name="mine")
    write_evaluation(session.library.runs / "mine", Evaluated(accuracy=0.976, kinds=(), seconds=1.0))
    session.runs.changed.emit()
    until(lambda: home.models.isVisible())
    assert not home.quickstart.isVisible()
    row, *others = home.models.rows
    assert (row.name.text(), "Right in 98 of 100 questions" in row.facts.text()) == ("mine", True)
    assert not any(other.isVisible() for other in others)
    for each in (row.chat, row.machine, row.run, home.next_button, home.pronouns):
        qtbot.mouseClick(each, Qt.MouseButton.LeftButton)
    assert went == [OpenModel("mine"), ShowRun("mine", "machine"), ShowRun("mine"), OpenModel("mine"), TryPronouns()]


def test_the_quick_start_is_scrolled_to(
    home: Home, session: Session, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> None:
    home.focus_quickstart()
    assert home.quickstart.hasFocus()
    for i in range(MAX_SHOWN):
        put_model(session.library, byte_tokenizer, "decoder-only", name=f"model {i}")
    session.runs.changed.emit()
    until(lambda: home.models.isVisible())
    home.resize(900, 240)
    assert home.another.visibleRegion().isEmpty()
    home.focus_quickstart()
    until(lambda: home.another.visibleRegion().boundingRect() == home.another.rect())
    assert home.another.hasFocus()


def test_the_next_step_has_the_focus_once_it_is_known(
    session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> None:
    put_model(session.library, byte_tokenizer, "decoder-only", name="mine")
    home = Home(session, theme)
    qtbot.addWidget(home)
    home.show()
    qtbot.waitExposed(home)
    home.focus_first()
    home.refresh()
    until(lambda: home.models.isVisible())
    assert home.focusWidget() is home.next_button


def test_what_could_not_start_is_told(home: Home, session: Session, until: Until) -> None:
    """In a library without a model, too; it does not wait."""
    recipe = quick_start_spec(files=["/nowhere/book.txt"])
    assert session.queue.add_recipe(recipe, "Quick start with book.txt")
    assert home.running.waiting.text() == "1 run waiting"
    session.queue.start()
    until(lambda: home.running.waiting.text() == "1 could not start")
    home.refresh()
    until(lambda: home.next_button.isVisible())
    assert "/nowhere/book.txt is gone" in home.next_sentence.text()
    assert (home.next_button.text(), home.remove.isVisible()) == ("Try again", True)
    assert home.quickstart.isVisible()


def test_what_cannot_be_trained_longer_says_why(home: Home) -> None:
    row = home.models.rows[0]
    learning = ModelSummary(
        id="a", name="A", quality="Still learning", when="", why_not_longer="“A” is still training."
    )
    home.models.show_models((learning,), 1)
    assert (row.longer.isEnabled(), row.longer.toolTip()) == (False, "“A” is still training.")
    home.models.show_models((dataclasses.replace(learning, why_not_longer=""),), 1)
    assert row.longer.isEnabled()


def test_only_the_newest_models_are_rows(home: Home, session: Session, byte_tokenizer: Tokenizer, until: Until) -> None:
    for i in range(MAX_SHOWN + 2):
        put_model(session.library, byte_tokenizer, "decoder-only", name=f"model {i}")
    session.runs.changed.emit()
    until(lambda: home.overview.n_models == MAX_SHOWN + 2)
    assert [row.name.text() for row in home.models.rows] == [f"model {5 - i}" for i in range(MAX_SHOWN)]
    assert home.models.all.text() == f"All {MAX_SHOWN + 2} models"


def test_what_is_running_is_shown_with_how_far_it_is(
    home: Home, session: Session, went: list[Route], until: Until, qtbot: QtBot
) -> None:
    assert not home.running.isVisible()
    script = Script(session, until)
    script.give(STARTED, trained(100))
    assert home.running.isVisible()
    assert "Tiny World" in home.running.words.text()
    assert home.running.progress.value() == 250, "of 1,000"
    assert home.running.left.text() == "1 min 1 s left"
    qtbot.mouseClick(home.running, Qt.MouseButton.LeftButton)
    assert went == [ShowRunning()]
    script.end()
    assert not home.running.isVisible()


def test_missions_take_their_place_and_no_room_before(
    home: Home, session: Session, byte_tokenizer: Tokenizer, until: Until
) -> None:
    def top() -> int:
        home.grab()
        return home.cards.mapTo(home, home.cards.rect().topLeft()).y()

    early = QLabel("Switch a head off")
    home.set_missions(early)
    assert early.isHidden(), "there is no model yet to do them with"
    assert home.guide.isVisible()
    put_model(session.library, byte_tokenizer, "decoder-only", name="mine")
    session.runs.changed.emit()
    until(early.isVisible)
    assert not home.guide.isVisible()
    shown = top()
    early.hide()
    until(lambda: top() != shown)
    before = top()
    for words in ("Find the word it was unsure of", "Make it creative"):
        missions = QLabel(words)
        home.set_missions(missions)
        until(missions.isVisible)
        until(lambda: top() != before)
    shown = [each.text() for each in home.findChildren(QLabel) if each.isVisible()]
    assert "Find the word it was unsure of" not in shown, "it was replaced"
    missions.hide()
    until(lambda: top() == before)


def test_a_design_that_can_leave_is_chosen_before_the_start(home: Home, session: Session, qtbot: QtBot) -> None:
    assert not session.training.quickstart_portable
    assert "minutes more" in home.portable.text()
    home.portable.click()
    assert session.training.quickstart_portable
    assert home.another_portable.isChecked()  # where models are listed, it stands beside the link
    home.another_portable.click()
    assert not session.training.quickstart_portable
    assert not home.portable.isChecked()
