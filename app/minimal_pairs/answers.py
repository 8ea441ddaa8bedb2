"""The effect of the difference on a model's answer: noun scores at “it”, or tokens whose probability differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from terrarium.app.kit.basics import column, label, plain_tip
from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.plots.heat_map import colour_table
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.minimal_pairs.pair_text import column_labels
from terrarium.app.minimal_pairs.pronoun_models import PronounModel
from terrarium.models.number_words import format_prob, format_signed
from terrarium.models.recipes.pronoun_specs import KINDS
from terrarium.models.tasks.pronouns.pronoun_reading import NounScores

if TYPE_CHECKING:
    from terrarium.models.inspect.minimal_pair import PairReading, TokenChange

_TITLES = {"encoder-only": "Encoder, reads both ways", "decoder-only": "Causal model, left to right"}
_ABOUT = "How likely the model finds it that “it” means each noun."
_SCORED = (
    "Each noun's position is scored by the product of its state with the state at “it”; softmax makes them sum to 1."
)

_UNDECIDED = 0.1
"""The minimum difference of the two highest probabilities for a decision."""
_BAR = 8  # pixels
_HEADS = ("in A", "in B", "nats")
_MARGIN = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)


class ResolvedCard(QFrame):
    """A card with the predictions of one pronoun model for “it”."""

    def __init__(self, topology: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        assert topology in KINDS
        self.setProperty("role", "card")
        self.bars = NounBars(theme)
        self.summary = label("", wrap=True)
        about = label(_ABOUT, "caption", wrap=True)
        about.setToolTip(plain_tip(_SCORED))
        title = label(_TITLES[topology], "subheading")
        self.setLayout(column(title, self.bars, self.summary, None, about, margin=_MARGIN))

    def show_model(self, model: PronounModel | None) -> None:
        """Show the model's answers for both sentences; None if there is no such model."""
        self.bars.setVisible(model is not None and model.nouns is not None)
        if model is None:
            self.summary.setText("Not trained yet.")
        elif model.nouns is None:
            self.summary.setText(model.problem)
        else:
            self.bars.show_nouns(model.nouns)
            self.summary.setText(_compared(model))


def _compared(model: PronounModel) -> str:
    """Describe how much the scores differ between the sentences, and why."""
    assert model.nouns is not None
    assert model.reading is not None
    first, second = model.nouns
    if first.nouns != second.nouns:
        return "The sentences have different nouns, so their scores are not compared."
    largest = max(abs(a - b) for a, b in zip(first.scores, second.scores, strict=True))
    if largest:
        return f"The scores differ by up to {largest:.3g}: the adjective affects “it”, though it comes later."
    if not model.reading.is_causal:
        return "The scores are bit-identical."
    return (
        "The scores are bit-identical, difference exactly 0: “it” comes before the adjective, and this model sees only "
        "earlier tokens. It always gets exactly one of a pair right."
    )


