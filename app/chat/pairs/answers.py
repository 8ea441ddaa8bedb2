"""What the difference does to a model's answer: nouns scored at "it", or tokens whose probability differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from app.chat.pairs.change_bars import ChangeBars
from app.chat.pairs.noun_bars import NounBars
from app.chat.pairs.pair_words import column_words
from app.chat.pairs.pronoun_models import PronounModel
from app.kit.basics import label
from app.kit.theme import SPACE, ThemeProvider
from models.recipes.pronoun_specs import KINDS

if TYPE_CHECKING:
    from models.inspect.minimal_pair import PairReading

_TITLES = {"encoder-only": "Encoder, reads both ways", "decoder-only": "Causal model, left to right"}
_ABOUT = "Softmax over the nouns' positions, each scored by its state's product with the state at “it”."


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
