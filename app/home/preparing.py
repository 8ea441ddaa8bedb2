"""The preparation of a quick start: samples of the training text, and words being merged into tokens."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QFontMetricsF, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from terrarium.app.kit.basics import (
    column,
    group,
    label,
    prefers_reduced_motion,
    row,
    scrolling,
    titled_card,
)
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.training_state import TrainingState
from terrarium.models.events import ShownText, WordMerges

_EVERY_MS = 1100
"""The interval between texts and between merges: about the time it takes to read a line."""
_NOT_YET = "Its first pieces appear here in a moment."
_PAD, _GAP, _RADIUS = 9.0, 4.0, 6.0
_ENLARGED = 1.2


class Preparing(QWidget):
    """Two cards: texts that appear one after the other, and a word that is merged step by step, then the next word.

    lines: the labels of each shown text and its answer.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._texts: tuple[ShownText, ...] = ()
        self._words: tuple[WordMerges, ...] = ()
        self._n_shown = self._word = self._step = 0
        self.texts_about = label(_NOT_YET, "muted", wrap=True)
        self.lines: list[tuple[QLabel, QLabel]] = []
        self._body = column(None)
        self.texts = named(scrolling(group(self._body)), "Pieces of what it is to learn from")
        self.words_about = label("", "muted", wrap=True)
        self.merges = _MergesFigure(theme)
        texts = "What it will learn from", self.texts_about, self.texts
        words = "How a word becomes tokens", self.words_about, self.merges
        self._texts_card, words_card = (
            titled_card(title, *widgets, margin=2 * SPACE, spacing=SPACE)  # the margins of the card above
            for title, *widgets in (texts, words)
        )
        self.setLayout(row(self._texts_card, words_card, spacing=2 * SPACE, grows={self._texts_card: 3, words_card: 2}))
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self.show_more)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def show_state(self, state: TrainingState) -> None:
        """Show the data and the tokenizer of a quick start, as far as they are known."""
        if state.texts is not self._texts:
            self._show_texts(state.texts, of_files=bool(state.files))
        if state.words is not self._words:
            self._words, self._word, self._step = state.words, 0, 0
            self._show_word()
        self.words_about.setText(
            "The tokenizer has just learned which pieces occur together most often, and joins them in that order."
            if self._words
            else "A model reads pieces, not letters. As soon as its tokenizer is trained, words of the text are put "
            "together here, merge by merge."
        )

    def _show_texts(self, texts: Sequence[ShownText], *, of_files: bool) -> None:
        self._texts, self._n_shown = tuple(texts), 0
        for lines in self.lines:
            for each in lines:
                self._body.removeWidget(each)
                each.deleteLater()
        self.lines = []
        self.texts_about.setText(
            _NOT_YET
            if not texts
            else "The first passages of your text:"
            if of_files
            else "A small world is being made up: people, places, and what happens there. Questions about it, each "
            "with its right answer:"
        )
        for _ in texts if prefers_reduced_motion() else texts[:2]:
            self._show_next_text()

    @Slot()
    def show_more(self) -> None:
        """Show the next text, and the next merge or word."""
        self._show_next_text()
        if not self._words:
            return
        if self._step + 1 < len(self._words[self._word].states):
            self._step += 1
        else:
            self._word, self._step = (self._word + 1) % len(self._words), 0
        self._show_word()

    def _show_next_text(self) -> None:
        if self._n_shown == len(self._texts):
            return
        text = self._texts[self._n_shown]
        self._n_shown += 1
        said, answer = (text.text, f"→ {text.answer}") if text.answer else ("", text.text)
        lines = label(said, "muted", wrap=True), label(answer, wrap=True)
        top = 0 if text.answer else 2 * len(self.lines)  # questions: the newest on top; passages: in order
        self.lines.append(lines)
        for i, each in enumerate(lines):
            self._body.insertWidget(top + i, each)
            each.setVisible(bool(each.text()))  # immediately, not in the next turn of the event loop

    def _show_word(self) -> None:
        if not self._words:  # drop those of an earlier quick start
            self.merges.show_states("", (), 0)
            return
        word = self._words[self._word]
        self.merges.show_states(word.word, word.states[: self._step + 1], len(word.states))


class _MergesFigure(QWidget):
    """The rows of the merges of a word so far; the piece created by the last merge is filled."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._states: Sequence[Sequence[str]] = ()
        self._n_rows = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("No word yet")
        theme.theme_changed.connect(self.update)

    def show_states(self, word: str, states: Sequence[Sequence[str]], n_rows: int) -> None:
        """Show a word's pieces: its characters, then after each merge, with space for `n_rows` rows; "" for no word."""
        self._states, self._n_rows = states, n_rows
        self.setAccessibleName(f"{word}: " + "; ".join(" ".join(state) for state in states) if word else "")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 240)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 140)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._states:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self._theme.mono_font()
        font.setPointSizeF(_ENLARGED * font.pointSizeF())
        widest = self._width(self._states[0], QFontMetricsF(font))
        if widest > self.width():
            font.setPointSizeF(max(font.pointSizeF() * self.width() / widest, 6.0))
        painter.setFont(font)
        height = QFontMetricsF(font).height() + 6
        step = min((self.height() - height) / max(self._n_rows - 1, 1), 1.7 * height)
        before: list[tuple[int, int]] = []
        for index, state in enumerate(self._states):
            spans = _spans(state)
            is_last = index == len(self._states) - 1
            new = [span for span in spans if index and span not in before]
            self._paint_row(painter, state, [span in new for span in spans], index * step, height, is_last)
            before = spans

    def _paint_row(
        self, painter: QPainter, state: Sequence[str], is_new: Sequence[bool], top: float, height: float, is_last: bool
    ) -> None:
        colors, metrics, left = self._theme.theme, QFontMetricsF(painter.font()), 1.0
        for piece, new in zip(state, is_new, strict=True):
            box = QRectF(left, top + 1, metrics.horizontalAdvance(piece) + 2 * _PAD, height - 2)
            painter.setPen(self._theme.pen("accent" if new else "border_strong" if is_last else "border"))
            painter.setBrush(colors.color("accent_soft" if new else "surface"))
            painter.drawRoundedRect(box, _RADIUS, _RADIUS)
            painter.setPen(colors.color("accent" if new else "text" if is_last else "muted"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, piece)
            left = box.right() + _GAP

    def _width(self, state: Sequence[str], metrics: QFontMetricsF) -> float:
        return sum(metrics.horizontalAdvance(piece) + 2 * _PAD + _GAP for piece in state) + SPACE


def _spans(state: Sequence[str]) -> list[tuple[int, int]]:
    """Return the range of characters of each piece."""
    spans, start = [], 0
    for piece in state:
        spans.append((start, start + len(piece)))
        start += len(piece)
    return spans
