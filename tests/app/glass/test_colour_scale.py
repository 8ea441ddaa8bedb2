"""The legend of a colour scale says what it shows."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.kit.theme import ThemeProvider


def test_a_scale_has_a_name_that_is_shown(theme: ThemeProvider, qtbot: QtBot) -> None:
    scale = ColourScale(theme, "sequential", "Probability", "0 %", "100 %")
    qtbot.addWidget(scale)
    assert scale.accessibleName() == "Probability: colours from 0 % to 100 %"
    before, wide = scale.grab().toImage(), scale.sizeHint().width()
    scale.show_values("Effect on the log-probability", "−1.00", "+1.00")
    assert scale.sizeHint().width() > wide
    assert scale.grab().toImage() != before
