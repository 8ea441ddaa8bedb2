"""All branches of a conversation as a drawn tree; the shown path is marked, and a click shows any message."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPainterPath, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.chat.archive.message_tree import Message, TreeRow, tree_rows
from app.chat.conversation.conversation import Conversation
from app.kit.basics import plain_tip
from app.kit.item_list import draw_ground
from app.kit.theme import ThemeProvider

_ROW, _ON_PATH, _HAS_MORE = (Qt.ItemDataRole.UserRole + i for i in range(3))
_LANE, _LEFT, _DOT = 14, 12, 4
"""Pixels between two lanes, before the first, and of a dot's radius."""


class ChatTree(QListWidget):
    """One row per message. Choosing a message shows its branch in the chat.

    Signals:
        navigated(message_id): the user chose a message.
    """

    navigated = Signal(str)

    def __init__(self, conversation: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._conversation, self._theme = conversation, theme
        self.setProperty("role", "plain")
        self.setAccessibleName("Branches of the conversation")
        self.setItemDelegate(_Lines(theme, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.currentItemChanged.connect(self._on_current_changed)
        theme.theme_changed.connect(self.doItemsLayout)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self._show)
        conversation.reply_started.connect(self._on_reply_started)
        self._show()

    @Slot()
    def _show(self) -> None:
        chat = self._conversation.chat
        on_path = {message.id for message in chat.path}
        self.setEnabled(not self._conversation.writing)
        with QSignalBlocker(self):
            self.clear()
            for row in tree_rows(chat):
                self._add(row, row.message.id in on_path, bool(chat.children(row.message.id)))
            if chat.leaf is not None:
                self._select(chat.leaf.id)

    def _add(self, row: TreeRow, on_path: bool, has_more: bool) -> None:
        message = row.message
        item = QListWidgetItem(message.beginning or "(empty)")
        item.setData(_ROW, row)
        item.setData(_ON_PATH, on_path)
        item.setData(_HAS_MORE, has_more)
        shown = ", shown" if on_path else ""
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{_speaker(message)}: {message.beginning}{shown}")
        item.setToolTip(plain_tip(f"{_speaker(message)}:\n{message.content[:500]}"))
        self.addItem(item)

    def _select(self, message_id: str) -> None:
        for i in range(self.count()):
            if self.item(i).data(_ROW).message.id == message_id:
                self.setCurrentRow(i)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.currentItem() is not None:
            self.scrollToItem(self.currentItem())

    @Slot(object)
    def _on_reply_started(self, reply: Message) -> None:
        self.setEnabled(False)

    @Slot()
    def _on_current_changed(self) -> None:
        item = self.currentItem()
        if item is None or self._conversation.writing:
            return
        message = item.data(_ROW).message
        if not item.data(_ON_PATH):
            self._conversation.show(message.id)
            with QSignalBlocker(self):
                self._select(message.id)
        self.navigated.emit(message.id)


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
