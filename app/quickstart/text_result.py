"""The result of a quick start on a text: how good the model is beside gzip and tables, and what it writes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from app.kit.basics import label, row
from app.kit.figures.interval_bars import Bar, IntervalBars
from app.kit.help_mark import HelpMark
from app.kit.theme import SPACE, ThemeProvider
from app.session.run_history import RunHistory
from models.evaluation.text_verdict import GZIP, TRIGRAM, sentence_of, table_words
from models.events import TextCompared
from models.number_words import capitalized, format_size

MODEL = "your model"
_TIPS = {
    MODEL: "With at least half of its context before each token",
    GZIP: "What the held-out text adds to the compressed rest",
    TRIGRAM: "A 3-gram of bytes with Kneser–Ney smoothing",
}
_TABLE_TIP = "The best of the n-grams of 4 to 7 bytes, with interpolated Kneser–Ney smoothing"


class TextResult(QWidget):
    """The comparison of a run with gzip and tables, and its last sample."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence = label("", "heading", wrap=True)
        self.measured_on = label("", "muted", wrap=True)
        self.bars = IntervalBars("Bits per byte", theme)
        self.sample = label("", wrap=True, selectable=True)
        self.sample.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sample.setAccessibleName("Sample")
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self.sample.setProperty("role", "scrolled")
        area.setWidget(self.sample)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        headline = row(self.sentence, HelpMark("Bits per byte"))
        headline.setStretch(0, 1)
        layout.addLayout(headline)
        layout.addWidget(self.measured_on)
        layout.addWidget(self.bars)
        layout.addSpacing(SPACE)
        self.writes = label("What it writes", "muted")
        layout.addWidget(self.writes)
        layout.addWidget(area, 1)

    def show_result(self, compared: TextCompared, history: RunHistory) -> None:
        """Show a comparison that has a model, and the run's last sample."""
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
        sample = next((one for one in reversed(history.samples) if one.step <= compared.step), None)
        self.sample.setText(sample.prompt + sample.text if sample is not None else "–")
        self.writes.setText("What it writes" if sample is None else f"What it writes after “{sample.prompt}”")
