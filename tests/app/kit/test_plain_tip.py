"""What users and models have written appears as it is in tooltips, buttons and labels: nothing is HTML or a key."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLabel, QListWidget, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import TIP_WIDTH, add_menu, button, joined_tips, plain_tip
from terrarium.app.kit.dialog import open_progress
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart

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


@pytest.mark.parametrize("first", ["plain", "", "<b>x</b>"])
@pytest.mark.parametrize("second", ["plain", "", "R&D"])
def test_joined_tips_are_html_together(first: str, second: str) -> None:
    joined = joined_tips(plain_tip(first), plain_tip(second))
    assert shown(joined) == "\n".join(filter(None, (first, second)))


def test_a_button_and_its_menu_have_no_keys(theme: ThemeProvider, qtbot: QtBot) -> None:
    widget = button("<b>R&D</b>", theme)
    qtbot.addWidget(widget)
    assert (widget.text(), QPushButton.text(widget)) == ("<b>R&D</b>", "<b>R&&D</b>")
    widget.setText("a && b")
    assert (widget.text(), widget.shortcut().isEmpty()) == ("a && b", True)
    add_menu(widget, theme, [("R&D", "file", HOSTILE, lambda: None)])
    (action,) = widget.menu().actions()
    assert action.text() == "R&&D"
    assert shown(action.toolTip()) == HOSTILE


def test_labels_of_sliders_axes_and_progress_are_verbatim(theme: ThemeProvider, qtbot: QtBot) -> None:
    chart, slider = Chart(theme, x="<b>R&D</b>"), SliderRow("<b>R&D</b>", HOSTILE, 0, 1)
    window = open_progress("Import", "<b>R&D</b>", lambda: None, slider)
    qtbot.addWidget(chart)
    qtbot.addWidget(slider)
    assert chart.getPlotItem().getAxis("bottom").label.toPlainText().strip() == "<b>R&D</b>"
    labels = {each.text(): each.textFormat() for each in slider.findChildren(QLabel)}
    assert labels == dict.fromkeys(("<b>R&&D</b>", "<b>R&D</b>"), Qt.TextFormat.PlainText)
    window.close()
