"""What is brought into view with a widget."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton, QScrollArea, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import frame, scrolling
from terrarium.app.kit.layout.advanced_settings import reveal

HEIGHT = 400
"""Of the area."""


def card_in_area(height: int, qtbot: QtBot) -> tuple[QScrollArea, QWidget, QPushButton]:
    """An area with a card of a height below what is in view, and a button at the middle of the card."""
    inner, card, button = QWidget(), frame("card"), QPushButton("Start")
    lines = QVBoxLayout(inner)
    lines.addSpacing(2 * HEIGHT)
    lines.addWidget(card)
    lines.addSpacing(2 * HEIGHT)
    card.setFixedHeight(height)
    inside = card.layout()
    assert inside is not None
    inside.addWidget(button)
    area = scrolling(inner)
    area.resize(HEIGHT, HEIGHT)
    qtbot.addWidget(area)
    area.show()
    qtbot.waitExposed(area)
    return area, card, button


def is_whole(widget: QWidget) -> bool:
    return widget.visibleRegion().boundingRect() == widget.rect()


@pytest.mark.parametrize(("height", "fits"), [(HEIGHT // 2, True), (2 * HEIGHT, False)])
def test_the_card_that_a_widget_stands_in_comes_into_view_where_it_fits(height: int, fits: bool, qtbot: QtBot) -> None:
    _, card, button = card_in_area(height, qtbot)
    assert button.visibleRegion().isEmpty()
    reveal(button)
    qtbot.waitUntil(lambda: is_whole(button))
    assert is_whole(card) == fits
