"""The page for models that tag words: entities are coloured while typing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QTextCharFormat, QTextDocument
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import group, label, row, show_words, titled_card
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.text.highlighter import Highlighter
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.task_page import TaskPage, qt_position, text_box
from terrarium.app.task_pages.task_questions import Answered
from terrarium.models.metrics.tagging import entities
from terrarium.models.number_words import format_prob

_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_UNDERLINES = (
    (QTextCharFormat.UnderlineStyle.SingleUnderline, Qt.PenStyle.SolidLine),
    (QTextCharFormat.UnderlineStyle.DashUnderline, Qt.PenStyle.DashLine),
    (QTextCharFormat.UnderlineStyle.DotLine, Qt.PenStyle.DotLine),
    (QTextCharFormat.UnderlineStyle.DashDotLine, Qt.PenStyle.DashDotLine),
)
"""How entities are underlined, and how the legend shows it."""
_MAX_TAGS = 40
"""The maximum number of listed entities."""


class Span(NamedTuple):
    """An entity: the characters `start` to `end` of the text, its type, and its probability."""

    start: int
    end: int
    type: str
    score: float


class EntityPage(TaskPage):
    """A text with its entities coloured and underlined, a legend, and a list of the entities."""

    modes = ("tag",)

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.text = text_box("Text", "Write a text: names are coloured as you type.", 8)
        self.setFocusProxy(self.text)
        self.colours = SpanColours(self.text.document(), theme)
        self.legend = TypeLegend(theme)
        self.spans: list[Span] = []
        self.found = IntervalBars("What was found", theme)
        self.nothing = label("", "muted", wrap=True)
        found = titled_card("Found in the text, and how sure the model is", self.nothing, self.found)
        self.text.text_changed.connect(self.on_edited)
        self._build(group(self.text, self.legend, grows=self.text), group(found, None))

    def show_model(self, model: ChatModel) -> None:
        kinds = dict.fromkeys(_type_of(tag) for tag in model.labels if tag != "O")
        self.colours.set_types(tuple(kinds))
        self.legend.show_types(tuple(kinds), self.colours)

    def row(self) -> Mapping[str, Any] | None:
        words = _WORDS.findall(self.text.text)
        return {"words": words} if words else None

    def show_example(self, row: Mapping[str, Any]) -> None:
        self.text.set_text(_joined(row["words"]))

    def show_answer(self, answered: Answered | None) -> str:
        self.spans = []
        if answered is not None:
            places = [match.span() for match in _WORDS.finditer(self.text.text)]
            scores = answered.prediction.details["tag_scores"]
            self.spans = spans_of(answered.prediction.value, scores, places)
        text = self.text.text
        self.colours.set_places([(qt_position(text, s.start), qt_position(text, s.end), s.type) for s in self.spans])
        self.legend.show_counts(Counter(span.type for span in self.spans))
        self.found.show_bars(
            [
                Bar(
                    name=f"{s.type} · {text[s.start : s.end]}",
                    share=s.score,
                    text=format_prob(s.score),
                    category=self.colours.category_of(s.type),
                )
                for s in self.spans[:_MAX_TAGS]
            ]
        )
        more = len(self.spans) - _MAX_TAGS
        words = "Nothing was found." if answered is not None and not self.spans else ""
        words = words or ("" if answered is not None else "Write a text: what the model finds appears here.")
        show_words(self.nothing, f"{more} more." if more > 0 else words)
        return ", ".join(bar.name for bar in self.found.bars) or ("" if answered is None else words)


def spans_of(tags: Sequence[str], scores: Sequence[float], places: Sequence[tuple[int, int]]) -> list[Span]:
    """Return the entities that tags mark; if tags mark none (parts of speech), each word with its tag.

    scores: the probability of each tag. places: the characters of each word. An entity's score is its lowest word's.
    """
    found = [(each.start, each.end, each.type) for each in entities(tags)]
    if not found and not any(tag == "O" or tag[1:2] == "-" for tag in tags):
        found = [(i, i + 1, tag) for i, tag in enumerate(tags)]
    return [Span(places[a][0], places[b - 1][1], kind, min(scores[a:b])) for a, b, kind in found]


def _type_of(tag: str) -> str:
    return tag[2:] if tag[1:2] == "-" else tag


def _joined(words: Sequence[str]) -> str:
    """Join words into a text, without a space before punctuation."""
    text = ""
    for word in words:
        text += word if not text or re.fullmatch(r"[.,;:!?)\]}’”]", word) else f" {word}"
    return text


class SpanColours(Highlighter):
    """Colours spans of a text by their type, and underlines them."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        self._types: tuple[str, ...] = ()
        self._places: Sequence[tuple[int, int, str]] = ()
        super().__init__(document, theme, {})

    def colour_of(self, kind: str) -> QColor:
        """Return the colour of a type. Colours repeat if there are more types than colours, which the legend shows."""
        return QColor(self._theme.theme.categories[self.category_of(kind)])

    def line_of(self, kind: str) -> Qt.PenStyle:
        """Return the pattern of a type's underline, which tells types apart without colours."""
        return _UNDERLINES[self.category_of(kind) % len(_UNDERLINES)][1]

    def category_of(self, kind: str) -> int:
        """Return the index of a type's colour in the theme's categories."""
        index = self._types.index(kind) if kind in self._types else 0
        return index % len(self._theme.theme.categories)

    def set_types(self, types: tuple[str, ...]) -> None:
        """Assign a colour to each of these types."""
        self._types = types
        self.rehighlight()

    def set_places(self, places: Sequence[tuple[int, int, str]]) -> None:
        """Colour these spans: start, end (in UTF-16 units, as in Qt) and type."""
        if places != self._places:
            self._places = places
            self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        first = self.currentBlock().position()
        for begin, stop, kind in self._places:
            start, end = max(begin - first, 0), min(stop - first, self.currentBlock().length() - 1)
            if start >= end:
                continue
            colour = self.colour_of(kind)
            form = QTextCharFormat()
            form.setUnderlineStyle(_UNDERLINES[self.category_of(kind) % len(_UNDERLINES)][0])
            form.setUnderlineColor(colour)
            colour.setAlphaF(0.32)
            form.setBackground(colour)
            self.setFormat(start, end - start, form)


