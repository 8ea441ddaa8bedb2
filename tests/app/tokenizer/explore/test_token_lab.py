"""Text to pills: positions, line breaking, folding, linked highlighting, and background encoding."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QTextCursor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.text.text_box import MAX_LINE_LENGTH
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens import token_view
from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.app.kit.tokens.token_view import TokenView
from terrarium.app.tokenizer.encoder import MAX_SYNC_BYTES, Encoder
from terrarium.app.tokenizer.explore.token_lab import ByteStrip, TokenLab
from terrarium.app.tokenizer.text_offsets import TextOffsets
from terrarium.models.tokenizers import decode, token_pieces, train_tokenizer
from terrarium.models.tokenizers.text.encoded import EncodedText

TEXT = "The naïve café 🌱 grows.\n<|user|> Who?\n\nno"


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["the cat and the hat sat on the mat. " * 20], "bpe", 300)


def test_bytes_and_positions_agree_with_counting() -> None:
    text = TEXT + "𝄞é"
    offsets = TextOffsets(text)
    assert offsets.n_bytes == len(text.encode())
    unit, byte = 0, 0
    for character in text:
        size, units = len(character.encode()), len(character.encode("utf-16-le")) // 2
        for inside in range(size):
            assert offsets.units(byte + inside, byte + inside + 1) == (unit, unit + units)
        for inside in range(units):
            assert offsets.byte_at(unit + inside) == byte
        unit, byte = unit + units, byte + size
    assert offsets.byte_at(unit) == byte


def test_rows_break_as_greedy_filling_does() -> None:
    rng = random.Random(3)
    for _ in range(50):
        n = rng.randrange(60)
        widths = [rng.randrange(5, 130) for _ in range(n)]
        ends = [rng.random() < 0.1 for _ in range(n)]
        rows: list[list[int]] = []
        room, fresh = 0, True
        for i, width in enumerate(widths):
            if fresh or room < width:
                rows.append([])
                room = 100
            rows[-1].append(i)
            room -= width
            fresh = ends[i]
        layout = PillLayout(np.array(widths, np.int64), np.array(ends, bool), 100)
        assert [list(layout.pills_in(row)) for row in range(layout.n_rows)] == rows
        for row, pills in enumerate(rows):
            for i in pills:
                assert layout.row_of(i) == row
                assert layout.at(layout.x_of(i) + 1, row) == i
            assert layout.at(sum(widths[i] for i in pills) + 1, row) is None
        parts = PillLayout(np.array(widths, np.int64), np.array(ends, bool), 100, batch_size=7)
        while not parts.is_complete:
            assert parts.n_laid_out < n
            parts.extend(5)
        assert [list(parts.pills_in(row)) for row in range(parts.n_rows)] == rows


def test_very_long_texts_are_laid_out_in_parts(
    qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_view, "BATCH_SIZE", 10)
    view = TokenView(theme)
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.show()
    pieces = token_pieces(bpe, TEXT * 20)
    view.set_pieces(pieces)
    bar = view.verticalScrollBar()
    begun = bar.maximum()
    qtbot.waitUntil(lambda: view.pills.is_complete)
    assert bar.maximum() > begun
    whole = bar.maximum()
    bar.setValue(whole)
    view.set_show_ids(False)
    view.set_show_ids(True)
    qtbot.waitUntil(lambda: view.pills.is_complete)
    assert bar.maximum() == whole
    view.set_pieces(pieces)
    view.pick(len(pieces) - 1)
    assert view.token_at(QPointF(view.pill_rect(len(pieces) - 1).center())) == len(pieces) - 1


def test_pills_are_hovered_navigated_and_picked(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    view = TokenView(theme)
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.show()
    view.set_pieces(token_pieces(bpe, TEXT))
    for index in (0, 3, 7):
        place = view.pill_rect(index).center()
        assert view.token_at(QPointF(place)) == index
    with qtbot.waitSignal(view.picked) as picked:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.pill_rect(3).center())
    assert picked.args == [3]
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.current == 4
    qtbot.keyClick(view, Qt.Key.Key_End)
    last = len(token_pieces(bpe, TEXT)) - 1
    assert view.current == last
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert view.pills.row_of(view.current) == view.pills.row_of(last) - 1
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.current == -1


def test_tokens_and_text_are_highlighted_together(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    lab = TokenLab(theme)
    qtbot.addWidget(lab)
    lab.resize(600, 400)
    lab.show()
    lab.set_tokenizer(bpe)
    lab.editor.setPlainText(TEXT)
    assert lab.tokens is not None
    assert b"".join(piece.bytes for piece in lab.tokens).decode() == TEXT
    for index, piece in enumerate(lab.tokens):
        lab.view.pick(index)
        (selection,) = lab.editor.extraSelections()
        marked = selection.cursor.selectedText().replace("\u2029", "\n")
        assert piece.bytes in marked.encode()
    theme.set_mode("light" if theme.theme.dark else "dark")
    assert len(lab.editor.extraSelections()) == 1, "another theme keeps it"
    lab.view.pick(-1)
    seedling = lab.editor.document().find("🌱")
    lab.mark_tokens(seedling.selectionStart(), seedling.selectionEnd())
    marked_bytes = b"".join(lab.tokens[i].bytes for i in lab.view.marked)
    assert "🌱".encode() in marked_bytes
    lab.editor.clear()
    assert lab.n_tokens == 0


def test_pointing_at_the_text_marks_its_token(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    lab = TokenLab(theme)
    qtbot.addWidget(lab)
    lab.resize(600, 400)
    lab.show()
    lab.set_tokenizer(bpe)
    lab.editor.setPlainText("the cat sat")
    place = lab.editor.cursorRect().center()
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(place),
        QPointF(lab.editor.viewport().mapToGlobal(place)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(lab.editor.viewport(), move)
    assert lab.view.marked == range(1)


def test_a_click_freezes_the_current_token(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    lab = TokenLab(theme)
    qtbot.addWidget(lab)
    lab.resize(600, 400)
    lab.show()
    lab.set_tokenizer(bpe)
    lab.editor.setPlainText("the cat sat")
    view, told = lab.view, []
    lab.token_changed.connect(told.append)
    qtbot.mouseMove(view.viewport(), view.pill_rect(1).center())
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.pill_rect(1).center())
    qtbot.mouseMove(view.viewport(), view.pill_rect(2).center())
    lab.bytes.hovered.emit(0)
    assert (view.current, set(told)) == (1, {1})
    assert lab.bytes.marked == range(1, 2)
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    lab.bytes.hovered.emit(0)
    assert told[-1] == 0
    assert view.marked == range(1)


def test_bytes_are_mapped_to_tokens(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    strip = ByteStrip(theme)
    qtbot.addWidget(strip)
    strip.resize(2000, strip.sizeHint().height())
    strip.show()
    tokens = EncodedText(bpe, TEXT)
    strip.set_pieces(tokens)
    for index, piece in enumerate(tokens):
        for at in range(piece.start, piece.end):
            assert strip.token_at(8 + at * strip.cell_width + strip.cell_width // 2) == index
    with qtbot.waitSignal(strip.picked) as picked:
        place = QPoint(8 + tokens[3].start * strip.cell_width + 2, 6)
        qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert picked.args == [3]
    strip.resize(200, strip.height())
    last = len(tokens) - 1
    strip.mark(range(last, last + 1))
    assert strip.horizontalScrollBar().value() > 0


def test_texts_too_long_to_edit_are_still_encoded(qtbot: QtBot, theme: ThemeProvider, bpe: Tokenizer) -> None:
    lab = TokenLab(theme)
    qtbot.addWidget(lab)
    lab.resize(600, 400)
    lab.show()
    lab.set_tokenizer(bpe)
    lab.editor.setPlainText("the 🌱 hat")
    lab.editor.moveCursor(QTextCursor.MoveOperation.End)
    pasted = "the cat sat " * (MAX_LINE_LENGTH // 12 + 1)
    data = QMimeData()
    data.setText(pasted)
    with qtbot.waitSignal(lab.encoded):
        lab.editor.insertFromMimeData(data)
    assert lab.text == lab.editor.text == "the 🌱 hat" + pasted
    assert lab.tokens is not None
    assert decode(bpe, lab.tokens.ids.tolist()) == lab.text
    assert lab.editor.isReadOnly()
    lab.view.pick(lab.n_tokens - 1)
    assert lab.editor.extraSelections() == [], "it is not in what is shown"
    lab.editor.edit_beginning()
    assert not lab.editor.isReadOnly()
    assert lab.text == lab.editor.toPlainText() == ("the 🌱 hat" + pasted)[:5000]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "word"])
def test_arrays_equal_pieces(kind: str) -> None:
    tokenizer = train_tokenizer([TEXT * 30], kind, 300)
    tokens, pieces = EncodedText(tokenizer, TEXT), token_pieces(tokenizer, TEXT)
    assert list(tokens) == pieces
    assert tokens[1:4] == pieces[1:4]
    counts = Counter(piece.id for piece in pieces)
    assert {piece.id: n for piece, n in tokens.most_common(999)} == counts
    assert [n for _, n in tokens.most_common(3)] == [n for _, n in counts.most_common(3)]
    assert tokens.occurrences(pieces[0].id) == counts[pieces[0].id]
    assert tokens.occurrences(-1) == 0
    assert tokens.per_token(lambda piece: len(piece.bytes), int).tolist() == [len(piece.bytes) for piece in pieces]
    for at in range(len(TEXT.encode())):
        found = tokens.touching(at, at + 1)
        holders = [i for i, piece in enumerate(pieces) if piece.start <= at < piece.end]
        assert set(holders) <= set(found)


def test_without_a_tokenizer_there_are_no_tokens(qtbot: QtBot, theme: ThemeProvider) -> None:
    lab = TokenLab(theme)
    qtbot.addWidget(lab)
    lab.editor.setPlainText("the cat")
    assert lab.n_tokens == 0


def test_short_texts_are_encoded_at_once(qtbot: QtBot, bpe: Tokenizer) -> None:
    encoder = Encoder()
    came: list[tuple[str, int]] = []
    encoder.encoded.connect(lambda text, pieces: came.append((text, len(pieces))))
    encoder.encode(bpe, "the cat")
    assert came == [("the cat", len(token_pieces(bpe, "the cat")))]


def test_long_texts_are_encoded_in_the_background_and_the_latest_wins(qtbot: QtBot, bpe: Tokenizer) -> None:
    encoder = Encoder()
    long = [f"{i} " + "the cat sat. " * (MAX_SYNC_BYTES // 10) for i in range(4)]
    came: list[str] = []
    encoder.encoded.connect(lambda text, pieces: came.append(text[0]))
    with qtbot.waitSignal(encoder.encoded):
        for text in long:
            encoder.encode(bpe, text)
        assert came == []
    assert came == ["3"]


def test_a_short_text_overtakes_a_long_one(qtbot: QtBot, bpe: Tokenizer) -> None:
    encoder = Encoder()
    came: list[str] = []
    encoder.encoded.connect(lambda text, pieces: came.append(text))
    long = ["the cat sat. " * (MAX_SYNC_BYTES // n) for n in (10, 11)]
    encoder.encode(bpe, long[0])
    encoder.encode(bpe, "")
    assert came == [""]
    with qtbot.waitSignal(encoder.encoded):
        encoder.encode(bpe, long[1])
    assert came == ["", long[1]], "the first long one is heard of no more"


def test_lone_surrogates_do_not_break_it(qtbot: QtBot, bpe: Tokenizer) -> None:
    encoder = Encoder()
    came: list[int] = []
    encoder.encoded.connect(lambda text, pieces: came.append(len(pieces)))
    encoder.encode(bpe, "a\ud83c")
    assert came
