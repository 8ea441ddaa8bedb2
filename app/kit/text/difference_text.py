"""A reply coloured by the difference of two models' log-probabilities."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QCursor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QToolTip, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.text.word_difference import as_html
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.inspect.spans import Span
from terrarium.models.number_words import format_signed

FULL_COLOUR = 4.0
"""The difference in nats at which a colour has full strength: e⁴ ≈ 55 times the probability. Most differences are
small, so strength grows with the square root: a quarter of this has half the strength."""

_FADED = 0.25
"""Below this share of the full strength, the colour fades into the background."""

_STEPS, _WIDTH, _HEIGHT = 33, 132, 10


class DifferenceText(QLabel):
    """A text that grows while it is generated, and is coloured once both models have scored it.

    Signals:
        hovered(index): the pointer is on the span of this index, −1 for none.
    """

    hovered = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._spans: Sequence[Span] = ()
        self._names = ("", "")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setAccessibleName("Reply")
        self.linkHovered.connect(self._on_hover)
        theme.theme_changed.connect(self._draw)
        self._written = ""

    @property
    def written(self) -> str:
        """The text so far."""
        return self._written

    def clear_text(self) -> None:
        """Clear the text."""
        self._written, self._spans = "", ()
        self._draw()

    def append(self, text: str) -> None:
        """Append text."""
        self._written += text
        self._draw()

    def show_spans(self, spans: Sequence[Span], ours: str, theirs: str) -> None:
        """Colour the text by the scores of two models, named `ours` and `theirs`."""
        self._spans, self._names = spans, (ours, theirs)
        self._draw()

    @Slot()
    def _draw(self) -> None:
        if not self._spans:
            self.setText(as_html(self._written))
            return
        self.setText("".join(self._span_markup(i, span) for i, span in enumerate(self._spans)))

    def _span_markup(self, index: int, span: Span) -> str:
        ground = difference_colour(self._theme, span.ours - span.theirs)
        ink = readable_on(ground)
        style = f"background-color:{ground.name()};color:{ink.name()};text-decoration:none"
        return f'<a href="{index}" style="{style}">{as_html(span.text)}</a>'

    @Slot(str)
    def _on_hover(self, link: str) -> None:
        if not link:
            QToolTip.hideText()
            self.hovered.emit(-1)
            return
        span, (ours, theirs) = self._spans[int(link)], self._names
        words = (
            f"“{span.text}”: {format_signed(span.ours)} nats under {ours}, "
            f"{format_signed(span.theirs)} under {theirs}; "
            f"difference {format_signed(span.ours - span.theirs)}"
        )
        QToolTip.showText(QCursor.pos(), f"<p>{html.escape(words)}</p>", self)
        self.hovered.emit(int(link))

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._on_hover("")
        return super().event(event)


def difference_colour(theme: ThemeProvider, difference: float) -> QColor:
    """Return the colour of a difference in nats; small differences fade into the background."""
    return _colour(theme, math.copysign(math.sqrt(min(abs(difference) / FULL_COLOUR, 1.0)), difference))


def _colour(theme: ThemeProvider, strength: float) -> QColor:
    """Return the colour of a strength from −1 to 1."""
    colour: QColor = theme.diverging_map().map(0.5 + 0.5 * strength, mode="qcolor")
    ground, share = QColor(theme.theme.surface), min(abs(strength) / _FADED, 1.0)
    ours, theirs = (colour.red(), colour.green(), colour.blue()), (ground.red(), ground.green(), ground.blue())
    return QColor(*(round(share * c + (1 - share) * g) for c, g in zip(ours, theirs, strict=True)))


class DifferenceLegend(QWidget):
    """A colour bar from “less likely” to “likelier”. other: the model that the reply's own model is compared with."""

    def __init__(self, theme: ThemeProvider, other: str = "the other", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._less = f"less likely than for {other}  −{FULL_COLOUR:g}"
        self._more = f"+{FULL_COLOUR:g} nats  likelier"
        self.setToolTip(
            plain_tip(
                f"The strongest colours mean {FULL_COLOUR:g} nats or more: 55 times the probability. A quarter of that "
                "has half of the colour."
            )
        )
        self.setAccessibleName(f"Colours: less likely to likelier for the reply's own model than for {other}")
        theme.theme_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._theme.font())
        words = metrics.horizontalAdvance(self._less) + metrics.horizontalAdvance(self._more)
        return QSize(words + _WIDTH + 2 * SPACE, metrics.height() + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._theme.font())
        metrics, middle = painter.fontMetrics(), self.height() // 2
        left = metrics.horizontalAdvance(self._less) + SPACE
        painter.setPen(self._theme.theme.color("muted"))
        centred = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRect(0, 0, left, self.height()), centred, self._less)
        painter.drawText(QRect(left + _WIDTH + SPACE, 0, self.width(), self.height()), centred, self._more)
        for i in range(_STEPS):
            start, end = left + i * _WIDTH // _STEPS, left + (i + 1) * _WIDTH // _STEPS
            rect = QRect(start, middle - _HEIGHT // 2, end - start, _HEIGHT)
            painter.fillRect(rect, _colour(self._theme, 2 * i / (_STEPS - 1) - 1))
        painter.end()
