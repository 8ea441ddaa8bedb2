"""What "it" is in two sentences: the nouns' probabilities as bars, and the verdict."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.glass.names import share
from app.kit.theme import SPACE, ThemeProvider
from models.pronouns.reading import NounScores

_BAR = 8


class NounBars(QWidget):
    """Of each sentence a verdict, and a row for each noun: its name, its bar from 0 to 100 %, its probability."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._sides: tuple[NounScores, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("What “it” is")
        theme.theme_changed.connect(self._restyle)

    def show_nouns(self, sides: tuple[NounScores, ...]) -> None:
        """Show the nouns of A and of B."""
        self._sides = sides
        self.setAccessibleDescription(". ".join(self.verdicts))
        self._restyle()

    @property
    def verdicts(self) -> list[str]:
        """“A: it is the animal” …"""
        return [f"{name}: “it” is the {side.best}" for name, side in zip("AB", self._sides, strict=False)]

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()

    def _height(self) -> int:
        return QFontMetrics(self._theme.font()).height() + 4

    def sizeHint(self) -> QSize:
        rows = sum(1 + len(side.nouns) for side in self._sides)
        return QSize(260, rows * self._height() + max(0, len(self._sides) - 1) * SPACE)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        y, height = 0.0, self._height()
        for words, side in zip(self.verdicts, self._sides, strict=True):
            painter.setFont(self._theme.font(bold=True))
            painter.setPen(self._theme.theme.color("text"))
            painter.drawText(QRectF(0, y, self.width(), height), Qt.AlignmentFlag.AlignVCenter, words)
            y += height
            for noun, p in zip(side.nouns, side.probabilities, strict=True):
                self._draw_noun(painter, QRectF(0, y, self.width(), height), noun, p, is_best=noun == side.best)
                y += height
            y += SPACE

    def _draw_noun(self, painter: QPainter, line: QRectF, noun: str, p: float, *, is_best: bool) -> None:
        colors, font = self._theme.theme, self._theme.mono_font(0.92)
        metrics = QFontMetrics(font)
        nouns = [noun for side in self._sides for noun in side.nouns]
        left = max(metrics.horizontalAdvance(word) for word in nouns) + 1.5 * SPACE
        number = metrics.horizontalAdvance("<0.0001 %") + SPACE
        painter.setFont(font)
        painter.setPen(colors.color("text" if is_best else "muted"))
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, noun)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, share(p))
        track = QRectF(left, line.center().y() - _BAR / 2, max(line.width() - left - number, 10), _BAR)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        track.setWidth(max(track.width() * p, 1.5))
        painter.setBrush(colors.color("accent" if is_best else "faint"))
        painter.drawRoundedRect(track, min(_BAR / 2, track.width() / 2), _BAR / 2)