class TypeLegend(QWidget):
    """A legend of the types, with how many of each were found."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._layout = FlowLayout(self)
        self.entries: dict[str, _Entry] = {}

    def show_types(self, types: Sequence[str], colours: SpanColours) -> None:
        """Show an entry for each type, as it is marked in the text."""
        for entry in self.entries.values():
            self._layout.removeWidget(entry)
            entry.hide()
            entry.deleteLater()
        self.entries = {kind: _Entry(kind, colours, self._theme) for kind in types}
        for entry in self.entries.values():
            self._layout.addWidget(entry)

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many of each type were found."""
        for kind, entry in self.entries.items():
            entry.show_count(counts.get(kind, 0))


class _Entry(QWidget):
    def __init__(self, kind: str, colours: SpanColours, theme: ThemeProvider) -> None:
        super().__init__()
        self._kind, self.words = kind, label(kind, "small")
        self.setLayout(row(_Swatch(kind, colours, theme), self.words, spacing=6, margin=(0, 0, SPACE, 0)))

    def show_count(self, n: int) -> None:
        self.words.setText(f"{self._kind} {n}")


class _Swatch(QWidget):
    def __init__(self, kind: str, colours: SpanColours, theme: ThemeProvider) -> None:
        super().__init__()
        self._kind, self._colours = kind, colours
        self.setFixedSize(QSize(20, 14))
        theme.theme_changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colour = self._colours.colour_of(self._kind)
        painter.setPen(QPen(colour, 2, self._colours.line_of(self._kind)))
        painter.drawLine(0, 12, 20, 12)
        colour.setAlphaF(0.32)
        painter.fillRect(0, 0, 20, 11, colour)
        painter.end()
