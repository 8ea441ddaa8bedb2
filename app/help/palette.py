"""The command palette: a search field that finds every action, place, run and term, and performs or shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGraphicsDropShadowEffect,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from terrarium.app.kit.basics import column, label
from terrarium.app.kit.inputs import line_edit, named
from terrarium.app.kit.item_list import draw_ground
from terrarium.app.kit.theme import SPACE, ThemeProvider

MAX_SHOWN = 60
"""The maximum number of rows; typing another letter narrows the list."""
MAX_RECENT = 12
_WIDTH, _ROWS = 640, 11
_PAD = 10
_MOVES = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: _ROWS, Qt.Key.Key_PageUp: -_ROWS}
_WHERE, _KEYS = Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2
_IN_OTHERS = 10
"""The penalty of a match in the other search terms instead of the title."""


@dataclass(frozen=True, kw_only=True)
class PaletteEntry:
    """An action that the palette offers.

    key: an id that is the same at each launch, "" if the entry is not to be remembered. where: its menu, tab or list.
    keys: its shortcut in the platform's notation. find_by: additional search terms.
    """

    key: str
    title: str
    do: Callable[[], object]
    where: str = ""
    keys: str = ""
    find_by: str = ""

    @cached_property
    def folded(self) -> tuple[str, str]:
        """The title, and the other search terms, both in lower case."""
        return self.title.casefold(), f"{self.where} {self.find_by}".casefold()


class PaletteSource(Protocol):
    """A provider of entries, which is queried each time the palette opens."""

    def entries(self) -> Sequence[PaletteEntry]: ...


class Palette(QFrame):
    """An overlay at the top centre of its window.

    Signals:
        used(keys): an entry was used; `keys` are those of the recently used entries, the newest first.
    """

    used = Signal(object)

    def __init__(
        self,
        sources: Sequence[PaletteSource],
        theme: ThemeProvider,
        window: QWidget,
        recent: Sequence[str] = (),
        *,
        link: Callable[[str], PaletteEntry | None] = lambda typed: None,
    ) -> None:
        """link: the entry for what was typed, if that is a link."""
        super().__init__(window)
        self._sources, self._theme, self._recent = sources, theme, list(recent)[:MAX_RECENT]
        self._link = link
        self._entries: list[PaletteEntry] = []
        self._shown: list[PaletteEntry] = []
        self._came_from: QWidget | None = None
        self.setProperty("role", "toast")
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(32)
        shadow.setOffset(0, 6)
        self.setGraphicsEffect(shadow)
        hint = "Find anything: actions, views, settings, runs, designs, terms; or paste a link"
        self.field = line_edit("Find anything", placeholder=hint)
        self.field.textChanged.connect(self._on_typed)
        self.field.installEventFilter(self)
        self.list = named(QListWidget(), "Found")
        self.list.setProperty("role", "plain")
        self.list.setItemDelegate(_Rows(theme, self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the field keeps the focus while typing
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda item: self._use(self.list.row(item)))
        self.nothing = label("", "muted")
        self.setLayout(column(self.field, self.nothing, self.list, margin=SPACE))
        window.installEventFilter(self)
        self.hide()

    @property
    def titles(self) -> list[str]:
        """The titles of the listed entries, the best first."""
        return [entry.title for entry in self._shown]

    # -- Opening and closing -------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Query the sources and show the palette."""
        self._came_from = QApplication.focusWidget()
        self._entries = [entry for source in self._sources for entry in source.entries()]
        self.field.clear()
        self._on_typed("")
        self._place()
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    @Slot()
    def dismiss(self) -> None:
        """Close the palette, and restore the focus."""
        if self.isHidden():
            return
        came_from, self._came_from = self._came_from, None
        self.hide()
        if came_from is not None and came_from.isVisible():
            came_from.setFocus(Qt.FocusReason.PopupFocusReason)

    def _place(self) -> None:
        window = self.parentWidget()
        assert window is not None
        scale = self._theme.text_scale
        width = min(round(_WIDTH * scale), window.width() - 4 * SPACE)
        delegate = self.list.itemDelegate()
        assert isinstance(delegate, _Rows)
        height = min(_ROWS * delegate.row_height + round(90 * scale), window.height() - 12 * SPACE)
        self.setGeometry((window.width() - width) // 2, min(10 * SPACE, window.height() // 8), width, height)

    # -- Search --------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_typed(self, query: str) -> None:
        link = self._link(query)
        found = rank(query, self._entries, self._recent)[:MAX_SHOWN]
        self._shown = [link] if link is not None else [self._entries[i] for i in found]
        self.list.clear()
        for entry in self._shown:
            item = QListWidgetItem(entry.title)
            item.setData(_WHERE, entry.where)
            item.setData(_KEYS, entry.keys)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, ", ".join(filter(None, (entry.title, entry.where))))
            self.list.addItem(item)
        self.list.setCurrentRow(0 if self._shown else -1)
        self.nothing.setText(f"No results for “{query.strip()}”.")
        self.nothing.setVisible(not self._shown)

    def _use(self, row: int) -> None:
        if not 0 <= row < len(self._shown):
            return
        entry = self._shown[row]
        if entry.key:
            self._recent = [entry.key, *(key for key in self._recent if key != entry.key)][:MAX_RECENT]
        self.dismiss()
        self.used.emit(list(self._recent))
        entry.do()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field:
            return self._on_field(event)
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _on_field(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut and QApplication.activePopupWidget() is None:
            self._came_from = None  # the focus is already in the right place
            self.dismiss()
            return False
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape:
            self.dismiss()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._use(self.list.currentRow())
        elif key in _MOVES and self._shown:
            last, row = len(self._shown) - 1, self.list.currentRow()
            wraps = abs(_MOVES[key]) == 1 and row == (last if _MOVES[key] > 0 else 0)
            to = (0 if row else last) if wraps else min(max(row + _MOVES[key], 0), last)
            self.list.setCurrentRow(to)
        else:
            return False
        return True


class _Rows(QStyledItemDelegate):
    """Paints an entry: its title, and at the right its place and its shortcut."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    @property
    def row_height(self) -> int:
        """The height of a row in pixels."""
        return QFontMetrics(self._theme.font()).height() + 14

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, self.row_height)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        colors = self._theme.theme
        place = QRect(option.rect).adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_ground(painter, place, option, colors)
        text = place.adjusted(_PAD, 0, -_PAD, 0)
        for role, font, colour in (
            (_KEYS, self._theme.mono_font(0.9), "text"),
            (_WHERE, self._theme.font(0.9), "muted"),
        ):
            words, metrics = str(index.data(role) or ""), QFontMetrics(font)
            if words:
                words = metrics.elidedText(words, Qt.TextElideMode.ElideMiddle, text.width() // 2)
                painter.setFont(font)
                painter.setPen(colors.color(colour))
                painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, words)
                text.setRight(text.right() - metrics.horizontalAdvance(words) - 2 * _PAD)
        painter.setFont(self._theme.font())
        painter.setPen(colors.color("text"))
        title = QFontMetrics(self._theme.font()).elidedText(
            str(index.data(Qt.ItemDataRole.DisplayRole)), Qt.TextElideMode.ElideRight, text.width()
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()


class Named(Protocol):
    """An item with a key and `folded`: its title and its other search terms, both in lower case."""

    @property
    def key(self) -> str: ...
    @property
    def folded(self) -> tuple[str, str]: ...


def quality(word: str, text: str) -> int | None:
    """Rate how well a typed word matches a text, smaller is better; None if the text lacks its letters in this order.

    0: the text begins with the word. 1: a word of the text does. 2: the text contains it. 3: the initials of the text's
    words contain it. 4: its letters occur in this order. Both must be in lower case.
    """
    if text.startswith(word):
        return 0
    if f" {word}" in text:
        return 1
    if word in text:
        return 2
    if len(word) > 1 and word in "".join(part[0] for part in text.split()):
        return 3
    rest = iter(text)
    return 4 if all(letter in rest for letter in word) else None


def rank(query: str, entries: Sequence[Named], recent: Sequence[str] = ()) -> list[int]:
    """Return the indices of the entries that match all words of a query, the best first.

    Of equal matches, the most recently used ones come first, then shorter titles, then earlier entries. For an empty
    query: those in `recent`, then all others in their order.

    Args:
        recent: keys of entries, the most recently used first.
    """
    words = query.casefold().split()
    used: Mapping[str, int] = {key: i for i, key in reversed(list(enumerate(recent)))}
    found: list[tuple[int, int, int, int]] = []
    for i, entry in enumerate(entries):
        (title, others), worth = entry.folded, 0
        for word in words:
            fit = quality(word, title)
            if fit is None or fit >= 4:  # prefer a whole word elsewhere to scattered letters here
                other = quality(word, others)
                if other is not None and other < 3:
                    fit = other + _IN_OTHERS if fit is None else min(fit, other + _IN_OTHERS)
            if fit is None:
                break
            worth += fit
        else:
            found.append((worth, used.get(entry.key, len(recent)), len(title) if words else 0, i))
    return [index for *_, index in sorted(found)]
