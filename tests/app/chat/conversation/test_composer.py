"""Where one writes, and the bubbles that a text is shown in."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QTextCursor
from pytestqt.qtbot import QtBot

from terrarium.app.chat.conversation.bubble import Bubble
from terrarium.app.kit.text import growing_field
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench


def test_a_long_paste_is_refused_in_a_sentence(bench: Bench, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_field, "MAX_CHARACTERS", 1000)
    field, data = bench.composer.field, QMimeData()
    field.setPlainText("mine")
    data.setText("x" * 10_000_000)
    field.insertFromMimeData(data)
    assert field.toPlainText() == "mine"
    assert "10,000,000 characters; a message can have up to 1,000." in bench.composer.problem.text()
    assert bench.composer.problem.isVisible()
    data.setText("x" * 996)
    field.insertFromMimeData(data)
    assert len(field.toPlainText()) == 1000
    assert not bench.composer.problem.isVisible()


def test_a_long_message_wraps_without_a_bar_over_its_last_line(bench: Bench) -> None:
    field = bench.composer.field
    field.setPlainText("Over the hill and far away a cat sat by a tree. " * 60)
    field.moveCursor(QTextCursor.MoveOperation.End)
    assert field.verticalScrollBar().isVisible()
    assert not field.horizontalScrollBar().isVisible()


def test_an_empty_message_is_not_sent_and_the_button_says_why(qtbot: QtBot, bench: Bench, actor: Actor) -> None:
    bench.composer.field.setPlainText(" \n ")
    assert not bench.composer.send.isEnabled()
    assert bench.composer.send.toolTip() == "Write something first"
    qtbot.keyClick(bench.composer.field, Qt.Key.Key_Return)
    assert actor.asked == []


def test_a_finished_long_reply_is_one_widget(qtbot: QtBot, bench: Bench) -> None:
    bubble, whole = Bubble(bench.theme, mine=False), ""
    qtbot.addWidget(bubble)
    bubble.set_max_width(500)
    for i in range(60):
        piece = f"Sentence number {i} of a long reply. " * 10 + ("\n" if i % 7 == 0 else "\n\n" if i % 11 == 0 else "")
        bubble.append(piece)
        whole += piece
    height = bubble.height()
    assert bubble.text == whole
    bubble.finish()
    assert (bubble.words.toPlainText(), bubble.text, bubble.height()) == (whole, whole, height)
