"""Input tokens in a few rows: a text that needs more of them is shown from its end."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.glass.tokens.token_strip import TokenStrip
from terrarium.app.kit.basics import column
from terrarium.app.kit.theme import ThemeProvider
from tests.app.heard import Until


def test_a_long_text_is_shown_from_its_end(theme: ThemeProvider, qtbot: QtBot, until: Until) -> None:
    page, strip = QWidget(), TokenStrip("Tokens", theme, max_rows=3)
    page.setLayout(column(strip, None))
    qtbot.addWidget(page)
    page.resize(200, 400)
    page.show()
    words = [f"·word{i}" for i in range(60)]
    strip.show_tokens(range(60), words)
    rows = strip.height()
    until(lambda: strip.verticalScrollBar().maximum() > 0)
    bar = strip.verticalScrollBar()
    until(lambda: bar.value() == bar.maximum())
    assert strip.pill_rect(59).bottom() < rows
    inside = strip.viewport().rect()
    seen = [strip.pill_rect(i) for i in range(60) if strip.pill_rect(i).intersects(inside)]
    assert all(inside.contains(rect) for rect in seen), "no row is cut"
    assert len({rect.top() for rect in seen}) == 3, "all rows of its height are filled"
    page.resize(130, 400)
    until(lambda: strip.width() == 130 and bar.value() == bar.maximum())
    assert strip.pill_rect(59).bottom() < strip.height(), "also when it is narrower and has more rows"
