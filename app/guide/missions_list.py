"""The missions as a list: each says what to do, goes there, and is ticked when it was done."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QPushButton, QWidget

from app.guide.guide import Guide
from app.guide.missions import MISSIONS
from app.kit.basics import button, column
from app.kit.theme import SPACE, ThemeProvider
from models.number_words import capitalized


class MissionsList(QWidget):
    """One row for each mission."""

    def __init__(self, guide: Guide, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guide, self._theme = guide, theme
        self.rows: dict[str, QPushButton] = {}
        lines = column(spacing=SPACE // 2)
        for mission in MISSIONS:
            entry = button(mission.title, theme, role="chapter", tip=capitalized(mission.how))
            entry.clicked.connect(lambda checked=False, mission=mission: guide.go_to(mission))
            self.rows[mission.name] = entry
            lines.addWidget(entry)
        self.setLayout(lines)
        guide.changed.connect(self._show)
        self._show()

    @Slot()
    def _show(self) -> None:
        for mission in MISSIONS:
            entry, is_done = self.rows[mission.name], mission.name in self._guide.progress.missions
            icon = "check-circle" if is_done else "circle"
            if entry.property("iconName") != icon:
                self._theme.set_icon(entry, icon, "accent" if is_done else "muted")
                entry.setAccessibleName(f"{mission.title}, {'done' if is_done else 'not done yet'}")
