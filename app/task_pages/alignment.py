"""Source and target of an encoder-decoder, aligned by its cross-attention."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.names import quoted
from terrarium.app.glass.read_text import ReadText
from terrarium.app.kit.basics import column, frame, label
from terrarium.app.kit.plots.pictures import Floats
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.pill_layout import PillLayout
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event
from terrarium.models.number_words import format_percent

if TYPE_CHECKING:
    from terrarium.models.architecture.transformer import AnyModel

_PAD, _GAP = 5, 4  # pixels inside and between tokens
_NAMED = 0.01
"""The minimum weight that is written under its token."""
_MAX_SPOKEN = 3
_HINT = "Point at a word of one side to see which words of the other it goes with."
_ABOUT = (
    "Cross-attention, the mean of all heads and layers: where it looked, not why. The Attention panel has each head."
)
_LONG = "These texts are too long to be aligned word by word: see the Attention panel."


@dataclass(frozen=True, eq=False)
class Alignment:
    """The tokens of source and target.

    weights: the cross-attention weights, (targets, sources), that predict each target token.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Floats


def align(model: AnyModel, read: ReadText) -> Generator[Event, None, Alignment | None]:
    """Return the alignment of a text; None if it is so long that its attention maps are pooled."""
    from terrarium.models.inspect.attention import read_attention
    from terrarium.models.inspect.attention_maps import MEAN

    # Row i of the attention predicts token i + 1; the first token starts the target, and is not predicted.
    stacks = yield from read_attention(model, read.ids[:-1], read.source_ids)
    cross = next(stack for stack in stacks if stack.kind == "cross")
    if cross.is_pooled:
        return None
    mean: Floats = np.stack([site.weights[MEAN] for site in cross.sites]).mean(axis=0)
    return Alignment(read.source_words, read.words[1:], np.nan_to_num(mean))


class AlignmentCard(QWidget):
    """Computes the alignment of a text and shows it; hidden while there is no text."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._examiner = Examiner(session.worker, session.chat, self)
        self.view = AlignedTokens(theme)
        self.said = label(_HINT, "caption", wrap=True)
        self._about = label(_ABOUT, "caption", wrap=True)
        contents = label("Which words go with which", "subheading"), self.view, self.said, self._about
        self.setLayout(column(frame("card", *contents, margin=SPACE, spacing=SPACE // 2)))
        self._examiner.done.connect(self._show)
        self._examiner.failed.connect(self._on_failed)
        self.view.said.connect(lambda words: self.said.setText(words or _HINT))
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether an alignment is being computed."""
        return self._examiner.busy

    def show_text(self, read: ReadText | None) -> None:
        """Compute and show the alignment of a text; None shows nothing."""
        self._examiner.forget()
        self.hide()
        if read is not None and read.source_ids and len(read.ids) > 1:
            self._examiner.ask(lambda model, tokenizer: align(model, read))

    @Slot(object)
    def _show(self, found: Alignment | None) -> None:
        self.view.show_alignment(found)
        self.view.setVisible(found is not None)
        self._about.setVisible(found is not None)
        self.said.setText(_LONG if found is None else _HINT)
        self.show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.hide()  # the page reports what is wrong with the model


