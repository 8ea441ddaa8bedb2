"""The strip of numbers: in as many rows as its width asks for."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import ThemeProvider

NAMES = ("tokens", "characters", "bytes", "tokens per character", "bytes per token")


def test_nothing_is_cut_off_where_there_is_little_room(qtbot: QtBot, theme: ThemeProvider) -> None:
    strip = StatStrip(dict.fromkeys(NAMES, ""), theme)
    qtbot.addWidget(strip)
    strip.show()
    strip.resize(1000, 80)
    rows_of = {width: _rows(strip, width) for width in (1000, 330, 150)}
    assert rows_of[1000] == 1
    assert 1 < rows_of[330] < rows_of[150]
    strip.set_number("bytes", "17")
    assert strip.number("bytes") == "17"


def _rows(strip: StatStrip, width: int) -> int:
    strip.resize(width, 300)
    strip.layout().activate()  # type: ignore[union-attr]
    cells = strip.cells
    assert [cell.geometry() for cell in cells if cell.geometry().right() >= width] == []
    return len({cell.y() for cell in cells})


def test_a_number_that_is_left_out_takes_no_room(qtbot: QtBot, theme: ThemeProvider) -> None:
    strip = StatStrip(dict.fromkeys(NAMES, ""), theme)
    qtbot.addWidget(strip)
    strip.set_shown("tokens", False)
    strip.show()
    assert _rows(strip, 1000) == 1
    shown = [cell for cell in strip.cells if cell.isVisible()]
    assert shown == strip.cells[1:]
    assert shown[0].x() == 0
    strip.set_shown("tokens", True)
    _rows(strip, 1000)
    assert [cell.x() > 0 for cell in strip.cells] == [False, True, True, True, True]
