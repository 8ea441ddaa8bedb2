"""The glossary beside the tabs: a search, the terms, and an entry with its formula and a link to its place."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListWidget, QPushButton, QWidget

from terrarium.app.help.glossary import Entry, Glossary
from terrarium.app.help.picture import PictureView
from terrarium.app.help.pictures import PICTURES
from terrarium.app.help.places import PLACES
from terrarium.app.kit.basics import button, column, frame, label, row, scrolled, show_if, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import line_edit, named
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.layout.whole_rows import WholeRows
from terrarium.app.kit.theme import SPACE, ThemeProvider

_WIDTH = 300
"""The minimum width of the panel in pixels at the default text size."""
_DIALOG = 380, 560
"""The width and height of the glossary over a dialog, in pixels at the default text size."""


class HelpPanel(QWidget):
    """The glossary; it never blocks the window.

    Args:
        problem: why the glossary is missing, "" if it is not.

    Signals:
        see_requested(place): go to this place, one of app.help.places.
        keys_requested(): show the keyboard shortcuts.
        closed(): the user closed the panel.
    """

    see_requested = Signal(str)
    keys_requested = Signal()
    closed = Signal()

    def __init__(self, glossary: Glossary, theme: ThemeProvider, problem: str = "", *, leads: bool = True) -> None:
        """Create the panel. leads: whether it has links to places in the window and to the shortcuts."""
        super().__init__()
        self._glossary, self._theme, self._problem = glossary, theme, problem
        self.entry: Entry | None = None
        """The shown entry."""
        self.setProperty("role", "page")
        self.search = line_edit("Search the glossary", placeholder="Search the glossary", clears=True)
        self.search.textChanged.connect(self._on_searched)
        self.search.returnPressed.connect(self._on_return)
        self.search.installEventFilter(self)
        self.terms = named(QListWidget(), "Terms")
        self.terms.setProperty("role", "plain")
        self.terms.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.terms.currentTextChanged.connect(self._on_chosen)
        self.nothing = label("", "muted", wrap=True)
        self.keys = button("Keyboard shortcuts", theme, self.keys_requested.emit, icon="keyboard", role="link")
        close = button("", theme, self.closed.emit, icon="x", role="quiet-icon", tip="Close the glossary (Esc)")
        self._build_entry()
        for way in (self.see, self.where, self.keys):
            way.setVisible(leads)
        head, terms = row(label("Glossary", "heading"), None, close), WholeRows(self.terms)
        contents = head, self.search, self.nothing, terms, self._card, row(self.keys, None)
        margin = (SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        self.setLayout(column(*contents, grows={terms: 2, self._card: 5}, margin=margin))
        show_words(self.nothing, problem)
        self._list(glossary.entries)
        self._show(None)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def _build_entry(self) -> None:
        self.title = label("", "heading", wrap=True)
        self.text = label("", wrap=True, selectable=True)
        self.formula = label("", "mono", wrap=True, selectable=True)
        self._formula_box = frame("sunken", self.formula, margin=SPACE)
        self.see = button("See it", self._theme, self._on_see, icon="arrow-right", role="primary")
        self._related_title = label("Related", "caption")
        self._related = QWidget()
        self._links = FlowLayout(self._related)
        self.picture = PictureView(self._theme)
        self.where = label("", "caption", wrap=True)
        entry = self.title, self.text, self._formula_box, self.picture, self._related_title, self._related
        self._area = scrolled(*entry, None)
        self._card = frame("card", self._area, row(self.see, self.where, grows=self.where))

    # -- Display -------------------------------------------------------------------------------------------------------

    def show_term(self, name: str) -> None:
        """Show and focus the entry of a term or, if the term has no entry, the search for it."""
        entry = self._glossary.find(name) if name else None
        if entry is None:
            self.search.setText(name)
            self.search.selectAll()
            self.search.setFocus(Qt.FocusReason.OtherFocusReason)
            return
        self.search.clear()
        self._show(entry)
        self.terms.setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def links(self) -> list[str]:
        """The related terms that can be clicked."""
        return [link.text() for link in self._related.findChildren(QPushButton)]

    def _show(self, entry: Entry | None) -> None:
        self.entry = entry
        self._card.setVisible(entry is not None)
        if entry is None:
            return
        self.title.setText(entry.term)
        self.text.setText(entry.text)
        self.formula.setText(entry.formula)
        self._formula_box.setVisible(bool(entry.formula))
        self.picture.show_picture(PICTURES.get(entry.picture), entry.term)
        self.see.setAccessibleName(f"See it: {PLACES[entry.see]}")
        self.where.setText(PLACES[entry.see])
        while (item := self._links.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.hide()
                old.setParent(None)
                old.deleteLater()
        for term in entry.related:
            self._links.addWidget(
                button(term, self._theme, lambda term=term: self.show_term(term), role="link")  # type: ignore[misc]
            )
        put_after(self._area, *stops_in(self._related))
        show_if(entry.related, self._related_title, self._related)
        with QSignalBlocker(self.terms):
            found = self.terms.findItems(entry.term, Qt.MatchFlag.MatchExactly)
            self.terms.setCurrentRow(self.terms.row(found[0]) if found else -1)
            if found:
                self.terms.scrollToItem(found[0])

    def _list(self, entries: Sequence[Entry]) -> None:
        with QSignalBlocker(self.terms):
            self.terms.clear()
            self.terms.addItems([entry.term for entry in entries])

    @Slot(str)
    def _on_searched(self, query: str) -> None:
        found = self._glossary.search(query)
        self._list(found if query.strip() else self._glossary.entries)
        self.nothing.setText(self._problem or f"No entry for “{query.strip()}”.")
        self.nothing.setVisible(not found)
        if query.strip():
            self._show(found[0] if found else None)

    @Slot()
    def _on_return(self) -> None:
        self.terms.setFocus(Qt.FocusReason.TabFocusReason)

    @Slot(str)
    def _on_chosen(self, term: str) -> None:
        entry = self._glossary.find(term)
        if entry is not None:
            self._show(entry)

    @Slot()
    def _on_see(self) -> None:
        if self.entry is not None:
            self.see_requested.emit(self.entry.see)

    @Slot()
    def _restyle(self) -> None:
        self.setMinimumWidth(round(_WIDTH * self._theme.text_scale))

    # -- Keyboard ------------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Down:
            self.terms.setFocus(Qt.FocusReason.TabFocusReason)
            return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)


class HelpDialog(Dialog):
    """The glossary in its own window, over a modal dialog; so it has no links to places in the main window."""

    def __init__(self, glossary: Glossary, problem: str, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Glossary")
        self.panel = HelpPanel(glossary, theme, problem, leads=False)
        self.panel.closed.connect(self.close)
        self.setLayout(column(self.panel))
        self.resize(*(round(side * theme.text_scale) for side in _DIALOG))

    def show_term(self, term: str) -> None:
        """Show a term, or the search if the term has no entry."""
        self.show()
        self.activateWindow()
        self.panel.search.setFocus()
        self.panel.show_term(term)
