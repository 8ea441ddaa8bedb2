"""The comparison of a model of the user's own text with gzip and n-gram tables: one sentence, and bars."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, row
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.models.evaluation.text_verdict import GZIP, TRIGRAM, sentence_of, table_words
from terrarium.models.events import TextCompared
from terrarium.models.number_words import capitalized, format_size

MODEL = "your model"
_TIPS = {
    MODEL: "With at least half of its context before each token",
    GZIP: "What the held-out text adds to the compressed rest",
    TRIGRAM: "A 3-gram of bytes with Kneser–Ney smoothing",
}
_TABLE_TIP = "The best of the n-grams of 4 to 7 bytes, with interpolated Kneser–Ney smoothing"


class TextComparison(QWidget):
    """The bits per byte of a run, of gzip and of n-gram tables."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence = label("", "heading", wrap=True)
        self.measured_on = label("", "muted", wrap=True)
        self.bars = IntervalBars("Bits per byte", theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        headline = row(self.sentence, HelpMark("Bits per byte"))
        headline.setStretch(0, 1)
        layout.addLayout(headline)
        layout.addWidget(self.measured_on)
        layout.addWidget(self.bars)

    def show_comparison(self, compared: TextCompared) -> None:
        """Show a comparison that has a model."""
        assert compared.model is not None
        self.sentence.setText(sentence_of(compared))
        self.measured_on.setText(
            f"Bits per byte of {format_size(compared.n_held_out)} at the end of your text, which none of them has "
            "read; fewer are better:"
        )
        table = table_words(compared.table_order)
        values = {MODEL: compared.model, table: compared.table, GZIP: compared.gzip, TRIGRAM: compared.trigram}
        longest = max(values.values())
        self.bars.show_bars(
            [
                Bar(
                    name=capitalized(name) if name != GZIP else name,
                    share=bits / longest,
                    text=f"{bits:.2f}",
                    tone="accent" if name == MODEL else "faint",
                    tip=_TIPS.get(name, _TABLE_TIP),
                )
                for name, bits in sorted(values.items(), key=lambda item: item[1])
            ]
        )
