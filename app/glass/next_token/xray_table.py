"""The candidate tokens at a position, with their probabilities at each step of sampling."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QRect, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QHeaderView, QWidget

from terrarium.app.glass.names import format_rare
from terrarium.app.glass.xray import Xray, XrayRow
from terrarium.app.kit.forms.sampling_sliders import sampling_label
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.sampling_config import TRUNCATIONS

_TITLES = ("#", "Token", "Model", "Tempered", "Kept", "Final")
_TIPS = (
    "Rank in the model's own distribution, over the whole vocabulary",
    "The token; the one in the text is marked",
    "The model's own probability, before all settings",
    "After biases, penalties and temperature",
    "✓ if it can be drawn; else what cut it off",
    "The probability used in the draw",
)
_CUTS = {"temperature": "no"} | {name: sampling_label(name)[0].lower() for name in TRUNCATIONS}
_NUMBER = "4.2e-12\N{NO-BREAK SPACE}%."
_WIDEST = ("49,152", "", _NUMBER, _NUMBER, "", _NUMBER)
"""The widest content of each column; "" for the columns “Token” and “Kept”, whose widths depend on the rows."""
_TOKEN, _OWN, _KEPT = 1, 2, 4
_MIN_TOKEN_WIDTH = {3: 76, _KEPT: 76}
"""The width of the token column, in pixels, below which each of these columns is hidden; tooltips have all values."""


class XrayTable(RecordTable):
    """A table with a row per token, the most likely after temperature first. A click or Enter chooses a token.

    The table is as high as its rows, since its panel scrolls.

    Signals:
        chosen(int): the token with this id was chosen.
        walked(QRect): the arrow keys moved to the row in this rectangle of the table.
    """

    chosen = Signal(int)
    walked = Signal(QRect)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Top tokens", theme, parent=parent)
        self.can_choose, self.is_drawn = False, True
        self.setProperty("dense", True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAutoScroll(False)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setSectionsClickable(False)
        self.horizontalHeader().setMinimumSectionSize(20)
        self.clicked.connect(self._choose)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def show_xray(self, xray: Xray, name: Callable[[int], str], *, can_choose: bool) -> None:
        """Show another X-ray; see StageBars."""
        self.can_choose = can_choose
        self.show_records(xray.rows, _Rows(xray, name, self).columns(), keeps_rows=True)
        self._size_columns()
        self._update_height()
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if can_choose else Qt.CursorShape.ArrowCursor)

    def set_drawn(self, drawn: bool) -> None:
        """Set whether tokens are sampled at all; if not, only the model's own probability is shown."""
        if drawn != self.is_drawn:
            self.is_drawn = drawn
            self._size_columns()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self._choose(self.currentIndex())
            return
        before = self.currentIndex().row()
        super().keyPressEvent(event)
        if self.currentIndex().row() != before:
            self.walked.emit(self.visualRect(self.currentIndex()).translated(self.viewport().pos()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the panel scrolls

    def _update_height(self) -> None:
        rows = len(self.records) * self.verticalHeader().defaultSectionSize()
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + rows + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_columns()

    def _size_columns(self) -> None:
        """Fit all columns to their widest content, and give the rest of the width to the token column."""
        metrics = QFontMetrics(self._theme.mono_font(0.9))
        header = QFontMetrics(self._theme.font(0.9, bold=True))
        widths = [
            max(metrics.horizontalAdvance(words), header.horizontalAdvance(title)) + 12
            for words, title in zip(_WIDEST, _TITLES, strict=True)
        ]
        cuts = {row.cut for row in self.records if row.cut}
        kept = max((metrics.horizontalAdvance(_CUTS[cut]) + 12 for cut in cuts), default=0)
        widths[_KEPT] = max(widths[_KEPT], kept)
        available = self.viewport().width() - sum(widths) + widths[_TOKEN]
        for column in range(_OWN + 1, len(widths)):
            is_hidden = not self.is_drawn or available < _MIN_TOKEN_WIDTH.get(column, 0)
            self.setColumnHidden(column, is_hidden)
            available += widths[column] if is_hidden else 0
        widths[_TOKEN] = max(available, 40)
        for column, width in enumerate(widths):
            self.setColumnWidth(column, width)

    @Slot()
    def _restyle(self) -> None:
        self.verticalHeader().setDefaultSectionSize(QFontMetrics(self._theme.mono_font(0.9)).height() + 8)
        self._size_columns()
        self._update_height()

    @Slot(QModelIndex)
    def _choose(self, index: QModelIndex) -> None:
        if self.can_choose:
            self.chosen.emit(self.records[index.row()].id)


class _Rows:
    """The texts of the rows of an X-ray."""

    def __init__(self, xray: Xray, name: Callable[[int], str], table: XrayTable) -> None:
        self._xray, self._name, self._table = xray, name, table

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return [self._column(at) for at in range(len(_TITLES))]

    def _column(self, at: int) -> Column:
        return Column(
            title=_TITLES[at],
            about=_TIPS[at],
            value=lambda row: self._words(row, at),
            tip=self._tip,
            is_number=at not in (_TOKEN, _KEPT),
            mono=0.9,
            tone=lambda row: "accent" if row.id == self._xray.chosen else "hint" if row.cut else "text",
        )

    def _words(self, row: XrayRow, column: int) -> str:
        if column == 0:
            return f"{row.rank:,}"
        if column == 1:
            marks = ("● " if row.id == self._xray.chosen else "") + ("▼ " if self._is_hit(row) else "")
            return marks + self._name(row.id)
        if column == _KEPT:
            return _CUTS[row.cut] if row.cut else "✓"
        return format_rare({2: row.own, 3: row.tempered, 5: row.final}[column])

    def _tip(self, row: XrayRow) -> str:
        lines = [f"{self._name(row.id)}   token {row.id:,}, rank {row.rank:,}"]
        lines.append(f"model: {format_rare(row.own)}")
        if self._table.is_drawn:
            lines += [f"after temperature: {format_rare(row.tempered)}", f"final: {format_rare(row.final)}"]
        if row.cut:
            lines.append(
                f"cut off by: {_CUTS[row.cut]}" if row.cut != "temperature" else "never drawn at temperature 0"
            )
        if self._table.can_choose:
            lines.append("Click to continue with it")
        return "\n".join(lines)

    def _is_hit(self, row: XrayRow) -> bool:
        """Return whether the draw lands on this token although the text has another one."""
        return row.id == self._xray.lands and row.id != self._xray.chosen
