"""What happens to a text before the model comes in: normalised, split into words; and words of the user's own."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from app.kit.basics import label, set_role
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.tokenizer.steps.opening import LONGEST_TEXT, Opened
from app.tokenizer.steps.word_strip import WordStrip
from models.number_words import counted
from models.tokenizers import show_bytes

_SHOWN = 300  # characters of a text


class Stages(QWidget):
    """Three lines: the text, the text as it is normalised, its words.

    Signals:
        typed(str): the user has typed a text of their own to follow, "" for going back to the text at hand.
    """

    typed = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.normalized = ElidedLabel(), ElidedLabel()
        self.about_normalized, self.about_words = label("", "caption", wrap=True), label("", "caption", wrap=True)
        self.own = QLineEdit()
        self.own.setPlaceholderText("Or type a word of your own")
        self.own.setToolTip("Followed in place of the text at hand while something stands here; spaces count")
        self.own.setAccessibleName("A word of your own")
        self.own.setClearButtonEnabled(True)
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
        grid.addWidget(self.about_words, 2, 2, top)
        self.own.textChanged.connect(self.typed)

    def show_opened(self, opened: Opened) -> None:
        """Show the stages of another text."""
        split = opened.split
        self.text.setText(_beginning(split.text))
        self.normalized.setText(_beginning(split.normalized))
        same = "nothing changes" if split.normalized == split.text else ""
        names = opened.normalizer or "no normaliser"
        self.about_normalized.setText(f"{names}: {same}" if same else names)
        how = f"by {opened.pre_tokenizer}" if opened.pre_tokenizer else "not split"
        n = f"{counted(split.n_words, 'word')}, {len(split.words):,} different" if split.words else "no words"
        words = [f"{n} ({how})"]
        if opened.is_cut:
            words.append(f"Only those of the text's first {LONGEST_TEXT:,} characters.")
        words.append(_agreement(opened))
        self.about_words.setText("\n".join(words))
        self.strip.set_words(split.words)

    def clear(self) -> None:
        """Show nothing."""
        self.strip.set_words(())
        for widget in (self.text, self.normalized):
            widget.setText("")
        for about in (self.about_normalized, self.about_words):
            about.setText("")


def _agreement(opened: Opened) -> str:
    if not opened.n_checked:
        return ""
    if opened.n_wrong:
        words = counted(opened.n_wrong, "word")
        return f"{words} of them end in other tokens than the encoder's: do not trust their steps."
    n = "all" if opened.n_checked == len(opened.split.words) else f"{opened.n_checked:,}"
    return f"✓ The steps of {n} of them end in the encoder's tokens."


def _beginning(text: str) -> str:
    return show_bytes(text[:_SHOWN].encode()) + ("…" if len(text) > _SHOWN else "")
