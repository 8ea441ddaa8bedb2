"""The list of the replies of a step, grouped by prompt, the largest advantage first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import QFrame, QListView, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.item_list import draw_ground
from terrarium.app.kit.layout.relayout import cut_row
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.alignment.rollout_log import KeptGroup, KeptReply, KeptStep
from terrarium.models.number_words import format_count, with_minus

Index = QModelIndex | QPersistentModelIndex

_BAR, _BAR_HIGH = 36, 8  # pixels: half the width of an advantage's bar, and its height
_HEADING = 2
"""Height of a heading, in rows."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the list: a reply, or the heading of a prompt if `reply` is None."""

    group: KeptGroup
    reply: KeptReply | None


def lines_of(kept: KeptStep) -> list[Line]:
    """Return the rows of a step: for each prompt its heading, then its replies by descending advantage."""
    lines: list[Line] = []
    for group in kept.groups:
        lines.append(Line(group=group, reply=None))
        best_first = sorted(group.replies, key=lambda reply: -reply.advantage)
        lines += [Line(group=group, reply=reply) for reply in best_first]
    return lines


def signed(value: float) -> str:
    """Format a number with its sign: “+0.25” or “−0.25”."""
    return with_minus(f"{value:+.2f}")


def _two_digits(value: float) -> str:
    return with_minus(f"{value:.2f}")


def about_group(group: KeptGroup) -> str:
    """Summarize the rewards of the replies to a prompt."""
    rewards = [reply.reward for reply in group.replies]
    mean = sum(rewards) / len(rewards) if rewards else 0.0
    words = f"{format_count(len(rewards), 'reply', 'replies')}, mean reward {_two_digits(mean)}"
    if rewards and max(rewards) == min(rewards):
        return f"{words}: all earned the same, so they teach nothing"
    return words


def about_reply(reply: KeptReply) -> str:
    """Format the numbers of a reply: reward, advantage, KL and length."""
    meant = {True: "what was meant", False: "not what was meant", None: ""}[reply.gold]
    return " · ".join(
        filter(
            None,
            (
                f"reward {_two_digits(reply.reward)}",
                meant,
                f"advantage {signed(reply.advantage)}",
                f"KL {_two_digits(reply.kl)} nats",
                format_count(len(reply.ids), "token"),
                "" if reply.ended else "cut before it ended",
            ),
        )
    )


class ReplyModel(QAbstractListModel):
    """The list model of a step's rows. say: returns the text of a reply."""

    def __init__(self, say: Callable[[KeptReply], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._say = say
        self.lines: list[Line] = []
        self.widest = 0.0
        """The largest absolute advantage of the step."""

    def show_step(self, kept: KeptStep | None) -> None:
        """Show the replies of a step; None for no replies."""
        self.beginResetModel()
        self.lines = lines_of(kept) if kept is not None else []
        self.widest = max((abs(line.reply.advantage) for line in self.lines if line.reply is not None), default=0.0)
        self.endResetModel()

    def text(self, line: Line) -> str:
        """Return the text of a row on one line."""
        words = line.group.prompt if line.reply is None else self._say(line.reply)
        return " ".join(words.split())

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.lines)

    def flags(self, index: Index) -> Qt.ItemFlag:
        if index.isValid() and self.lines[index.row()].reply is None:
            return Qt.ItemFlag.ItemIsEnabled
        return super().flags(index)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        line = self.lines[index.row()]
        facts = about_group(line.group) if line.reply is None else about_reply(line.reply)
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(line)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self.text(line)}, {facts}"
        return plain_tip(f"{self.text(line)}\n{facts}") if role == Qt.ItemDataRole.ToolTipRole else None


