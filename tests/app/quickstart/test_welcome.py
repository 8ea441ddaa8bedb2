from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from pytestqt.qtbot import QtBot

from app.kit.theme import ThemeProvider
from app.quickstart.welcome import Welcome
from app.session.session import Session


@pytest.fixture
def welcome(qtbot: QtBot, session: Session, theme: ThemeProvider) -> Welcome:
    page = Welcome(session, theme)
    qtbot.addWidget(page)
    theme.dress(page)
    page.resize(1280, 590)  # what a window of 1280×720 leaves it
    page.show()
    return page


def test_no_button_is_cut_off_at_any_text_size(welcome: Welcome, theme: ThemeProvider, text_file: Path) -> None:
    buttons = [*welcome.card_buttons, welcome.file_quickstart, welcome.file_run]
    welcome.offer_files((str(text_file),))
    widths = {}
    for scale in (1.0, 1.5, 1.0):
        theme.set_text_scale(scale)
        welcome.card_buttons[0].window().grab()  # lays it out
        assert all(button.width() >= button.sizeHint().width() for button in buttons)
        widths.setdefault(scale, {button.width() for button in buttons})
        assert {button.width() for button in buttons} == widths[scale]
    assert all(len(same) == 1 for same in widths.values())


def test_the_actions_for_a_file_are_visible(
    welcome: Welcome, theme: ThemeProvider, text_file: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    theme.set_text_scale(1.5)
    welcome.offer_files((str(text_file),))

    def seen_whole() -> bool:
        return all(
            button.visibleRegion().boundingRect() == QRect(0, 0, button.width(), button.height())
            for button in (welcome.file_quickstart, welcome.file_run, welcome.card_buttons[0])
        )

    until(seen_whole)
