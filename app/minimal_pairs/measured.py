"""The accuracy of the pronoun models on held-out pairs, as a small table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from terrarium.app.kit.basics import column, label, plain_tip
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE
from terrarium.app.minimal_pairs.pronoun_models import PronounModel
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.recipes.pronoun_specs import KINDS
from terrarium.models.tasks.pronouns.evaluation import PronounEvaluation

_ROWS: tuple[tuple[str, str, Callable[[PronounEvaluation], str]], ...] = (
    (
        "Right",
        "Sentences of the held-out pairs whose right noun has the highest score",
        lambda found: format_percent(found.accuracy, 1),
    ),
    (
        "Right in both of a pair",
        "Pairs in which “it” is resolved correctly in both sentences",
        lambda found: format_percent(found.both, 1),
    ),
    (
        "Right with the adjective hidden",
        "One random sentence of each pair, with its adjective masked from attention",
        lambda found: format_percent(found.without_adjective, 1),
    ),
    (
        "Largest difference in a pair",
        "Of a noun's logit between the two sentences of a pair: exactly 0 if they are bit-identical",
        lambda found: f"{found.largest_difference:.3g}",
    ),
)
HEADS = {"encoder-only": "Encoder", "decoder-only": "Causal model"}


class AccuracyTable(QWidget):
    """The figures of both models side by side, and baselines that ignore the adjective."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout()
        grid.setHorizontalSpacing(3 * SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        right = Qt.AlignmentFlag.AlignRight
        self._cells: dict[tuple[int, str], QLabel] = {}
        for j, topology in enumerate(KINDS, start=1):
            grid.addWidget(label(HEADS[topology], "muted"), 0, j, right)
        for i, (words, tip, _) in enumerate(_ROWS, start=1):
            name = label(words)
            name.setToolTip(plain_tip(tip))
            grid.addWidget(name, i, 0)
            for j, topology in enumerate(KINDS, start=1):
                cell = named(label("–", "mono"), f"{HEADS[topology]}: {words}", tip)
                self._cells[i - 1, topology] = cell
                grid.addWidget(cell, i, j, right)
        grid.setColumnStretch(3, 1)
        self.rules = label("", "muted", wrap=True)
        self.source = label("", "caption", wrap=True)
        self.setLayout(column(grid, self.rules, self.source))

    def figure(self, row: int, topology: str) -> str:
        """Return the text of a cell."""
        return self._cells[row, topology].text()

    def show_models(self, models: Mapping[str, PronounModel]) -> None:
        """Show the evaluations of the existing models."""
        for (i, topology), cell in self._cells.items():
            model = models.get(topology)
            cell.setText("–" if model is None else _ROWS[i][2](model.evaluation))
        if not models:
            return
        found = next(iter(models.values())).evaluation
        rules = ", ".join(f"{name} {format_percent(share, 1)}" for name, share in found.rules.items())
        self.rules.setText(f"For comparison, always taking: {rules}.")
        runs = " and ".join(f"“{model.name}” at step {model.step:,}" for model in models.values())
        self.source.setText(
            f"Measured on {format_count(2 * found.n_pairs, 'sentence')} of "
            f"{format_count(found.n_pairs, 'held-out pair')}, with "
            f"{runs}; kept with the runs. Held out: no training sentence combines these nouns with these adjectives. "
            "A pair has both answers, so always giving the same answer is right in exactly half. With a few dozen "
            "words, this shows that they learned “it” from noun and adjective, not that they learned English."
        )
