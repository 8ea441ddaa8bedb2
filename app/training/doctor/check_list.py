"""The checks that found nothing, each with what it looked at, and those that cannot be made yet."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from app.kit.basics import frame, label
from app.kit.theme import SPACE, ThemeProvider
from models.training.doctor import TITLES, Check

_ICON = 16


class CheckList(QWidget):
    """A line for every check there is; those that do not apply now are hidden."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lines = {kind: _Line(title) for kind, title in TITLES.items()}
        box = frame("card", margin=2 * SPACE)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACE + SPACE // 2)
        self._grid.setVerticalSpacing(SPACE)
        self._grid.setColumnStretch(2, 1)
        for i, line in enumerate(self._lines.values()):
            for column, widget in enumerate((line.icon, line.title, line.words)):
                widget.setAlignment(Qt.AlignmentFlag.AlignTop)
                self._grid.addWidget(widget, i, column)
        inside = box.layout()
        assert isinstance(inside, QVBoxLayout)
        inside.addLayout(self._grid)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(box)
        theme.theme_changed.connect(self._restyle)

    def set_checks(self, checks: Sequence[Check]) -> None:
        """Show these, in the order of all checks."""
        by_kind = {check.kind: check for check in checks}
        for kind, line in self._lines.items():
            line.set_check(by_kind.get(kind))
        self._restyle()
        self.setVisible(bool(by_kind))

    def words(self) -> list[str]:
        """What is shown, line by line."""
        return [f"{line.title.text()}: {line.words.text()}" for line in self._lines.values() if line.check is not None]

    @Slot()
    def _restyle(self) -> None:
        for line in self._lines.values():
            possible = line.check is None or line.check.possible
            icon = self._theme.icon("check-circle" if possible else "hourglass", "accent" if possible else "muted")
            line.icon.setPixmap(icon.pixmap(_ICON, _ICON))


class _Line:
    """The widgets of one check."""

    def __init__(self, title: str) -> None:
        self.check: Check | None = None
        self.icon, self.title, self.words = QLabel(), label(title), label("", "muted", wrap=True)

    def set_check(self, check: Check | None) -> None:
        self.check = check
        for widget in (self.icon, self.title, self.words):
            widget.setVisible(check is not None)
        if check is not None:
            self.words.setText(check.words)
            self.icon.setToolTip("Looked for, and not found" if check.possible else "Cannot be looked for yet")
