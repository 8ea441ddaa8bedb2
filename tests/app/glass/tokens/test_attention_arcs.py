"""The arcs of the attention panel: they lead behind the tokens between their ends."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRect
from pytestqt.qtbot import QtBot

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.tokens.attention_arcs import AttentionArcs
from terrarium.app.kit.theme import ThemeProvider


def test_no_arc_crosses_a_word(theme: ThemeProvider, focus: Focus, qtbot: QtBot) -> None:
    arcs = AttentionArcs(theme)
    qtbot.addWidget(arcs)
    words = [f"word{i}" for i in range(6)]
    arcs.resize(80, 400)  # one word in a line
    arcs.show_texts(words, None, focus)
    bare = arcs.grab().toImage()
    row = np.zeros(len(words), np.float32)
    row[0] = 1.0
    arcs.show_row(row, len(words) - 1, None)
    drawn = arcs.grab().toImage()
    inner = [arcs.rect_of(i).toAlignedRect() for i in range(1, len(words) - 1)]
    assert all(drawn.copy(rect) == bare.copy(rect) for rect in inner)
    between = [QRect(0, one.bottom() + 2, bare.width(), 12) for one in inner]
    assert all(drawn.copy(rect) != bare.copy(rect) for rect in between)
