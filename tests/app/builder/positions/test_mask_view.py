"""Masks as grids: lengths, padding, packing and shading change them, and the row under the pointer is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.builder.positions.mask_view import MaskGrid, MaskView
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.model_config import ModelConfig

DECODER = ModelConfig(context_length=256)
PAIR = dataclasses.replace(DECODER, topology="encoder-decoder")


@pytest.fixture
def view(qtbot: QtBot, theme: ThemeProvider) -> MaskView:
    view = MaskView(theme)
    qtbot.addWidget(view)
    view.resize(560, 420)
    view.show()
    return view


def lengths(view: MaskView) -> list[int]:
    return [view.length.itemData(i) for i in range(view.length.count())]


def visible(view: MaskView) -> list[MaskGrid]:
    return [grid for grid in view.grids if grid.isVisible()]


def choose(view: MaskView, length: int) -> None:
    view.length.setCurrentIndex(lengths(view).index(length))
    view.length.activated.emit(view.length.currentIndex())


def test_lengths_go_up_to_the_context(view: MaskView) -> None:
    view.set_design(DECODER, 100)
    assert lengths(view) == [8, 16, 32, 64, 100, 256]
    assert view.text.length == 16
    choose(view, 256)
    (grid,) = visible(view)
    assert grid.grid is not None
    assert grid.grid.share.shape == (64, 64)
    view.set_design(dataclasses.replace(DECODER, context_length=12), 12)
    assert lengths(view) == [8, 12]
    assert view.text.length == 12
    view.set_design(dataclasses.replace(DECODER, context_length=2), 2)
    assert lengths(view) == [2]


def test_a_window_is_seen_at_once(view: MaskView) -> None:
    view.set_design(dataclasses.replace(DECODER, sliding_window=20), 256)
    assert view.text.length == 64


def test_the_pointer_reads_a_row(qtbot: QtBot, view: MaskView) -> None:
    view.set_design(DECODER, 256)
    (grid,) = visible(view)
    assert "136 of 256 pairs" in view.sentence.text()
    QApplication.processEvents()
    qtbot.mouseMove(grid, grid.cell_rect(2, 5).center().toPoint())
    assert view.sentence.text() == "token 5 sees 0…5: 6 tokens"
    row = [
        grid.grab().toImage().pixelColor(grid.cell_rect(c, r).center().toPoint()).name() for c, r in ((1, 5), (1, 6))
    ]
    assert row[0] != row[1]  # the row that is read stands out
    grid.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(grid, Qt.Key.Key_Down)
    assert view.sentence.text() == "token 6 sees 0…6: 7 tokens"
    qtbot.keyClick(grid, Qt.Key.Key_Escape)
    assert "136 of 256 pairs" in view.sentence.text()


def test_seen_and_hidden_cells_look_different(view: MaskView, theme: ThemeProvider) -> None:
    for mode in ("light", "dark"):
        theme.set_mode(mode)
        view.set_design(DECODER, 256)
        (grid,) = visible(view)
        image = grid.grab().toImage()
        seen, hidden = (image.pixelColor(grid.cell_rect(c, 8).center().toPoint()) for c in (3, 12))
        assert abs(seen.lightness() - hidden.lightness()) > 30
        assert grid.rect().contains(grid.area.toAlignedRect())


def test_padding_and_packing(view: MaskView) -> None:
    view.set_design(DECODER, 256)
    view.padding.setValue(4)
    (grid,) = visible(view)
    assert grid.grid is not None
    assert grid.grid.share[:, 12:].sum() == 4  # only each padding token itself
    view.packed.setChecked(True)
    assert grid.grid.share[8, 2] == 0
    choose(view, 64)
    assert view.text.n_padding == 16  # the same share of the text
    view.set_design(PAIR, 256)
    assert not view.packed.isEnabled()
    assert view.text.second_start == 0
    assert view.packed.toolTip().startswith("Only")


def test_an_encoder_decoder_shows_three_that_fit(view: MaskView, theme: ThemeProvider) -> None:
    theme.apply_theme(view)
    view.set_design(PAIR, 256)
    QApplication.processEvents()
    assert len(visible(view)) == 3
    assert [grid.grid.title for grid in visible(view) if grid.grid] == ["Encoder", "Decoder", "Cross-attention"]
    assert view.minimumSizeHint().width() <= 560
    right = [grid.geometry().right() for grid in visible(view)]
    assert right == sorted(right)
    assert right[-1] < view.width()
    view.set_design(DECODER, 256)
    assert len(visible(view)) == 1


def test_alibi_can_be_drawn_as_shade(view: MaskView) -> None:
    view.set_design(DECODER, 256)
    assert not view.alibi.isVisible()
    view.set_design(dataclasses.replace(DECODER, position="alibi"), 256)
    assert view.alibi.isVisible()
    (grid,) = visible(view)
    assert grid.grid is not None
    assert grid.grid.strength is None
    view.head.setValue(2)
    assert view.shaded.isChecked()
    assert grid.grid.strength is not None
    assert np.all(np.diff(grid.grid.strength[15, :16]) > 0)


def test_in_a_narrow_tab_nothing_is_cut(view: MaskView, qtbot: QtBot) -> None:
    view.set_design(DECODER, 100)
    view.resize(800, 600)
    qtbot.waitUntil(lambda: view.sentence.x() > view.grids[0].x())  # beside the grid
    view.resize(420, 600)
    qtbot.waitUntil(lambda: view.sentence.y() > view.grids[0].y())  # below it
    assert view.width() == 420
    assert view.packed.mapTo(view, view.packed.rect().bottomRight()).x() < 420
