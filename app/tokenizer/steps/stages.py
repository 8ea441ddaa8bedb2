"""The stages before the model: text, normalized text, words; and a field for a custom word."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from terrarium.app.kit.basics import label, set_role
from terrarium.app.kit.inputs import line_edit
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.steps.analysis import MAX_TEXT, TextAnalysis
from terrarium.app.tokenizer.steps.word_strip import WordStrip
from terrarium.models.number_words import format_count
from terrarium.models.tokenizers import show_bytes

_SHOWN = 300  # characters of a text


class Stages(QWidget):
    """Three lines: the text, the normalized text, and its words.

    Signals:
        typed(str): the user has typed a custom text, "" to return to the text of the tab.
    """

    typed = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.normalized = ElidedLabel(), ElidedLabel()
        self.about_normalized, self.about_words = label("", "caption", wrap=True), label("", "caption", wrap=True)
        tip = "Used instead of your text unless empty; spaces count"
        self.own = line_edit("Your own word", tip, "Or type your own word", clears=True)
        self.strip = WordStrip(theme)
        for widget in (self.text, self.normalized):
            set_role(widget, "mono")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(2, 240)
        top = Qt.AlignmentFlag.AlignTop
        for line, words in enumerate(("Text", "Normalised", "Words")):
            name = label(words, "subheading")
            if line == 2:
                name.setContentsMargins(0, 3, 0, 0)
            grid.addWidget(name, line, 0, top if line == 2 else Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(self.text, 0, 1)
        grid.addWidget(self.own, 0, 2)
        grid.addWidget(self.normalized, 1, 1)
        grid.addWidget(self.about_normalized, 1, 2)
        grid.addWidget(self.strip, 2, 1)
        self.about_words.setAlignment(top)  # aligned by the grid, the label would get no height for its lines
        grid.addWidget(self.about_words, 2, 2)
        self.own.textChanged.connect(self.typed)

    def show_analysis(self, analysis: TextAnalysis) -> None:
        """Show the stages of an analysis."""
        split = analysis.split
        glyphs = Glyphs(self.text.font())
        self.text.setText(glyphs.drawable(_beginning(split.text)))
        self.normalized.setText(glyphs.drawable(_beginning(split.normalized)))
        if not analysis.normalizer:
            self.about_normalized.setText("No normaliser: unchanged.")
        else:
            same = ": changes nothing here" if split.normalized == split.text else ""
            self.about_normalized.setText(f"{analysis.normalizer}{same}")
        how = f"by {analysis.pre_tokenizer}" if analysis.pre_tokenizer else "not split"
        n = f"{format_count(split.n_words, 'word')}, {len(split.words):,} distinct" if split.words else "no words"
        words = [f"{n} ({how})."]
        if analysis.is_cut:
            words.append(f"Only the first {MAX_TEXT:,} characters of the text.")
        words.append(_agreement(analysis))
        self.about_words.setText("\n".join(words))
        self.strip.set_words(split.words)

    def clear(self) -> None:
        """Clear all lines except the custom word."""
        self.strip.set_words(())
        for widget in (self.text, self.normalized):
            widget.setText("")
        for about in (self.about_normalized, self.about_words):
            about.setText("")


def _agreement(analysis: TextAnalysis) -> str:
    if not analysis.n_checked:
        return ""
    if analysis.n_wrong:
        words = format_count(analysis.n_wrong, "word")
        verb = "differs" if analysis.n_wrong == 1 else "differ"
        return f"{words} {verb} from the encoder: do not trust their steps."
    n = "all" if analysis.n_checked == len(analysis.split.words) else f"{analysis.n_checked:,}"
    return f"✓ The steps of {n} of them match the encoder."


def _beginning(text: str) -> str:
    return show_bytes(text[:_SHOWN].encode()) + ("…" if len(text) > _SHOWN else "")
