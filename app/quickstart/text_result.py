"""What came of a quick start on a text: how well the model predicts unseen text, and what it writes."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from app.kit.basics import label, row
from app.kit.help_mark import HelpMark
from app.kit.stat_strip import StatStrip
from app.kit.theme import SPACE, ThemeProvider
from app.session.run_history import RunHistory

LOSS, PERPLEXITY, BITS = "validation loss", "perplexity", "bits per byte"


class TextResult(QWidget):
    """A run's last validation and sample: how well the model predicts unseen text, and what it writes."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stats = StatStrip(
            {
                LOSS: "Mean cross-entropy on held-out text, in nats per token",
                PERPLEXITY: "exp(loss): it is as uncertain as between this many equally likely tokens",
                BITS: "The loss per byte of text, comparable between tokenizers",
            },
            theme,
        )
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
        self.sentence = label("", "heading", wrap=True)
        headline = row(self.sentence, HelpMark("Perplexity"))
        headline.setStretch(0, 1)
        layout.addLayout(headline)
        layout.addWidget(label("Measured on a part of your text that it has never seen:", "muted"))
        layout.addWidget(self.stats)
        layout.addSpacing(SPACE)
        layout.addWidget(label("What it writes", "muted"))
        layout.addWidget(area, 1)

    def show_result(self, history: RunHistory) -> None:
        """Show a run's last validation and sample, or a dash if there is none."""
        loss, bits = (
            float(history.val[name][-1]) if len(history.val) else math.nan for name in ("loss", "bits_per_byte")
        )
        self.sentence.setText(hesitation_words(loss))
        self.stats.set_number(LOSS, _number(loss, 3))
        self.stats.set_number(PERPLEXITY, _number(math.exp(min(loss, 700.0)), 2))
        self.stats.set_number(BITS, _number(bits, 3))
        sample = history.samples[-1] if history.samples else None
        self.sample.setText(sample.prompt + sample.text if sample is not None else "–")


def hesitation_words(loss: float) -> str:
    """What a loss in nats per token means; "" where there is none."""
    if not math.isfinite(loss):
        return ""
    n = math.exp(min(loss, 700.0))
    return f"At each token it hesitates between about {n:,.{0 if n >= 10 else 1}f} that could follow."


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if math.isfinite(value) else "–"
