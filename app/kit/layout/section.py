"""A foldable section of a panel."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.theme import ThemeProvider


class Section(QWidget):
    """A heading that shows and hides the body below it.

    Signals:
        folded_changed(bool): the user folded (True) or unfolded the body.
    """

    folded_changed = Signal(bool)

    def __init__(
        self, title: str, theme: ThemeProvider, *, folded: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.title = title
        self._header = QPushButton(title)
        self._header.setProperty("role", "fold")
        self._header.setToolTip("Show or hide this part")
        self._header.setAccessibleName(title)
        self._header.clicked.connect(self._on_clicked)
        self._body: QWidget | None = None
        self._folded = folded
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        line = QHBoxLayout()
        line.addWidget(self._header)
        for mark in help_marks(title, self):
            line.addWidget(mark)
        line.addStretch(1)
        layout.addLayout(line)
        self._show_arrow()

    def set_body(self, body: QWidget) -> None:
        """Put `body` under the heading. Call it once."""
        assert self._body is None, "a section has one body"
        self._body = body
        layout = self.layout()
        assert layout is not None
        layout.addWidget(body)
        body.setVisible(not self._folded)

    @property
    def folded(self) -> bool:
        """Whether the body is hidden."""
        return self._folded

    def set_title(self, title: str) -> None:
        """Change the title."""
        self.title = title
        self._header.setText(title)
        self._header.setAccessibleName(title)

    def set_folded(self, folded: bool) -> None:
        """Hide or show the body."""
        self._folded = folded
        if self._body is not None:
            self._body.setVisible(not folded)
        self._show_arrow()

    def _show_arrow(self) -> None:
        self._theme.set_icon(self._header, "caret-right" if self._folded else "caret-down", "muted")

    def _on_clicked(self) -> None:
        self.set_folded(not self._folded)
        self.folded_changed.emit(self._folded)