class AlignedTokens(QWidget):
    """The source's tokens above the target's. The pointer or the arrow keys select a token; Escape clears it.

    Signals:
        said(str): the tokens aligned with the selected one; "" for none.
    """

    said = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._found: Alignment | None = None
        self.at: tuple[int, int] | None = None
        """The selected (side, token), with side 0 for the source and 1 for the target."""
        self.setAccessibleName("Source and target. Left and right point at words, up and down change the side.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    def show_alignment(self, found: Alignment | None) -> None:
        """Show another alignment."""
        self._found = found
        self.point_at(None)
        self._restyle()

    def weights(self) -> tuple[int, Floats] | None:
        """Return the other side and its tokens' weights for the selected token; None if no token is selected."""
        if self._found is None or self.at is None:
            return None
        side, token = self.at
        return (1, self._found.weights[:, token]) if side == 0 else (0, self._found.weights[token])

    def point_at(self, at: tuple[int, int] | None) -> None:
        """Select a token of a side, or none."""
        if at != self.at:
            self.at = at
            words = self._describe()
            self.setAccessibleDescription(words)
            self.said.emit(words)
            self.update()

    def _describe(self) -> str:
        other = self.weights()
        if other is None or self._found is None or self.at is None:
            return ""
        side, weights = other
        sides = (self._found.source, self._found.target)
        best = np.argsort(-weights, kind="stable")[:_MAX_SPOKEN].tolist()
        parts = ", ".join(f"{quoted(sides[side][i])} {format_percent(float(weights[i]))}" for i in best)
        word = quoted(sides[1 - side][self.at[1]])
        return f"Writing {word} it looked at {parts}." if side == 0 else f"{word} was looked at when writing {parts}."

    # -- Layout --------------------------------------------------------------------------------------------------------

    @property
    def _sides(self) -> tuple[Sequence[str], Sequence[str]]:
        return ((), ()) if self._found is None else (self._found.source, self._found.target)

    def _heights(self) -> tuple[int, int, int]:
        """Return the heights of a side's name, of a token, and of the number under it, in pixels."""
        name, token = QFontMetrics(self._theme.font(0.9)), QFontMetrics(self._theme.mono_font(0.95))
        return name.height() + 4, token.height() + 4, QFontMetrics(self._theme.font(0.75)).height() + 2

    def _layouts(self) -> list[PillLayout]:
        metrics, number = QFontMetrics(self._theme.mono_font(0.95)), QFontMetrics(self._theme.font(0.75))
        least = number.horizontalAdvance("100 %")
        return [
            PillLayout(
                np.array([max(metrics.horizontalAdvance(w) + 2 * _PAD, least) + _GAP for w in words], np.int64),
                np.zeros(len(words), bool),
                max(self.width(), 80),
            )
            for words in self._sides
        ]

    def _tops(self, layouts: Sequence[PillLayout]) -> tuple[int, int]:
        name, token, number = self._heights()
        return name, 2 * name + SPACE + (layouts[0].n_rows if self._sides[0] else 0) * (token + number)

    def rect_of(self, side: int, token: int) -> QRectF:
        """Return the rectangle of a token."""
        layouts = self._layouts()
        return self._rect(layouts, self._tops(layouts), side, token)

    def _rect(self, layouts: Sequence[PillLayout], tops: tuple[int, int], side: int, token: int) -> QRectF:
        _, height, number = self._heights()
        layout = layouts[side]
        y = tops[side] + layout.row_of(token) * (height + number)
        return QRectF(layout.x_of(token), y, layout.width_of(token) - _GAP, height)

    @Slot()
    def _restyle(self) -> None:
        layouts = self._layouts()
        _, token, number = self._heights()
        rows = layouts[1].n_rows if self._sides[1] else 0
        self.setFixedHeight(self._tops(layouts)[1] + rows * (token + number) + 2)
        self.update()

    def minimumSizeHint(self) -> QSize:
        return QSize(180, self.height())

    def sizeHint(self) -> QSize:
        return QSize(360, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._restyle()

    # -- Painting and input --------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, layouts = self._theme.theme, self._layouts()
        tops, other = self._tops(layouts), self.weights()
        name_height, _, number_height = self._heights()
        for side, words in enumerate(self._sides):
            painter.setFont(self._theme.font(0.9))
            painter.setPen(colors.color("muted"))
            painter.drawText(QPointF(0, tops[side] - name_height / 3), ("Source", "Target")[side])
            for token, word in enumerate(words):
                box = self._rect(layouts, tops, side, token)
                weight = float(other[1][token]) if other is not None and other[0] == side else 0.0
                is_at = self.at == (side, token)
                painter.setPen(QPen(colors.color("accent" if is_at else "border"), 1.5 if is_at else 1))
                painter.setBrush(colors.color("raised"))
                painter.drawRoundedRect(box, 4, 4)
                if weight:
                    painter.setPen(Qt.PenStyle.NoPen)
                    painter.setBrush(colors.color("info", 0.75 * min(weight, 1.0)))
                    painter.drawRoundedRect(box, 4, 4)
                painter.setFont(self._theme.mono_font(0.95))
                painter.setPen(colors.color("text"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, word)
                if weight >= _NAMED:
                    painter.setFont(self._theme.font(0.75))
                    painter.setPen(colors.color("muted"))
                    below = QRectF(box.left() - 8, box.bottom(), box.width() + 16, number_height)
                    painter.drawText(below, Qt.AlignmentFlag.AlignCenter, format_percent(weight))
        if self.hasFocus() and self.at is None:
            painter.setPen(QPen(colors.color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _token_at(self, point: QPointF) -> tuple[int, int] | None:
        layouts = self._layouts()
        tops = self._tops(layouts)
        places = ((side, token) for side, words in enumerate(self._sides) for token in range(len(words)))
        return next((at for at in places if self._rect(layouts, tops, *at).contains(point)), None)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.point_at(self._token_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self.point_at(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        sides = self._sides
        if not sides[0] or not sides[1]:
            super().keyPressEvent(event)
        elif event.key() == Qt.Key.Key_Escape and self.at is not None:
            self.point_at(None)
        elif step is not None:
            side, token = self.at or (1, -1 if step > 0 else 1)
            self.point_at((side, min(max(token + step, 0), len(sides[side]) - 1)))
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            side = 0 if event.key() == Qt.Key.Key_Up else 1
            self.point_at((side, min(self.at[1] if self.at else 0, len(sides[side]) - 1)))
        else:
            super().keyPressEvent(event)
