"""The legend of an overlay: each run's line style, value and visibility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetrics, QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import SPACE, ThemeProvider

_PATTERNS = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_ID = Qt.ItemDataRole.UserRole
_SWATCH = QSize(22, 12)
_WIDEST = "888,888"


@dataclass(frozen=True)
class Stroke:
    """A line style: colours and patterns vary together, so that runs differ without colours."""

    colour: QColor
    pattern: Qt.PenStyle

    @classmethod
    def number(cls, i: int, theme: ThemeProvider) -> Stroke:
        """Return the i-th style."""
        colours = theme.theme.categories
        return cls(QColor(colours[i % len(colours)]), _PATTERNS[i % len(_PATTERNS)])


class OverlayLegend(QTreeWidget):
    """A row per run, with a check box.

    Signals:
        hidden_changed(): a run was shown or hidden.
        pointed(run_id): the pointer or the keyboard is at this run; '' if at none.
        opened(run_id): the user double-clicked a run, or pressed Return on it.
    """

    hidden_changed = Signal()
    pointed = Signal(str)
    opened = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: dict[str, QTreeWidgetItem] = {}
        self._problems: dict[str, str] = {}
        self.setProperty("role", "plain")
        self.setAccessibleName("Compared runs")
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setMouseTracking(True)
        self.setIconSize(_SWATCH)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)  # ResizeToContents is slow with 200 rows
        self.setToolTip("Uncheck a run to hide its line; double-click to open it")
        self.itemChanged.connect(self._on_changed)
        self.itemEntered.connect(lambda item: self.pointed.emit(item.data(0, _ID)))
        self.currentItemChanged.connect(self._on_current)
        self.itemActivated.connect(lambda item: self.opened.emit(item.data(0, _ID)))
        theme.theme_changed.connect(self.restyle)

    def set_runs(self, names: Mapping[str, str]) -> None:
        """Replace the runs, by id; hidden runs stay hidden."""
        hidden = self.hidden
        with QSignalBlocker(self):
            self.clear()
            self._items, self._problems = {}, {}
            for run_id, name in names.items():
                item = QTreeWidgetItem([name, ""])
                item.setData(0, _ID, run_id)
                item.setToolTip(0, plain_tip(name))
                item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(0, Qt.CheckState.Unchecked if run_id in hidden else Qt.CheckState.Checked)
                self._items[run_id] = item
            self.addTopLevelItems(list(self._items.values()))
        self.restyle()

    @property
    def hidden(self) -> set[str]:
        """The ids of the unchecked runs."""
        return {run_id for run_id, item in self._items.items() if item.checkState(0) == Qt.CheckState.Unchecked}

    def stroke(self, run_id: str) -> Stroke:
        """Return the line style of a run."""
        return Stroke.number(list(self._items).index(run_id), self._theme)

    def swatch(self, run_id: str) -> QIcon:
        """Return an icon with the run's line style."""
        item = self._items.get(run_id)
        return item.icon(0) if item is not None else QIcon()

    def show_all(self, shown: bool) -> None:
        """Check all runs, or none."""
        with QSignalBlocker(self):
            for item in self._items.values():
                item.setCheckState(0, Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked)
        self.viewport().update()
        self.hidden_changed.emit()

    def set_values(self, values: Mapping[str, str]) -> None:
        """Show a value beside each run."""
        with QSignalBlocker(self):
            for run_id, item in self._items.items():
                words = values.get(run_id, "–")
                if item.text(1) != words:
                    item.setText(1, words)
        self.viewport().update()

    def set_problems(self, problems: Mapping[str, str]) -> None:
        """Mark runs with a problem, by id; its message becomes the tooltip."""
        if problems == self._problems:
            return
        self._problems = dict(problems)
        with QSignalBlocker(self):
            for run_id, item in self._items.items():
                problem = problems.get(run_id, "")
                item.setToolTip(0, plain_tip(problem or item.text(0)))
                item.setForeground(0, self._theme.theme.color("danger" if problem else "text"))

    @Slot()
    def restyle(self) -> None:
        """Apply the theme's colours and fonts."""
        numbers = QFontMetrics(self._theme.mono_font(0.9))
        self.header().resizeSection(1, numbers.horizontalAdvance(_WIDEST) + 2 * SPACE)
        with QSignalBlocker(self):
            for i, item in enumerate(self._items.values()):
                item.setIcon(0, _swatch(Stroke.number(i, self._theme), self.devicePixelRatioF()))
                item.setForeground(1, self._theme.theme.color("muted"))
                item.setFont(1, self._theme.mono_font(0.9))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.pointed.emit("")

    @Slot(QTreeWidgetItem, int)
    def _on_changed(self, item: QTreeWidgetItem, column: int) -> None:
        if column == 0:
            self.hidden_changed.emit()

    @Slot(QTreeWidgetItem, QTreeWidgetItem)
    def _on_current(self, current: QTreeWidgetItem | None, previous: QTreeWidgetItem | None) -> None:
        if self.hasFocus():
            self.pointed.emit(current.data(0, _ID) if current is not None else "")


def _swatch(stroke: Stroke, scale: float) -> QIcon:
    picture = QPixmap(_SWATCH * scale)
    picture.setDevicePixelRatio(scale)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(stroke.colour, 2.2, stroke.pattern, Qt.PenCapStyle.FlatCap))
    middle = _SWATCH.height() / 2
    painter.drawLine(QPointF(0, middle), QPointF(_SWATCH.width(), middle))
    painter.end()
    return QIcon(picture)
