"""How a model of the user's own text learns: its bits per byte, falling against those of gzip and of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Slot

from app.kit.theme import ThemeProvider
from app.training.curves.loss_chart import BITS_PER_BYTE, LossChart, ReferenceLine
from models.evaluation.text_verdict import GZIP, TRIGRAM, short_table_words
from models.events import TextCompared
from models.runs.curve import Table


class BitsChart(LossChart):
    """Bits per byte instead of the loss, with a line for gzip, for a 3-gram, and for the best table."""

    def __init__(self, theme: ThemeProvider) -> None:
        self._compared: TextCompared | None = None
        self.tables: tuple[ReferenceLine, ...] = ()
        super().__init__(theme, controls=False, quantity=BITS_PER_BYTE)
        self.tables = tuple(ReferenceLine(self.chart, "") for _ in range(3))
        theme.theme_changed.connect(self._restyle_tables)
        self._restyle_tables()

    @property
    def references(self) -> Sequence[ReferenceLine]:
        return self.tables

    def show_tables(self, compared: TextCompared | None) -> None:
        """Show what gzip and tables need; None: nothing is known."""
        if compared != self._compared:
            self._compared = compared
            self.refresh()

    def _show_references(self, train: Table) -> None:
        for line in (self.uniform_guess, self.frequencies):
            line.show(math.nan, "", log=False)
        compared = self._compared
        if compared is None:
            for line in self.tables:
                line.show(math.nan, "", log=False)
            return
        known = (
            (compared.trigram, TRIGRAM),
            (compared.gzip, GZIP),
            (compared.table, short_table_words(compared.table_order)),
        )
        for line, (bits, words) in zip(self.tables, known, strict=True):
            line.show(bits, f"{words}: {bits:.2f}", log=self.is_log)
            line.set_tip("Bits per byte of the same held-out text, by what has read the rest of it")

    @Slot()
    def _place_names(self) -> None:
        super()._place_names()
        view = self.chart.getPlotItem().getViewBox()
        (_, right), (low, high) = view.viewRange()
        right -= self.right_margin * view.viewPixelSize()[0]
        line_height = self.line_names[0].boundingRect().height() * (high - low) / max(view.height(), 1.0)
        taken = math.inf
        for line in sorted(self.tables, key=lambda line: -line.value):
            bottom = line.value if line.value + line_height <= taken else line.value - line_height
            line.place_name(right, below=bottom < line.value, fits=bottom >= low, at_left=True)  # curves begin high
            taken = bottom

    @Slot()
    def _restyle_tables(self) -> None:
        for line in self.tables:
            line.restyle(self._theme)
