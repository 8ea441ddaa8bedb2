"""The picture fits its view, and then nothing moves any more."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.builder.diagram.diagram_view import DiagramView
from terrarium.app.kit.theme import ThemeProvider

MOST = 6  # fits while a view of one size takes one picture: its own, and one for each scroll bar that comes or goes


class Counting(DiagramView):
    """Gives up, rather than hang, where fitting leads to fitting without end."""

    n_fits = 0

    def fit(self) -> None:
        self.n_fits += 1
        assert self.n_fits <= MOST, (self.size(), self.sceneRect())
        super().fit()


@pytest.mark.parametrize(("width", "height"), [(400, 300), (401, 600), (640, 641), (900, 250)])
def test_fitting_comes_to_an_end_whatever_the_sizes(
    qtbot: QtBot, theme: ThemeProvider, qapp: QApplication, width: int, height: int
) -> None:
    view = Counting(theme)
    qtbot.addWidget(view)
    view.show()
    for across in range(width - 24, width + 24, 4):
        for down in range(height - 24, height + 24, 4):
            for zoom in (0.6, 1.0, 1.35, 1.7, 2.2):  # scales at which a picture of that size would fill the view
                view.n_fits = 0
                view.resize(width, height)
                view.show_marks((), QRectF(0, 0, across / zoom, down / zoom))
                qapp.processEvents()


def test_all_of_it_shows_where_it_can(qtbot: QtBot, theme: ThemeProvider) -> None:
    view = DiagramView(theme)
    qtbot.addWidget(view)
    view.resize(500, 400)
    view.show()
    view.show_marks((), QRectF(0, 0, 600, 380))
    assert view.transform().m11() == pytest.approx(500 / 600)
    assert not view.horizontalScrollBar().isVisible()
    assert not view.verticalScrollBar().isVisible()
    view.show_marks((), QRectF(0, 0, 600, 3000))
    assert view.verticalScrollBar().isVisible()
    assert not view.horizontalScrollBar().isVisible()
    assert view.transform().m11() == pytest.approx(0.6 * theme.text_scale), "not too small to read"
    assert view.verticalScrollBar().maximum() > 0
