"""Bars with intervals: of nothing there is no bar."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars


@pytest.mark.parametrize(("share", "is_drawn"), [(0.0, False), (0.001, True), (0.5, True)])
def test_nothing_has_no_bar(share: float, is_drawn: bool, theme: ThemeProvider, qtbot: QtBot) -> None:
    bars = IntervalBars("Outcomes", theme)
    qtbot.addWidget(bars)
    bars.show_bars([Bar(name="Right", share=share, text="0")])
    bars.resize(400, 40)
    image, tone = bars.grab().toImage(), QColor(theme.theme.accent)
    columns = (x for x in range(image.width()) for y in range(image.height()) if image.pixelColor(x, y) == tone)
    assert any(columns) == is_drawn


def test_bars_above_each_other_begin_at_the_same_x(theme: ThemeProvider, qtbot: QtBot) -> None:
    upper, lower = IntervalBars("The model", theme), IntervalBars("Groups", theme)
    for bars, name in ((upper, "A long name of a rule"), (lower, "new")):
        qtbot.addWidget(bars)
        bars.resize(400, 40)
        bars.show()
        bars.show_bars([Bar(name=name, share=1.0, text="100 %" if bars is upper else "9 %")])

    def ends(bars: IntervalBars) -> tuple[int, int]:
        image, tone = bars.grab().toImage(), QColor(theme.theme.accent)
        middle = image.height() // 2
        columns = [x for x in range(image.width()) if image.pixelColor(x, middle // 2) == tone]
        return columns[0], columns[-1]

    assert ends(upper) != ends(lower)
    upper.align(lower)
    assert ends(upper) == ends(lower)
    upper.hide()
    assert ends(lower)[0] < 100, "what is not shown takes no room"
