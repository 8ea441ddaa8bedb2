"""Tooltips of what users and models have written say it as it is: nothing in it is read as HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QListWidget, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import TIP_WIDTH, button, plain_tip
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider

HOSTILE = "<h1>a</h1> &amp; <img src='file:///etc/passwd'>\nb  c"


def shown(tip: str) -> str:
    """What Qt shows of a tooltip."""
    if not re.search("[<&]", tip):
        return tip
    document = QTextDocument()
    document.setHtml(tip)
    return document.toPlainText()


@pytest.mark.parametrize("text", [HOSTILE, "plain", "a < b", "<|end|>", "R&D", "two\nlines"])
def test_a_tip_says_what_was_written(text: str) -> None:
    assert shown(plain_tip(text)) == text


def test_a_long_tip_is_wrapped_between_words() -> None:
    text = " ".join(["The share is that of the parent's replies to held-out prompts"] * 4) + "\n" + "x" * 100
    lines = plain_tip(text).split("\n")
    assert " ".join(lines[:-2]) == text.split("\n")[0]
    assert "".join(lines[-2:]) == "x" * 100
    assert max(map(len, lines)) <= TIP_WIDTH


def item_list(theme: ThemeProvider) -> QListWidget:
    items = ItemList("Things", theme)
    items.set_items([Item("key", HOSTILE, "detail")])
    return items


def elided(theme: ThemeProvider) -> QWidget:
    label = ElidedLabel(HOSTILE)
    label.resize(40, 20)
    label.grab()
    return label


@pytest.mark.parametrize("make", [item_list, elided, lambda theme: button("x", theme, tip=HOSTILE)])
def test_widgets_show_it_as_it_is(make: Callable[[ThemeProvider], QWidget], theme: ThemeProvider, qtbot: QtBot) -> None:
    widget = make(theme)
    qtbot.addWidget(widget)
    tip = widget.item(0).toolTip() if isinstance(widget, QListWidget) else widget.toolTip()
    assert shown(tip).startswith(HOSTILE)
    assert html.escape(HOSTILE.split("\n")[0], quote=False) in tip
