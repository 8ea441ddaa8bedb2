"""Context help: F1 and “?” open the glossary beside the tabs, at the term of the widget."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QApplication, QSplitter, QWidget
from shiboken6 import isValid

from terrarium.app.kit.help_mark import term_at
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import Go, ShowPlace, ShowPreferences
from terrarium.app.shell.keys import KEYS

if TYPE_CHECKING:  # imported on first use, so that the window appears sooner
    from terrarium.app.help.glossary import Glossary
    from terrarium.app.help.help_panel import HelpPanel

log = logging.getLogger(__name__)

_WIDTH = 340
"""The initial width of the panel, in pixels at the default text size."""


def read_glossary() -> tuple[Glossary, str]:
    """Return the glossary, and "" or a sentence that says why it is empty; the log has the details."""
    from terrarium.app.help.glossary import Glossary, load_glossary
    from terrarium.app.help.pictures import PICTURES
    from terrarium.app.help.places import PLACES

    try:
        return load_glossary(PLACES, PICTURES), ""
    except (ValueError, OSError) as error:
        log.warning("The glossary cannot be read: %s", error)
        return Glossary(()), "The glossary cannot be read; the log says why."


class HelpDesk(QObject):
    """Shows the glossary beside the tabs of a window.

    Args:
        body: holds the tabs, `pages`; the panel is added to it when it is first shown.

    Signals:
        opened(), closed(): the panel was shown, or hidden.
    """

    opened = Signal()
    closed = Signal()

    def __init__(self, body: QSplitter, pages: Pages, go: Go, theme: ThemeProvider) -> None:
        super().__init__(body)
        self._body, self._pages, self._theme = body, pages, theme
        self._go = go
        self.panel: HelpPanel | None = None
        """The panel; None until it is first shown."""
        self._read: tuple[Glossary, str] | None = None
        self._left: QWidget | None = None
        """The widget that had the focus when the panel was opened, and gets it back."""

    @property
    def glossary(self) -> Glossary:
        """The glossary, empty if it cannot be read."""
        return self._read_once()[0]

    def _read_once(self) -> tuple[Glossary, str]:
        if self._read is None:
            self._read = read_glossary()
        return self._read

    def open_here(self) -> None:
        """Explain the focused widget or, if it has no term, the widget under the pointer; otherwise show the search."""
        at = QApplication.widgetAt(self._body.cursor().pos())
        under = at if at is not None and at.window() is self._body.window() else None
        self.show_term(term_at(QApplication.focusWidget()) or term_at(under))

    def explain(self, term: str, window: QWidget) -> None:
        """Explain a term: in the window or, as a modal dialog covers the panel, over the dialog that requested it."""
        if window is self._body.window():
            self.show_term(term)
            return
        from terrarium.app.help.help_panel import HelpDialog

        dialog = window if isinstance(window, HelpDialog) else window.findChild(HelpDialog)
        if dialog is None:
            dialog = HelpDialog(*self._read_once(), self._theme, window)
        dialog.show_term(term)

    def show_term(self, term: str = "") -> None:
        """Show a term, or the search if the term has no entry."""
        if self.panel is None:
            from terrarium.app.help.help_panel import HelpPanel

            glossary, problem = self._read_once()
            self.panel = HelpPanel(glossary, self._theme, problem)
            self.panel.see_requested.connect(lambda place: self._go(ShowPlace(place)))
            self.panel.keys_requested.connect(lambda: self._go(ShowPreferences(KEYS)))
            self.panel.closed.connect(self.close)
            self._body.addWidget(self.panel)
            width = round(_WIDTH * self._theme.text_scale)
            self._body.setSizes([self._body.width() - width, width])
        focus = QApplication.focusWidget()
        if focus is None or not self.panel.isAncestorOf(focus):
            self._left = focus
        self.opened.emit()
        self.panel.show()
        self.panel.show_term(term)

    @Slot()
    def close(self) -> None:
        """Hide the panel; restore the focus, or focus the page if the former widget is no longer shown."""
        if self.panel is not None:
            self.panel.hide()
            self.closed.emit()
            left = self._left if self._left is not None and isValid(self._left) else None
            page = self._pages.currentWidget()
            if left is not None and left.isVisible():
                left.setFocus()
            elif page is not None:
                page.setFocus()