class ChangesCard(QFrame):
    """A card of the tokens whose probability in the open model differs most between the sentences."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.title = label("", "subheading")
        self.bars = ChangeBars(theme)
        self.summary = label("", wrap=True)
        self.about = label("", "caption", wrap=True)
        self.setLayout(column(self.title, self.summary, self.bars, None, self.about, margin=_MARGIN))

    def show_reading(self, reading: PairReading, column: int) -> None:
        """Show the predictions at the token of a column."""
        words, n = column_labels(reading)[column], len(reading.predictions)
        if reading.answers_once:
            found, title = reading.predictions[0], "First token of its answer"
        else:
            found = reading.predictions[column] if n else None
            title = f"Next token after “{words}”" if reading.is_causal else f"Prediction at “{words}”"
        self.title.setText(title)
        self.bars.setVisible(found is not None and found.largest_logit > 0)
        if not n:
            self.summary.setText("This model has no head, so it predicts no tokens.")
        elif found is None:
            self.summary.setText("One of the sentences has no token here, so there is nothing to compare.")
        elif not found.largest_logit:
            self.summary.setText(
                "All logits are bit-identical: the sentences are the same up to here, and a causal model sees only "
                "earlier tokens. Choose a later token."
            )
        else:
            self.summary.setText(f"Largest difference in the logit of a token: {found.largest_logit:.3g}.")
            self.bars.show_changes(found.changes)
        self.about.setText(
            "Probabilities over the whole vocabulary, before any sampling; the tokens whose probability differs most. "
            "The bars show how far its logarithm differs, in nats: right of the line, it is likelier in B."
        )


class NounBars(QWidget):
    """For each sentence the resolved noun, and a row for each noun with its probability as a bar."""

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
        """The decision for each sentence, such as: A: “it” is the animal."""
        return [f"{name}: {_verdict(side)}" for name, side in zip("AB", self._sides, strict=False)]

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
                self._draw_noun(painter, QRectF(0, y, self.width(), height), noun, p, is_best=noun == _decided(side))
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
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, format_prob(p))
        track = QRectF(left, line.center().y() - _BAR / 2, max(line.width() - left - number, 10), _BAR)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        track.setWidth(max(track.width() * p, 1.5))
        painter.setBrush(colors.color("accent" if is_best else "faint"))
        painter.drawRoundedRect(track, min(_BAR / 2, track.width() / 2), _BAR / 2)


def _verdict(side: NounScores) -> str:
    if decided := _decided(side):
        return f"“it” is the {decided}"
    ranked = sorted(zip(side.probabilities, side.nouns, strict=True), reverse=True)
    return f"undecided between the {ranked[0][1]} and the {ranked[1][1]}"


def _decided(side: NounScores) -> str:
    """Return the clearly most likely noun; "" if the two most likely nouns are about equally likely."""
    first, second = sorted(side.probabilities, reverse=True)[:2]
    return side.best if first - second >= _UNDECIDED else ""


class ChangeBars(PaintedRows):
    """The tokens whose log-probability differs most between two sentences, with bars of the difference."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Tokens whose probability differs most", theme, parent)
        self._changes: tuple[TokenChange, ...] = ()

    def show_changes(self, changes: tuple[TokenChange, ...]) -> None:
        """Show other tokens, sorted by decreasing difference."""
        self._changes = changes
        described = (f"{c.word} {format_prob(c.first)} to {format_prob(c.second)}" for c in changes)
        self.setAccessibleDescription(", ".join(described))
        self._restyle()

    @property
    def changes(self) -> tuple[TokenChange, ...]:
        """The tokens on screen."""
        return self._changes

    @property
    def _n_rows(self) -> int:
        return 1 + len(self._changes)

    def tip(self, row: int) -> str:
        if not 0 < row <= len(self._changes):
            return ""
        change = self._changes[row - 1]
        return (
            f"{change.word}: probability {format_prob(change.first)} in A and {format_prob(change.second)} in B. Its "
            f"logarithm differs by {format_signed(change.nats)} nats: the logit's difference, once both are normalised."
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font, high = self._theme.theme, self._theme.mono_font(0.9), self._row_height
        metrics = QFontMetrics(font)
        number = metrics.horizontalAdvance("<0.0001 %") + SPACE
        longest = max((metrics.horizontalAdvance(change.word) for change in self._changes), default=0)
        word = min(longest + 2 * SPACE, int(0.34 * self.width()))
        track = QRectF(word + 2 * number, 0, max(self.width() - word - 3 * number - SPACE, 20), _BAR)
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
            for box, text in zip(
                boxes, (format_prob(change.first), format_prob(change.second), format_signed(change.nats)), strict=True
            ):
                painter.drawText(box.translated(0, i * high), right, text)
            middle = track.center().x()
            end = middle + change.nats / limit * track.width() / 2
            bar = QRectF(min(middle, end), (i + 0.5) * high - _BAR / 2, max(abs(end - middle), 1.0), _BAR)
            painter.fillRect(bar, QColor.fromRgb(int(table[-1 if change.nats > 0 else 0])))
            painter.fillRect(QRectF(middle - 0.5, i * high, 1, high), colors.color("border_strong"))
