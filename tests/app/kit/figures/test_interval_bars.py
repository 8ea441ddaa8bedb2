"""Bars with intervals: of nothing there is no bar."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.kit.figures.interval_bars import Bar, IntervalBars
from app.kit.theme import ThemeProvider


@pytest.mark.parametrize(("share", "is_drawn"), [(0.0, False), (0.001, True), (0.5, True)])
def test_nothing_has_no_bar(share: float, is_drawn: bool, theme: ThemeProvider, qtbot: QtBot) -> None:
    bars = IntervalBars("Outcomes", theme)
    qtbot.addWidget(bars)
    bars.show_bars([Bar(name="Right", share=share, text="0")])
    bars.resize(400, 40)
    image, tone = bars.grab().toImage(), QColor(theme.theme.accent)
    columns = (x for x in range(image.width()) for y in range(image.height()) if image.pixelColor(x, y) == tone)
    assert any(columns) == is_drawn
