"""What the difference does to a model's answer: nouns scored at "it", or tokens whose probability differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QVBoxLayout, QWidget

from app.chat.pairs.pair_words import column_words
from app.chat.pairs.pronoun_models import PronounModel
from app.glass.names import share, signed
from app.kit.basics import label
from app.kit.figures.heat_map import colour_table
from app.kit.painted_rows import PaintedRows
from app.kit.theme import SPACE, ThemeProvider
from models.pronouns.reading import NounScores
from models.recipes.pronoun_specs import KINDS

if TYPE_CHECKING:
    from models.inspect.minimal_pair import Change, PairReading

_TITLES = {"encoder-only": "Encoder, reads both ways", "decoder-only": "Causal model, left to right"}
_ABOUT = "Softmax over the nouns' positions, each scored by its state's product with the state at “it”."


_BAR = 8


_CHANGE_BAR = 8
_HEADS = ("in A", "in B", "nats")


class ResolvedCard(QFrame):
    """What "it" is to one of the pronoun models."""

    def __init__(self, topology: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        assert topology in KINDS
        self.setProperty("role", "card")
        self.bars = NounBars(theme)
        self.said = label("", wrap=True)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        lines.setSpacing(SPACE)
        lines.addWidget(label(_TITLES[topology], "subheading"))
        lines.addWidget(self.bars)
        lines.addWidget(self.said)
        lines.addStretch(1)
        lines.addWidget(label(_ABOUT, "caption", wrap=True))

    def show_model(self, model: PronounModel | None) -> None:
        """Show its answers to the two sentences; None where there is no such model."""
        self.bars.setVisible(model is not None and model.nouns is not None)
        if model is None:
            self.said.setText("None has been grown yet.")
        elif model.nouns is None:
            self.said.setText(model.problem)
        else:
            self.bars.show_nouns(model.nouns)
            self.said.setText(_compared(model))


def _compared(model: PronounModel) -> str:
    """How far the scores in both sentences differ, and why."""
    assert model.nouns is not None
    assert model.reading is not None
    first, second = model.nouns
    if first.nouns != second.nouns:
        return "The sentences name other nouns, so their scores are not compared."
    largest = max(abs(a - b) for a, b in zip(first.scores, second.scores, strict=True))
    if largest:
        return f"The scores differ by up to {largest:.3g}: the adjective reaches “it”, though it comes later."
    if not model.reading.is_causal:
        return "The scores are the same in every bit."
    return (
        "The scores are the same in every bit, difference exactly 0: “it” comes before the adjective, and this model "
        "sees only what stands before. Of a pair it gets one right, always."
    )


class ChangesCard(QFrame):
    """Which tokens the open model finds likelier, or less likely, in the second sentence."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.title = label("", "subheading")
        self.bars = ChangeBars(theme)
        self.said = label("", wrap=True)
        self.about = label("", "caption", wrap=True)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        lines.setSpacing(SPACE)
        for widget in (self.title, self.said, self.bars):
            lines.addWidget(widget)
        lines.addStretch(1)
        lines.addWidget(self.about)

    def show_reading(self, reading: PairReading, column: int) -> None:
        """Show the predictions at the token of a column."""
        words, n = column_words(reading)[column], len(reading.predictions)
        if reading.answers_once:
            found, title = reading.predictions[0], "First token that it would write"
        else:
            found = reading.predictions[column] if n else None
            title = f"Next token after “{words}”" if reading.is_causal else f"Guess in the place of “{words}”"
        self.title.setText(title)
        self.bars.setVisible(found is not None and found.largest_logit > 0)
        if not n:
            self.said.setText("This model has no head, so it predicts no tokens.")
        elif found is None:
            self.said.setText("One of the sentences has no token here, so there is nothing to compare.")
        elif not found.largest_logit:
            self.said.setText(
                "All logits are the same in every bit: up to here both sentences are, and a causal model sees only "
                "what stands before. Choose a later token."
            )
        else:
            self.said.setText(f"The largest difference of a logit is {found.largest_logit:.3g}.")
            self.bars.show_changes(found.changes)
        self.about.setText(
            "Probabilities over the whole vocabulary, before any sampling; the tokens whose probability differs most. "
            "The bars show how far its logarithm differs, in nats: right of the line, B finds it likelier."
        )


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


class ChangeBars(PaintedRows):
    """The tokens whose log-probability differs most between two sentences: probabilities, and bars of that."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Tokens whose probability differs most", theme, parent)
        self._changes: tuple[Change, ...] = ()

    def show_changes(self, changes: tuple[Change, ...]) -> None:
        """Show other tokens, the most different one first."""
        self._changes = changes
        said = (f"{c.word} {share(c.first)} to {share(c.second)}" for c in changes)
        self.setAccessibleDescription(", ".join(said))
        self._restyle()

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is shown."""
        return self._changes

    @property
    def _n_rows(self) -> int:
        return 1 + len(self._changes)

    def tip(self, row: int) -> str:
        if not 0 < row <= len(self._changes):
            return ""
        change = self._changes[row - 1]
        return (
            f"{change.word}: probability {share(change.first)} in A and {share(change.second)} in B. Its logarithm "
            f"differs by {signed(change.nats)} nats: the logit's difference, once both are normalised."
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font, high = self._theme.theme, self._theme.mono_font(0.9), self._row_height
        metrics = QFontMetrics(font)
        number = metrics.horizontalAdvance("<0.0001 %") + SPACE
        longest = max((metrics.horizontalAdvance(change.word) for change in self._changes), default=0)
        word = min(longest + 2 * SPACE, int(0.34 * self.width()))
        track = QRectF(word + 2 * number, 0, max(self.width() - word - 3 * number - SPACE, 20), _CHANGE_BAR)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        boxes = [QRectF(word, 0, number - SPACE, high), QRectF(word + number, 0, number - SPACE, high)]
        boxes.append(QRectF(self.width() - number, 0, number, high))
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        for box, head in zip(boxes, _HEADS, strict=True):
            painter.drawText(box, right, head)
        table = colour_table(self._theme, "diverging")
        limit = max((abs(change.nats) for change in self._changes), default=0.0) or 1.0
        painter.setFont(font)
        for i, change in enumerate(self._changes, start=1):
            painter.setPen(colors.color("text"))
            text = metrics.elidedText(change.word, Qt.TextElideMode.ElideRight, word - SPACE)
            painter.drawText(QRectF(0, i * high, word, high), Qt.AlignmentFlag.AlignVCenter, text)
            for box, said in zip(boxes, (share(change.first), share(change.second), signed(change.nats)), strict=True):
                painter.drawText(box.translated(0, i * high), right, said)
            middle = track.center().x()
            end = middle + change.nats / limit * track.width() / 2
            bar = QRectF(min(middle, end), (i + 0.5) * high - _CHANGE_BAR / 2, max(abs(end - middle), 1.0), _CHANGE_BAR)
            painter.fillRect(bar, QColor.fromRgb(int(table[-1 if change.nats > 0 else 0])))
            painter.fillRect(QRectF(middle - 0.5, i * high, 1, high), colors.color("border_strong"))
