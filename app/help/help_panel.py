"""The glossary beside the tabs: a search, the terms, and an entry with its formula and a link to its place."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QListWidget, QPushButton, QSizePolicy, QWidget

from terrarium.app.help.glossary import Entry, Glossary
from terrarium.app.help.pictures import PICTURES, Bars, Lines, Picture
from terrarium.app.help.places import PLACES
from terrarium.app.kit.basics import button, column, frame, label, row, scrolled, show_if, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import line_edit, named
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.theme import SPACE, ThemeProvider

_WIDTH = 300
"""The minimum width of the panel in pixels at the default text size."""
_DIALOG = 380, 560
"""The width and height of the glossary over a dialog, in pixels at the default text size."""
_HEIGHT = 84
"""The height of the drawing without captions, in pixels at the default text size."""
_ROLES = ("accent", "warning", "muted")
"""The colours of the lines; each line is also named."""


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
        self.picture = _PictureView(self._theme)
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


class _PictureView(QWidget):
    """Paints the small picture of an entry."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._picture: Picture | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.updateGeometry)

    def show_picture(self, picture: Picture | None, name: str) -> None:
        """Show a picture, or None for nothing; screen readers read `name`."""
        self._picture = picture
        self.setAccessibleName(f"Picture of {name}")
        self.setVisible(picture is not None)
        self.update()

    @property
    def picture(self) -> Picture | None:
        """The shown picture."""
        return self._picture

    def sizeHint(self) -> QSize:
        return QSize(240, round(_HEIGHT * self._theme.text_scale) + self._caption_height)

    @property
    def _caption_height(self) -> int:
        return QFontMetrics(self._theme.font(0.85)).height() + SPACE // 2

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._theme.font(0.85))
        below = self._caption_height
        place = QRectF(self.rect()).adjusted(1, 2, -1, -below)
        if isinstance(self._picture, Bars):
            self._paint_bars(painter, place, self._picture)
        elif isinstance(self._picture, Lines):
            self._paint_lines(painter, place, self._picture)

    def _paint_bars(self, painter: QPainter, place: QRectF, bars: Bars) -> None:
        colors = self._theme.theme
        between = 2.0 * SPACE
        width = (place.width() - between * (len(bars.groups) - 1)) / len(bars.groups)
        highest = max(height for group in bars.groups for height in group.heights)
        for i, group in enumerate(bars.groups):
            left, top = place.left() + i * (width + between), highest if bars.one_scale else max(group.heights)
            step = width / len(group.heights)
            painter.setPen(Qt.PenStyle.NoPen)
            for k, (height, is_kept) in enumerate(zip(group.heights, group.kept, strict=True)):
                tall = place.height() * height / top
                painter.setBrush(colors.color("accent" if is_kept else "border_strong"))
                painter.drawRect(QRectF(left + k * step, place.bottom() - tall, step - 2, tall))
            painter.setPen(colors.color("muted"))
            words = QRectF(left, place.bottom(), width, self._caption_height)
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, group.caption)

    def _paint_lines(self, painter: QPainter, place: QRectF, lines: Lines) -> None:
        colors = self._theme.theme
        values = [y for line in lines.lines.values() for y in line]
        low, high = min(values), max(values)
        painter.setPen(colors.color("border_strong"))
        painter.drawLine(place.bottomLeft(), place.bottomRight())
        for role, line in zip(_ROLES, lines.lines.values(), strict=False):
            painter.setPen(QPen(colors.color(role), 2))
            points = [
                QPointF(
                    place.left() + place.width() * i / (len(line) - 1),
                    place.bottom() - (place.height() - 2) * (y - low) / (high - low),
                )
                for i, y in enumerate(line)
            ]
            painter.drawPolyline(QPolygonF(points))
        self._name_lines(painter, place, lines)

    def _name_lines(self, painter: QPainter, place: QRectF, lines: Lines) -> None:
        """Draw the names in the colours of their lines, and the label of the x axis."""
        metrics, x, y = painter.fontMetrics(), place.left(), place.bottom() + self._caption_height / 2
        for role, name in zip(_ROLES, lines.lines, strict=False):
            painter.setPen(self._theme.theme.color(role))
            painter.drawText(QPointF(x, y + metrics.ascent() / 2), name)
            x += metrics.horizontalAdvance(name) + 1.5 * SPACE
        painter.setPen(self._theme.theme.color("muted"))
        words = f"{lines.x} →" + (" (sketch)" if lines.is_sketch else "")
        right = QRectF(x, place.bottom(), place.right() - x, self._caption_height)
        painter.drawText(right, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
