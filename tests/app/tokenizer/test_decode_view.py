"""The Decode view: tokens and text of pasted ids, invalid entries, and linked highlighting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtGui import QGuiApplication, QTextCursor
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.text.text_box import MAX_LINE_LENGTH
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.tokenizer.decode_view import MAX_SYNC_CHARACTERS, DecodeView
from terrarium.models.tokenizers import encode_prompt, train_tokenizer
from terrarium.models.tokenizers.text.encoded import EncodedText

TEXT = "The cat 🌱 sat.\n<|user|> é"
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["The cat sat on the mat. " * 20], "bpe", 270)


@pytest.fixture
def view(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> DecodeView:
    widget = DecodeView(theme)
    qtbot.addWidget(widget)
    widget.resize(900, 600)
    widget.set_tokenizer(bpe, "bpe")
    widget.show()
    return widget


def test_ids_become_tokens_and_text(view: DecodeView, bpe: Tokenizer) -> None:
    assert view.result is None
    ids = encode_prompt(bpe, TEXT)
    view.ids.editor.set_text(str(ids))
    assert view.output.toPlainText() == TEXT
    assert view.result is not None
    assert view.result.tokens.ids.tolist() == ids
    assert view.counts.text() == f"{len(ids)} ids · {len(TEXT)} characters"
    view.skip_special.setChecked(True)
    assert view.output.toPlainText() == TEXT.replace("<|user|>", "")
    assert "1 special left out" in view.counts.text()
    view.ids.editor.set_text(" ")
    assert view.result is None
    view.set_tokenizer(None, "")
    view.ids.editor.set_text("1 2")
    assert view.result is None


def test_invalid_ids_are_listed_and_linked(view: DecodeView, bpe: Tokenizer) -> None:
    the = encode_prompt(bpe, "The")[0]
    view.ids.editor.set_text(f"é {the} 99999 1.5")
    listed = [view.ids.list.item(i).text() for i in range(view.ids.list.count())]
    assert listed == [
        "“é” (1st) is not a whole number.",
        "There is no token 99,999 (3rd): ids range from 0 to 269.",
        "“1.5” (4th) is not a whole number.",
    ]
    assert view.ids.problem_title.text() == "3 are not ids"
    assert [mark.cursor.selectedText() for mark in view.ids.editor.extraSelections()] == ["é", "99999", "1.5"]
    view.ids.list.itemActivated.emit(view.ids.list.item(1))
    assert view.ids.editor.textCursor().selectedText() == "99999"
    assert view.output.toPlainText() == "The"
    view.ids.editor.set_text("x " * 500)
    assert view.ids.problem_title.text() == "500 are not ids; first 100"
    view.ids.editor.set_text(str(the))
    assert not view.ids.problems.isVisible()


def test_tokens_ids_and_text_are_highlighted_together(view: DecodeView, bpe: Tokenizer) -> None:
    ids = encode_prompt(bpe, TEXT)
    view.ids.editor.set_text(", ".join(map(str, ids)))
    assert view.result is not None
    for index, piece in enumerate(view.result.tokens):
        view.view.pick(index)
        (mark,) = view.ids.editor.extraSelections()
        assert mark.cursor.selectedText() == str(piece.id)
        (mark,) = view.output.extraSelections()
        assert piece.bytes in mark.cursor.selectedText().replace("\u2029", "\n").encode()
    view.view.pick(-1)
    assert not view.ids.editor.extraSelections()
    view.ids.editor.setFocus()
    view.ids.editor.moveCursor(QTextCursor.MoveOperation.End)
    assert view.view.marked == range(len(ids) - 1, len(ids))
    view.skip_special.setChecked(True)  # places in the text are not those in the bytes any more
    view.view.pick(0)
    assert not view.output.extraSelections()


def test_ids_are_taken_from_the_text_and_the_text_is_returned(
    qtbot: QtBot, view: DecodeView, bpe: Tokenizer, until: Until
) -> None:
    assert not view.take.isEnabled()
    view.set_text(TEXT)
    view.take.click()
    assert view.output.toPlainText() == TEXT
    with qtbot.waitSignal(view.text_requested) as wanted:
        view.use.click()
    assert wanted.args == [TEXT]
    view.copy_text()
    assert QGuiApplication.clipboard().text() == TEXT
    long = "The cat sat. " * (MAX_SYNC_CHARACTERS // 4)
    view.set_text(long)
    view.take.click()
    until(lambda: view.result is not None and len(view.result.text) == len(long))
    assert view.result is not None
    assert view.result.text == long
    assert view.result.tokens.ids.tolist() == EncodedText(bpe, long).ids.tolist()
    assert not view.ids.editor.is_truncated


def test_megabytes_are_decoded_in_the_background(view: DecodeView, bpe: Tokenizer, until: Until) -> None:
    the = encode_prompt(bpe, "The")[0]
    written = f"{the} " * max(MAX_SYNC_CHARACTERS, MAX_LINE_LENGTH)
    view.ids.editor.set_text(written)
    assert view.result is None
    view.on_use()  # of nothing that is known
    until(lambda: view.result is not None)
    assert view.ids.editor.is_truncated
    assert view.output.is_truncated
    assert view.truncation.isVisible()
    assert view.result is not None
    assert view.result.text == "The" * max(MAX_SYNC_CHARACTERS, MAX_LINE_LENGTH)
    view.view.pick(len(view.result.tokens) - 1)  # in what is held and not shown
    assert not view.ids.editor.extraSelections()
