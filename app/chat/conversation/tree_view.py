"""All branches of a conversation, drawn as a tree; the shown path is marked, and a click shows any message."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFontMetrics, QPainter, QPainterPath, QPen, QResizeEvent
from PySide6.QtWidgets import QListView, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from terrarium.app.chat.archive.message_tree import Chat, Message, TreeRow
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.item_list import draw_ground
from terrarium.app.kit.theme import ThemeProvider

_ROW, _ON_PATH, _HAS_MORE = (Qt.ItemDataRole.UserRole + i for i in range(3))
_LANE, _LEFT, _DOT = 14, 12, 4
"""Pixels: the distance between lanes, the margin left of the first lane, and the radius of a dot."""
_NO_PARENT = QModelIndex()


class ChatTree(QListView):
    """A list with one row per message. Choosing a message shows its branch in the chat.

    Signals:
        navigated(message_id): the user chose a message.
    """

    navigated = Signal(str)

    def __init__(self, conversation: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._conversation = conversation
        self._rows = _Rows(self)
        self.setModel(self._rows)
        self.setProperty("role", "plain")
        self.setAccessibleName("Branches of the conversation")
        self.setItemDelegate(_Lines(theme, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.selectionModel().currentChanged.connect(self._on_current_changed)
        theme.theme_changed.connect(self.doItemsLayout)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self._show)
        conversation.reply_started.connect(self._on_reply_started)
        self._show()

    @Slot()
    def _show(self) -> None:
        chat = self._conversation.chat
        self.setEnabled(not self._conversation.writing)
        with QSignalBlocker(self.selectionModel()):
            self._rows.show_chat(chat)
            if chat.leaf is not None:
                self.setCurrentIndex(self._rows.index_of(chat.leaf.id))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    @Slot(object)
    def _on_reply_started(self, reply: Message) -> None:
        self.setEnabled(False)

    @Slot()
    def _on_current_changed(self) -> None:
        index = self.currentIndex()
        if not index.isValid() or self._conversation.writing:
            return
        message = index.data(_ROW).message
        if not index.data(_ON_PATH):
            self._conversation.show(message.id)
            with QSignalBlocker(self.selectionModel()):
                self.setCurrentIndex(self._rows.index_of(message.id))
        self.navigated.emit(message.id)


class _Rows(QAbstractListModel):
    """The rows of a chat's tree. Data is computed lazily for visible rows: a chat may have 100,000 messages."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._chat = Chat()
        self._on_path: frozenset[str] = frozenset()

    def show_chat(self, chat: Chat) -> None:
        """Show the messages of `chat`."""
        self.beginResetModel()
        self._chat, self._on_path = chat, frozenset(message.id for message in chat.path)
        self.endResetModel()

    def index_of(self, message_id: str) -> QModelIndex:
        """Return the index of a message's row."""
        rows = self._chat.rows
        return self.index(next((i for i in reversed(range(len(rows))) if rows[i].message.id == message_id), -1))

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(self._chat.rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._chat.rows[index.row()]
        message, on_path = row.message, row.message.id in self._on_path
        if role == Qt.ItemDataRole.DisplayRole:
            return message.beginning or "(empty)"
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(f"{_speaker(message)}:\n{message.content[:500]}")
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{_speaker(message)}: {message.beginning}{', shown' if on_path else ''}"
        if role == _ROW:
            return row
        if role == _ON_PATH:
            return on_path
        return bool(self._chat.children(message.id)) if role == _HAS_MORE else None


def _speaker(message: Message) -> str:
    if not message.is_reply:
        return "You"
    if message.edited:
        return "Edited by you"
    return "Model" if message.generation is None else message.generation.model


class _Lines(QStyledItemDelegate):
    """Paints a row: a dot (filled: user, ring: model), the beginning of the message, and the lines of the tree."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(80, QFontMetrics(self._theme.font()).height() + 8)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        colors, row, on_path = self._theme.theme, index.data(_ROW), index.data(_ON_PATH)
        rect = QRect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = rect.left() + _LEFT + _LANE * row.lane
        text = rect.adjusted(x - rect.left() + 2 * _DOT, 1, -2, -1)
        draw_ground(painter, text, option, colors)
        self._draw_lines(painter, rect, row, x, bool(index.data(_HAS_MORE)), index.row() == 0)
        colour = colors.color("accent" if on_path else "faint")
        painter.setPen(QPen(colour, 1.5))
        painter.setBrush(colors.color("surface") if row.message.is_reply else colour)
        painter.drawEllipse(QPointF(x, rect.center().y() + 0.5), _DOT - 0.5, _DOT - 0.5)
        painter.setPen(colors.color("text" if on_path else "muted"))
        painter.setFont(self._theme.font())
        words = text.adjusted(6, 0, -6, 0)
        shown = QFontMetrics(self._theme.font()).elidedText(
            index.data(Qt.ItemDataRole.DisplayRole), Qt.TextElideMode.ElideRight, words.width()
        )
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()

    def _draw_lines(
        self, painter: QPainter, rect: QRect, row: TreeRow, x: float, has_more: bool, is_first: bool
    ) -> None:
        top, middle, bottom = rect.top(), rect.center().y() + 0.5, rect.bottom() + 1
        lines = QPainterPath()
        for lane in row.through:
            at = rect.left() + _LEFT + _LANE * lane
            lines.moveTo(at, middle if is_first and lane == 0 else top)
            lines.lineTo(at, bottom)
        if row.turns_off:
            lines.moveTo(x - _LANE, middle - _DOT)
            lines.quadTo(x - _LANE, middle, x - _DOT, middle)
        elif not is_first:
            lines.moveTo(x, top)
            lines.lineTo(x, middle - _DOT)
        if has_more:
            lines.moveTo(x, middle + _DOT)
            lines.lineTo(x, bottom)
        painter.setPen(QPen(self._theme.theme.color("border_strong"), 1.2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(lines)
