"""The settings of one heading: those that most people need, and behind a fold the others."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from app.kit.forms.slot_row import SlotRow
from app.kit.layout.section import Section
from app.kit.theme import ThemeProvider


class SlotGroup(Section):
    """A folding heading over rows; the advanced ones among them are folded once more, and counted."""

    def __init__(self, title: str, rows: Sequence[SlotRow], theme: ThemeProvider, *, folded: bool = False) -> None:
        super().__init__(title, theme, folded=folded)
        self._provider = theme
        self._rows = {row.field.name: row for row in rows}
        self._shown = dict.fromkeys(self._rows, True)
        self._open, self._is_empty = False, False
        self.more = QToolButton()
        self.more.setProperty("role", "fold-small")
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setToolTip("Show or hide the slots that few designs change")
        self.more.clicked.connect(lambda: self.set_open(not self._open))
        self._hidden_rows = QWidget()
        common, rare = QVBoxLayout(), QVBoxLayout(self._hidden_rows)
        for row in rows:
            (rare if row.field.metadata.get("advanced") else common).addWidget(row)
        body = QWidget()
        lines = QVBoxLayout(body)
        for layout in (common, rare, lines):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)
        lines.addLayout(common)
        lines.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        lines.addWidget(self._hidden_rows)
        self.set_body(body)
        self.show_rows(set(self._rows), {})

    @property
    def is_open(self) -> bool:
        """Whether the advanced rows are shown."""
        return self._open

    def show_rows(self, names: set[str], changed: dict[str, bool]) -> None:
        """Show the rows called `names`; `changed` says which differ from their default, for the fold's words."""
        for name, row in self._rows.items():
            if self._shown[name] != (name in names):
                self._shown[name] = name in names
                row.setVisible(name in names)
        rare = [name for name in self._advanced() if name in names]
        n_changed = sum(changed.get(name, False) for name in rare)
        words = f"{len(rare)} more" + (f", {n_changed} set" if n_changed else "")
        if self.more.text() != words:
            self.more.setText(words)
            self.more.setAccessibleName(f"{self.title}: {words}")
        self._lay_out(bool(rare))
        is_empty = not names & set(self._rows)
        if is_empty != self._is_empty:  # not each time: without a parent yet, it would become a window
            self._is_empty = is_empty
            self.setVisible(not is_empty)

    def set_open(self, is_open: bool) -> None:
        """Show the advanced rows, or fold them away."""
        self._open = is_open
        self._lay_out(any(self._shown[name] for name in self._advanced()))

    def reveal(self, name: str) -> None:
        """Unfold whatever hides the row called `name`."""
        self.set_folded(False)
        if self._rows[name].field.metadata.get("advanced"):
            self.set_open(True)

    def _advanced(self) -> list[str]:
        return [name for name, row in self._rows.items() if row.field.metadata.get("advanced")]

    def _lay_out(self, has_rare: bool) -> None:
        self.more.setVisible(has_rare)
        self._hidden_rows.setVisible(has_rare and self._open)
        icon = "caret-down" if self._open else "caret-right"
        if self.more.property("iconName") != icon:
            self._provider.set_icon(self.more, icon, "muted")
