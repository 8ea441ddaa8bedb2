"""A preview of a run's data: its first examples token by token, the size of the text, and its lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, frame, label, row, set_ends
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.marked_tokens import MarkedTokens, MarkLegend
from terrarium.app.plots.pictures import Axis, round_ticks
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.models.number_words import format_compact, format_count, format_percent
from terrarium.models.training.estimates.findings import DataPreview, Lengths

_STATS = {
    "training tokens": "Tokens in the training text",
    "validation tokens": "Tokens in the text held out for validation",
    "texts": "Separate examples in the training text; – for one long text, read in windows",
    "read": "How often the whole run reads the training text",
    "median tokens": "Half of the examples (or lines) have fewer tokens than this",
}


_LONG = 100_000
"""The axis maximum from which tick numbers are abbreviated."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveTexts:
    """The description of an objective.

    title: its name. sentence: what the model does with a text. source, target: the titles of the two rows of tokens.
    """

    title: str
    sentence: str
    source: str
    target: str


OBJECTIVES = {
    "next-token": ObjectiveTexts(
        title="Next token",
        sentence="The model reads from left to right, and at each position it predicts the next token.",
        source="",
        target="Reads and predicts",
    ),
    "masked-tokens": ObjectiveTexts(
        title="Masked tokens",
        sentence="15\N{NO-BREAK SPACE}% of the tokens are predicted: most of them are masked, some replaced by others, "
        "some kept. The model restores the original from both sides.",
        source="Reads",
        target="Predicts in these positions",
    ),
    "span-corruption": ObjectiveTexts(
        title="Span corruption",
        sentence="15\N{NO-BREAK SPACE}% of the text is cut out, in spans of about 3 tokens, and replaced by "
        "numbered gaps. The model writes the text of each gap.",
        source="Reads",
        target="Writes",
    ),
    "denoising": ObjectiveTexts(
        title="Denoising",
        sentence="30\N{NO-BREAK SPACE}% of the text is hidden, each span behind one mask of any length, and the "
        "sentences are shuffled. The model writes the original text.",
        source="Reads",
        target="Writes",
    ),
    "text-to-text": ObjectiveTexts(
        title="Text to text",
        sentence="The model reads a source, and writes the target. Nothing of the source is predicted.",
        source="Reads",
        target="Writes",
    ),
    "pronouns": ObjectiveTexts(
        title="What “it” is",
        sentence="Of the nouns before “it”, the model points at the one that is meant: by the dot product of its state "
        "at “it” with its state at each noun. Nothing else is predicted.",
        source="",
        target="Reads and points at",
    ),
    "classification": ObjectiveTexts(
        title="One label",
        sentence="The model reads the whole text and gives each label a probability.",
        source="Reads",
        target="Label",
    ),
    "multi-label": ObjectiveTexts(
        title="Several labels",
        sentence="The model reads the whole text and decides for each label whether it applies.",
        source="Reads",
        target="Labels",
    ),
    "regression": ObjectiveTexts(
        title="A score",
        sentence="The model reads the whole text and gives it a number.",
        source="Reads",
        target="Score",
    ),
    "tagging": ObjectiveTexts(
        title="Tags",
        sentence="The model gives each word a tag, at the word's first token.",
        source="Reads, and predicts at these tokens",
        target="Tags",
    ),
    "span": ObjectiveTexts(
        title="The answer in its context",
        sentence="The model points at the first and the last token of the answer, or at the first token of all if "
        "there is none.",
        source="Reads question and context, and points at these tokens",
        target="Answer",
    ),
}
"""DataPreview.objective -> its description."""


