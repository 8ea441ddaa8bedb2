"""The list of missions: each entry says what to do, opens the place, and is ticked when completed."""

from __future__ import annotations

from PySide6.QtCore import QSize, Slot
from PySide6.QtWidgets import QGridLayout, QPushButton, QWidget

from terrarium.app.guide.guide import Guide
from terrarium.app.guide.missions import MISSIONS
from terrarium.app.kit.basics import button
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import capitalized


class MissionsList(QWidget):
    """One button for each mission, in two columns where there is room."""

    def __init__(self, guide: Guide, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guide, self._theme = guide, theme
        self.rows: dict[str, QPushButton] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACE // 2)
        for mission in MISSIONS:
            entry = button(mission.title, theme, role="chapter", tip=capitalized(mission.how))
            entry.clicked.connect(lambda checked=False, mission=mission: guide.go_to(mission))
            self.rows[mission.name] = entry
        self._n_columns = 0
        guide.changed.connect(self._show)
        self._show()
        RelayoutOnResize(self, self._arrange)
        self._arrange()

    def _arrange(self) -> None:
        entries = list(self.rows.values())
        n = 2 if self.width() >= 2 * self._widest + self._grid.spacing() else 1
        if n == self._n_columns:
            return
        self._n_columns = n
        for i, entry in enumerate(entries):
            self._grid.addWidget(entry, i // n, i % n)
        self._grid.setColumnStretch(1, n - 1)  # without a second column, the first takes the full width
        self._grid.setColumnStretch(0, 1)

    def minimumSizeHint(self) -> QSize:
        """The minimum size of one column, the layout in narrow windows."""
        return QSize(self._widest, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """The size of one column: a second column only uses spare width."""
        return QSize(self._widest, super().sizeHint().height())

    @property
    def _widest(self) -> int:
        return max(entry.sizeHint().width() for entry in self.rows.values())

    @Slot()
    def _show(self) -> None:
        for mission in MISSIONS:
            entry, is_done = self.rows[mission.name], mission.name in self._guide.progress.missions
            icon = "check-circle" if is_done else "circle"
            if entry.property("iconName") != icon:
                self._theme.set_icon(entry, icon, "accent" if is_done else "muted")
                entry.setAccessibleName(f"{mission.title}, {'done' if is_done else 'not done yet'}")
