"""A list of items with a name and a detail line: tokenizers, designs, chats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSignalBlocker,
    QSize,
    Qt,
    QTimer,
    Signal,
    SignalInstance,
    Slot,
)
from PySide6.QtGui import QAction, QFontMetrics, QKeyEvent, QKeySequence, QMouseEvent, QPainter
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from terrarium.app.kit.basics import add_action, plain_tip
from terrarium.app.kit.colours import Theme
from terrarium.app.kit.theme import ThemeProvider

_DETAIL, _PROBLEM = Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2
_PAD = 8


@dataclass(frozen=True)
class Item:
    """An item. key: its identifier. problem: why it cannot be used. brief: the problem in two words.

    can_change: whether it can be renamed, copied and deleted.
    """

    key: str
    name: str
    detail: str = ""
    problem: str = ""
    can_change: bool = True
    brief: str = ""


class ItemList(QListWidget):
    """A list to choose from. Delete deletes and F2 renames an item, if it allows this; after a deletion, the next item
    is chosen and the list gets the focus.

    is_by_keys: whether the last choice was made with the keyboard, so that the focus should stay in the list.

    Signals:
        chosen(key): an item was clicked, or reached with the arrow keys.
        rename_requested(key), duplicate_requested(key), delete_requested(key), reveal_requested(key): by shortcut or
            from the context menu.
    """

    chosen = Signal(str)
    rename_requested = Signal(str)
    duplicate_requested = Signal(str)
    delete_requested = Signal(str)
    reveal_requested = Signal(str)

    def __init__(self, name: str, theme: ThemeProvider, *, can_rename: bool = False, has_folders: bool = False) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "plain")
        self.setAccessibleName(name)
        self.setItemDelegate(_TwoLines(theme, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._items: dict[str, Item] = {}
        self._actions: list[QAction] = []
        self.is_by_keys = False
        self._deleting: tuple[str, int] | None = None  # the key and row of the item to be deleted
        if can_rename:
            self._add_action("Rename…", QKeySequence(Qt.Key.Key_F2), self.rename_requested)
        if has_folders:
            self._add_action("Duplicate", QKeySequence("Ctrl+D"), self.duplicate_requested)
            self._add_action("Show in folder", QKeySequence(), self.reveal_requested)
        self._add_action("Delete", QKeySequence(QKeySequence.StandardKey.Delete), self.delete_requested)
        self.delete_requested.connect(self._on_delete)
        self.currentItemChanged.connect(self._on_current_changed)
        self._visible_rows = 0
        theme.theme_changed.connect(self._on_theme_changed)

    def set_items(self, items: Sequence[Item], current: str = "") -> None:
        """Show `items` with `current` selected, without emitting a signal."""
        with QSignalBlocker(self):
            if tuple(items) != tuple(self._items.values()):
                self._items = {item.key: item for item in items}
                self.clear()
                for item in items:
                    self._add(item)
        self.select(current)
        if self._deleting is not None and self._deleting[0] not in self._items:
            QTimer.singleShot(0, self, self._choose_next)  # after all receivers have handled the deletion

    def select(self, key: str) -> None:
        """Select an item, or none if there is no such item, without emitting a signal."""
        with QSignalBlocker(self):
            keys = list(self._items)
            self.setCurrentRow(keys.index(key) if key in self._items else -1)
        self._allow_actions()

    @Slot(str)
    def _on_delete(self, key: str) -> None:
        keys = list(self._items)
        self._deleting = (key, keys.index(key)) if key in self._items else None

    @Slot()
    def _choose_next(self) -> None:
        """Choose the item after the deleted one."""
        deleting, self._deleting = self._deleting, None
        if deleting is not None and self.count():
            self.is_by_keys = True
            if not self.current_key:
                self.setCurrentRow(min(deleting[1], self.count() - 1))
            self.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.is_by_keys = True
        super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.is_by_keys = False
        super().mousePressEvent(event)

    def item_of(self, key: str) -> Item | None:
        """Return the item with this key, or None."""
        return self._items.get(key)

    def show_rows(self, n: int) -> None:
        """Set the height to `n` rows of two lines, at any text size."""
        self._visible_rows = n
        self._on_theme_changed()

    @property
    def current_key(self) -> str:
        """The selected item's key, '' for none."""
        item = self.currentItem()
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    def _on_theme_changed(self) -> None:
        self.doItemsLayout()
        if self._visible_rows:
            row = two_lines_height(self._theme)
            self.setFixedHeight(self._visible_rows * row + 2 * self.frameWidth())

    def _add(self, item: Item) -> None:
        row = QListWidgetItem(item.name)
        row.setData(Qt.ItemDataRole.UserRole, item.key)
        row.setData(_DETAIL, item.brief or item.problem or item.detail)
        row.setData(_PROBLEM, bool(item.problem))
        row.setData(Qt.ItemDataRole.AccessibleTextRole, f"{item.name}, {item.problem or item.detail}")
        row.setToolTip(plain_tip(item.problem or f"{item.name}\n{item.detail}".strip()))
        self.addItem(row)

    def _add_action(self, text: str, shortcut: QKeySequence, signal: SignalInstance) -> None:
        self._actions.append(add_action(self, text, shortcut, lambda: signal.emit(self.current_key)))

    def _on_current_changed(self) -> None:
        self._allow_actions()
        if self.current_key:
            self.chosen.emit(self.current_key)

    def _allow_actions(self) -> None:
        item = self._items.get(self.current_key)
        for action in self._actions:
            action.setEnabled(item is not None and item.can_change)


def two_lines_height(theme: ThemeProvider) -> int:
    """Return the height in pixels of a row with two lines."""
    return QFontMetrics(theme.font()).height() + QFontMetrics(theme.font(0.9)).height() + 13


def draw_ground(painter: QPainter, place: QRect, option: QStyleOptionViewItem, colors: Theme) -> None:
    """Paint a row's background if it is selected or hovered, with a frame if it has the focus."""
    state = option.state
    selected, hovered = state & QStyle.StateFlag.State_Selected, state & QStyle.StateFlag.State_MouseOver
    if selected or hovered:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("accent_soft" if selected else "sunken"))
        painter.drawRoundedRect(place, 6, 6)
    if state & QStyle.StateFlag.State_HasFocus and selected:
        painter.setPen(colors.color("accent"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(place, 6, 6)


class _TwoLines(QStyledItemDelegate):
    """Paints an item's name, and its detail in a smaller line below."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        if index.data(_DETAIL):
            return QSize(80, two_lines_height(self._theme))
        return QSize(80, QFontMetrics(self._theme.font()).height() + 12)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        colors = self._theme.theme
        place = QRect(option.rect).adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_ground(painter, place, option, colors)
        text = place.adjusted(_PAD, 4, -_PAD, -4)
        for font, role, words in (
            (self._theme.font(), "text", index.data(Qt.ItemDataRole.DisplayRole)),
            (self._theme.font(0.9), "danger" if index.data(_PROBLEM) else "muted", index.data(_DETAIL)),
        ):
            if words:
                metrics = QFontMetrics(font)
                painter.setFont(font)
                painter.setPen(colors.color(role))
                line = QRect(text.left(), text.top(), text.width(), metrics.height())
                painter.drawText(
                    line,
                    Qt.AlignmentFlag.AlignLeft,
                    metrics.elidedText(words, Qt.TextElideMode.ElideRight, text.width()),
                )
                text.setTop(line.bottom() + 2)
        painter.restore()