class ReplyList(QListView):
    """The replies of a step; the arrow keys go from one reply to the next, over headings.

    Signals:
        chosen(line): the `Line` of the newly selected reply; None if there is no reply.
    """

    chosen = Signal(object)

    def __init__(self, theme: ThemeProvider, say: Callable[[KeptReply], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.replies = ReplyModel(say)
        self.replies.setParent(self)
        self._theme = theme
        self.setModel(self.replies)
        self.setItemDelegate(_Rows(theme, self.replies, self))
        self.setProperty("role", "plain")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("Replies of the step, by prompt")
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.selectionModel().currentChanged.connect(self._on_current)
        self.replies.modelReset.connect(self._fit)
        theme.theme_changed.connect(self._relayout)

    def sizeHint(self) -> QSize:
        return QSize(440, 320)

    @property
    def line(self) -> Line | None:
        """The selected reply."""
        at = self.currentIndex()
        found = self.replies.lines[at.row()] if at.isValid() else None
        return found if found is not None and found.reply is not None else None

    def show_step(self, kept: KeptStep | None) -> None:
        """Show a step, and select the reply in the same row as before, or the first reply."""
        was = self.currentIndex().row()
        self.replies.show_step(kept)
        lines = self.replies.lines
        wanted = was if 0 < was < len(lines) and lines[was].reply is not None else min(1, len(lines) - 1)
        if lines:
            self.setCurrentIndex(self.replies.index(wanted))
        else:
            self.chosen.emit(None)

    @Slot()
    def _relayout(self) -> None:
        self.doItemsLayout()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        """Set the bottom margin so that the last visible row is not cut off."""
        height, lines = reply_height(self._theme), self.replies.lines
        contents = height * sum(1 if line.reply is not None else _HEADING for line in lines)
        self.setViewportMargins(0, 0, 0, cut_row(self.contentsRect().height(), height, contents))

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, now: QModelIndex, before: QModelIndex) -> None:
        if now.isValid() and self.line is None:  # an arrow key went to a heading: skip it
            step = 1 if now.row() >= before.row() else -1
            row = now.row() + step
            self.setCurrentIndex(self.replies.index(row if 0 < row < self.replies.rowCount() else before.row()))
            return
        self.chosen.emit(self.line)


def reply_height(theme: ThemeProvider) -> int:
    """Return the height of a reply's row, in pixels."""
    return QFontMetrics(theme.font()).height() + SPACE


class _Rows(QStyledItemDelegate):
    """Paints headings over two lines, the first in bold, and replies with a bar of their advantage."""

    def __init__(self, theme: ThemeProvider, model: ReplyModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._model = theme, model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        is_heading = self._model.lines[index.row()].reply is None
        return QSize(120, reply_height(self._theme) * (_HEADING if is_heading else 1))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        line, colors = self._model.lines[index.row()], self._theme.theme
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if line.reply is None:
            self._paint_heading(painter, QRect(option.rect).adjusted(SPACE, SPACE, -SPACE, 0), line)
        else:
            place = QRect(option.rect).adjusted(2, 1, -2, -1)
            draw_ground(painter, place, option, colors)
            self._paint_reply(painter, place.adjusted(SPACE, 0, -SPACE, 0), line, line.reply)
        painter.restore()

    def _paint_heading(self, painter: QPainter, box: QRect, line: Line) -> None:
        colors = self._theme.theme
        for font, role, words in (
            (self._theme.font(bold=True), "text", self._model.text(line)),
            (self._theme.font(0.9), "muted", about_group(line.group)),
        ):
            painter.setFont(font)
            painter.setPen(colors.color(role))
            metrics = painter.fontMetrics()
            words = metrics.elidedText(words, Qt.TextElideMode.ElideRight, box.width())
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft, words)
            box.setTop(box.top() + metrics.height())

    def _paint_reply(self, painter: QPainter, box: QRect, line: Line, reply: KeptReply) -> None:
        colors, middle = self._theme.theme, box.center().y() + 0.5
        axis = box.left() + _BAR + 0.5
        share = reply.advantage / self._model.widest if self._model.widest else 0.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("accent" if share > 0 else "validation"))
        bar = QRectF(axis, middle - _BAR_HIGH / 2, _BAR * share, _BAR_HIGH).normalized()
        painter.drawRoundedRect(bar, 2, 2)
        painter.setPen(colors.color("border_strong"))
        painter.drawLine(int(axis), int(middle - 7), int(axis), int(middle + 7))
        number = self._theme.mono_font(0.9)
        painter.setFont(number)
        wide = painter.fontMetrics().horizontalAdvance("+88.88")
        left = box.left() + 2 * _BAR + SPACE
        painter.setPen(colors.color("muted"))
        vertical = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(
            QRect(left, box.top(), wide, box.height()),
            vertical | Qt.AlignmentFlag.AlignRight,
            signed(reply.advantage),
        )
        left += wide + SPACE
        painter.setFont(self._theme.font())
        mark = QRect(left, box.top(), painter.fontMetrics().horizontalAdvance("✓ "), box.height())
        painter.setPen(colors.color("accent"))
        painter.drawText(mark, vertical, "✓" if reply.gold else "")
        words = self._model.text(line) + ("" if reply.ended else " …")
        text = QRect(mark.right() + 1, box.top(), box.right() - mark.right() - 1, box.height())
        painter.setPen(colors.color("text"))
        # Replies to a prompt often begin alike, so their middle is elided.
        words = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, text.width())
        painter.drawText(text, vertical, words)
