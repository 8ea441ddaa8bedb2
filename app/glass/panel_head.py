"""The head of a glass box panel: its title and description, the source of its numbers, and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, plain_tip, row
from terrarium.app.kit.export_button import ExportButton
from terrarium.app.kit.help_mark import HelpLink, set_term
from terrarium.app.kit.layout.tab_order import put_after, stops_of
from terrarium.app.kit.theme import SPACE, ThemeProvider


@dataclass(frozen=True, kw_only=True)
class About:
    """The description of a panel, each field in a sentence or two. `shows` is below the title, the rest behind “?”.

    source: where the numbers come from: which pass, which model, exact or pooled.
    limits: what the numbers do not mean.
    term: the glossary term that explains the panel, or ''.
    """

    title: str
    shows: str
    source: str
    limits: str
    term: str = ""


class PanelHead(QWidget):
    """A title, a one-line description, a “?” button for the details, and the export button.

    `add` puts more controls to the right of the title.
    """

    def __init__(self, theme: ThemeProvider, about: About, export: ExportButton | None = None) -> None:
        super().__init__()
        title = label(about.title, "subheading")
        self.help_button = QToolButton()
        theme.set_icon(self.help_button, "question", "muted")
        self.help_button.setCheckable(True)
        self.help_button.setAccessibleName(f"About: {about.title}")
        details = f"Where the numbers come from: {about.source}\n\nWhat they do not mean: {about.limits}"
        self.help_button.setToolTip(plain_tip(details))
        self.help_button.toggled.connect(self._on_help_toggled)
        self._title_row = row(title, self.help_button, None, spacing=SPACE // 2)
        if export is not None:
            export.name = about.title
            export.setText("")
            export.setAccessibleName("Export")
            export.setProperty("role", "quiet-icon")
            self._title_row.addWidget(export)
        self._shows = label(about.shows, "caption", wrap=True)
        self._more = label(f"{about.source} {about.limits}", "caption", wrap=True)
        self._note = label("", "caption", wrap=True)
        self._term = QWidget()
        if about.term:
            set_term(self, about.term)
            self._term.setLayout(row(HelpLink(about.term), None))
        for hidden in (self._more, self._term, self._note):
            hidden.hide()
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(2)
        lines.addLayout(self._title_row)
        for line in (self._shows, self._more, self._term, self._note):
            lines.addWidget(line)

    def add(self, widget: QWidget) -> None:
        """Add a control to the right of the title, before the export button."""
        at = 3
        while (item := self._title_row.itemAt(at)) is not None and not isinstance(item.widget(), ExportButton):
            at += 1
        last = self._title_row.itemAt(at - 1)
        before = (last.widget() if last is not None else None) or self.help_button
        self._title_row.insertWidget(at, widget)
        put_after(before, *stops_of(widget))

    def set_note(self, words: str) -> None:
        """Show a note about the current content, such as that the model was trained further; '' hides it."""
        self._note.setText(words)
        self._note.setVisible(bool(words))

    @property
    def note(self) -> str:
        """The note about the current content."""
        return self._note.text()

    @Slot(bool)
    def _on_help_toggled(self, shown: bool) -> None:
        self._more.setVisible(shown)
        self._term.setVisible(shown and self._term.layout() is not None)
