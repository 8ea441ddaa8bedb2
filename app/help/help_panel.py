"""The glossary beside the tabs: a search, the terms, and an entry with its formula and a link to its place."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QPushButton, QVBoxLayout, QWidget

from terrarium.app.help.glossary import Entry, Glossary
from terrarium.app.help.picture import PictureView
from terrarium.app.help.pictures import PICTURES
from terrarium.app.help.places import PLACES
from terrarium.app.kit.basics import button, column, frame, label, row, scrolling
from terrarium.app.kit.dialog import Dialog
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
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the glossary")
        self.search.setAccessibleName("Search the glossary")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._on_searched)
        self.search.returnPressed.connect(self._on_return)
        self.search.installEventFilter(self)
        self.terms = QListWidget()
        self.terms.setProperty("role", "plain")
        self.terms.setAccessibleName("Terms")
        self.terms.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.terms.currentTextChanged.connect(self._on_chosen)
        self.nothing = label("", "muted", wrap=True)
        self.keys = button("Keyboard shortcuts", theme, self.keys_requested.emit, icon="keyboard", role="link")
        close = button("", theme, self.closed.emit, icon="x", role="quiet-icon", tip="Close the glossary (Esc)")
        self._build_entry()
        for way in (self.see, self.where, self.keys):
            way.setVisible(leads)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.setSpacing(SPACE)
        layout.addLayout(row(label("Glossary", "heading"), None, close))
        layout.addWidget(self.search)
        layout.addWidget(self.nothing)
        layout.addWidget(WholeRows(self.terms), 2)
        layout.addWidget(self._card, 5)
        layout.addLayout(row(self.keys, None))
        self.nothing.setVisible(bool(problem))
        self.nothing.setText(problem)
        self._list(glossary.entries)
        self._show(None)
        theme.theme_changed.connect(self._restyle)
        self._restyle()

    def _build_entry(self) -> None:
        self._card = frame("card")
        inside = QWidget()
        lines = QVBoxLayout(inside)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        self.title = label("", "heading", wrap=True)
        self.text = label("", wrap=True, selectable=True)
        self.formula = label("", "mono", wrap=True, selectable=True)
        self._formula_box = frame("sunken", margin=SPACE)
        self.see = button("See it", self._theme, self._on_see, icon="arrow-right", role="primary")
        self._related_title = label("Related", "caption")
        self._related = QWidget()
        self._links = FlowLayout(self._related)
        box, card = self._formula_box.layout(), self._card.layout()
        assert box is not None
        assert card is not None
        box.addWidget(self.formula)
        self.picture = PictureView(self._theme)
        for widget in (self.title, self.text, self._formula_box, self.picture):
            lines.addWidget(widget)
        self.where = label("", "caption", wrap=True)
        way = row(self.see, self.where)
        way.setStretch(1, 1)
        lines.addWidget(self._related_title)
        lines.addWidget(self._related)
        lines.addStretch(1)
        self._area = scrolling(inside)
        card.addWidget(self._area)
        assert isinstance(card, QVBoxLayout)
        card.addLayout(way)

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
        for widget in (self._related_title, self._related):
            widget.setVisible(bool(entry.related))
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