class DataPreviewPanel(QWidget):
    """Shows a DataPreview."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview: DataPreview | None = None
        self._at = 0
        self.title = label("", "subheading")
        self.sentence = label("", "caption", wrap=True)
        self.stats = StatStrip(_STATS, theme, widest="88.8M")
        self.legend = MarkLegend(theme)
        self.count = label("", "muted")
        self.back = button("", theme, lambda: self.step(-1), icon="caret-left", role="quiet", tip="Previous example")
        self.forward = button("", theme, lambda: self.step(1), icon="caret-right", role="quiet", tip="Next example")
        self.source_name, self.target_name = label("", "caption"), label("", "caption")
        self.source, self.target = MarkedTokens(theme), MarkedTokens(theme)
        self.source.setAccessibleName("What the model reads")
        self.target.setAccessibleName("What the model predicts")
        self.lengths = PlotView(theme, has_y=True, is_boxed=True)
        self.notes = label("", "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self._facts())
        layout.addWidget(self._example(), 1)

    def _facts(self) -> QWidget:
        card = frame("card", horizontal=True, margin=SPACE + SPACE // 2)
        across = card.layout()
        assert isinstance(across, QHBoxLayout)
        lines = QVBoxLayout()
        lines.setSpacing(SPACE // 2)
        lines.addWidget(self.title)
        lines.addWidget(self.sentence)
        lines.addSpacing(SPACE)
        lines.addWidget(self.stats)
        lines.addWidget(self.notes)
        lines.addWidget(self.problem)
        lines.addStretch(1)
        across.addLayout(lines, 3)
        self.lengths.setMinimumSize(180, 150)
        self.lengths.setMaximumHeight(190)
        across.addWidget(self.lengths, 2)
        return card

    def _example(self) -> QWidget:
        card = frame("card", margin=SPACE + SPACE // 2)
        lines = card.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addLayout(
            row(label("First examples", "subheading"), self.legend, None, self.back, self.count, self.forward)
        )
        self.count.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.count.setMinimumWidth(self.count.fontMetrics().horizontalAdvance("88 of 88"))
        for name, tokens in ((self.source_name, self.source), (self.target_name, self.target)):
            lines.addWidget(name)
            lines.addWidget(tokens, 1)
        return card

    @property
    def preview(self) -> DataPreview | None:
        """The preview shown, None before the first."""
        return self._preview

    def show_preview(self, preview: DataPreview) -> None:
        """Show a preview, from its first example."""
        if preview is self._preview:
            return
        self._preview, self._at = preview, 0
        words = OBJECTIVES[preview.objective]
        self.title.setText(words.title)
        self.sentence.setText(words.sentence)
        train, val = preview.splits
        self.stats.set_number("training tokens", format_compact(train.n_tokens))
        self.stats.set_number("validation tokens", format_compact(val.n_tokens))
        self.stats.set_number("texts", format_compact(train.n_examples) if train.n_examples else "–")
        self.stats.set_number("read", f"{preview.epochs:.2g}×" if preview.epochs < 10 else f"{preview.epochs:,.0f}×")
        self.stats.set_number("median tokens", f"{preview.lengths.median:,}")
        self.lengths.show_spec(text_lengths_picture(preview.lengths))
        n_cut = preview.lengths.n_cut
        self.notes.setText(
            f"{n_cut:,} of the examples are longer than the longest text of this run, "
            f"{preview.lengths.limit:,} tokens, and are cut off."
            if n_cut
            else ""
        )
        self.notes.setVisible(bool(n_cut))
        self.problem.setText(" ".join(preview.problems))
        self.problem.setVisible(bool(preview.problems))
        self._show_example()

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) example."""
        if self._preview is not None:
            self._at = min(max(self._at + by, 0), len(self._preview.examples) - 1)
            self._show_example()

    def _show_example(self) -> None:
        preview = self._preview
        assert preview is not None
        example = preview.examples[self._at]
        words = OBJECTIVES[preview.objective]
        self.count.setText(f"{self._at + 1} of {len(preview.examples)}")
        set_ends(self.back, self.forward, self._at, len(preview.examples))
        for widget in (self.source_name, self.source):
            widget.setVisible(example.source is not None)
        marks = ["predicted", ""]
        if example.source is not None:
            self.source.show_row(example.source)
            self.source_name.setText(_row_title(words.source, example.source.n_left_out))
            marks = ["predicted", "hidden", *(["changed"] if preview.objective == "masked-tokens" else []), ""]
        self.target.show_row(example.target)
        self.target_name.setText(_row_title(words.target, example.target.n_left_out))
        self.legend.show_marks(tuple(marks))


def _row_title(words: str, n_left_out: int) -> str:
    return f"{words} · {n_left_out:,} more tokens not shown" if n_left_out else words


def text_lengths_picture(lengths: Lengths) -> PlotSpec:
    """Return a histogram of text lengths."""
    values = np.array(lengths.counts, np.int64)
    n, width = len(values), lengths.width
    has_more = lengths.longest > n * width
    height = Axis(title=lengths.unit.capitalize(), low=0.0, high=float(values.max(initial=1)) * 1.05)
    every = max(1, n // 5)
    ends = [i for i in range(n) if (i + 1) % every == 0]
    ticks = tuple((i + 1.0, f"{(i + 1) * width}{'+' if has_more and i == n - 1 else ''}") for i in ends)
    total = max(1, int(values.sum()))

    def describe(i: int) -> str:
        first, last = i * width + 1, (i + 1) * width
        size = f"{first} tokens" if width == 1 else f"{first} to {last} tokens"
        if has_more and i == n - 1:
            size = f"{first} or more tokens"
        found = format_count(int(values[i]), lengths.unit.removesuffix("s"))
        return f"{size}: {found}, {format_percent(values[i] / total, 1)}"

    def words(tick: float) -> str:
        return f"{tick:,.0f}" if height.high < _LONG else format_compact(tick)

    x = np.arange(1.0, n + 1)
    return PlotSpec(
        series=(Series(x=x, y=values.astype(np.float64), kind="bars", name=height.title, in_legend=False),),
        title=f"Length of {lengths.unit}",
        x_title="Tokens",
        y_title=height.title,
        x_range=(0.4, n + 0.6),
        y_range=(0.0, height.high),
        x_names=ticks,
        y_names=tuple((tick, words(tick)) for tick in round_ticks(height, 4)),
        words=describe,
    )
