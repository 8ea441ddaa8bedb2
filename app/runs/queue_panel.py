"""The training queue, which can be reordered by dragging or with the keyboard."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, QModelIndex, QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QMenu, QWidget

from terrarium.app.kit.basics import button, column, label, plain_tip, row
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count
from terrarium.models.runs.run_queue import QueuedRun

_MAX_ROWS = 5


class QueuePanel(QWidget):
    """The queue with its controls; hidden while it is empty.

    Signals:
        removed(item, index): a QueuedRun was removed; `session.queue.put_back` undoes that.
    """

    removed = Signal(object, int)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.title = label("", "subheading")
        self.start = button(
            "Start", theme, session.queue.start, icon="play-fill", tip="Train the queued runs one after the other"
        )
        self.hold = button(
            "Hold", theme, session.queue.hold, icon="pause-fill", tip="Finish the current run, then start no other"
        )
        self.list = _QueueList(session)
        self.list.menu_asked.connect(self._show_menu)
        self.list.remove_asked.connect(self.remove)
        self.title.setContentsMargins(SPACE, 0, 0, 0)
        self.setLayout(column(row(self.title, None, self.start, self.hold), self.list, spacing=SPACE // 2))
        session.queue.changed.connect(self._show)
        self._show()

    def remove(self, item_id: str) -> None:
        """Remove an item."""
        index = next((i for i, item in enumerate(self._session.queue.waiting) if item.id == item_id), 0)
        item = self._session.queue.remove(item_id)
        if item is not None:
            self.list.setCurrentRow(min(index, self.list.count() - 1))  # so that the keyboard can continue from there
            self.removed.emit(item, index)

    def make_menu(self, item: QueuedRun) -> QMenu:
        """Return the context menu of an item."""
        session, n = self._session, len(self._session.queue.waiting)
        index = next(i for i, other in enumerate(session.queue.waiting) if other.id == item.id)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        untried = "" if item.problem else "It has not been tried yet."
        at_top, at_end = "" if index else "It is the first.", "" if index < n - 1 else "It is the last."
        for words, icon, problem, do in (
            ("Try again", "arrow-clockwise", untried, lambda: session.queue.retry(item.id)),
            ("First", "arrow-line-up", at_top, lambda: session.queue.move(item.id, 0)),
            ("Up\tAlt+Up", "arrow-up", at_top, lambda: session.queue.move(item.id, index - 1)),
            ("Down\tAlt+Down", "arrow-down", at_end, lambda: session.queue.move(item.id, index + 1)),
            ("Remove", "trash", "", lambda: self.remove(item.id)),
        ):
            action = menu.addAction(self._theme.icon(icon), words)
            action.setEnabled(not problem)
            action.setToolTip(problem)
            action.triggered.connect(lambda checked=False, do=do: do())
        return menu

    @Slot()
    def _show(self) -> None:
        session, n = self._session, len(self._session.queue.waiting)
        self.setVisible(n > 0)
        held = ", held" if session.queue.is_held else ""
        self.title.setText(f"{format_count(n, 'run')} queued{held}")
        self.start.setVisible(not session.queue.is_draining)
        self.hold.setVisible(session.queue.is_draining)
        self.list.show_items()

    @Slot(str, QPoint)
    def _show_menu(self, item_id: str, point: QPoint) -> None:
        item = next((item for item in self._session.queue.waiting if item.id == item_id), None)
        if item is not None:
            self.make_menu(item).popup(point)


class _QueueList(QListWidget):
    """The items of the queue. Alt with an arrow key moves an item, Delete removes it.

    Signals:
        menu_asked(id, point): the user wants the context menu of an item, at a point of the screen.
        remove_asked(id): the user wants to remove an item.
    """

    menu_asked = Signal(str, QPoint)
    remove_asked = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setProperty("role", "plain")
        self.setAccessibleName("Queued runs")
        self.setToolTip("Drag to reorder, or press Alt with an arrow key; Delete removes a run")
        self.setDragDropMode(QListWidget.DragDropMode.InternalMove)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self.model().rowsMoved.connect(self._on_moved)

    def show_items(self) -> None:
        """Show the queue, keeping the selection."""
        chosen = self._id(self.currentItem())
        self.clear()
        for number, waiting in enumerate(self._session.queue.waiting, start=1):
            words = "  could not start" if waiting.problem else "  resumes" if waiting.run else ""
            item = QListWidgetItem(f"{number}  {waiting.name}{words}")
            item.setData(Qt.ItemDataRole.UserRole, waiting.id)
            item.setToolTip(
                plain_tip(waiting.problem or f"{waiting.name}\nDrag to reorder, or press Alt with an arrow key.")
            )
            self.addItem(item)
            if waiting.id == chosen:
                self.setCurrentItem(item)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        chosen, index = self._id(self.currentItem()), self.currentRow()
        by = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if chosen and event.key() == Qt.Key.Key_Delete:
            self.remove_asked.emit(chosen)
        elif chosen and by is not None and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            if 0 <= index + by < self.count():
                self._session.queue.move(chosen, index + by)
        else:
            super().keyPressEvent(event)

    def _fit(self) -> None:
        """Fit the height to the rows, up to `_MAX_ROWS`."""
        one = self.sizeHintForRow(0) if self.count() else QFontMetrics(self.font()).height()
        self.setFixedHeight(min(self.count(), _MAX_ROWS) * one + 2 * self.frameWidth() + SPACE // 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)

    @staticmethod
    def _id(item: QListWidgetItem | None) -> str:
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    @Slot(QModelIndex, int, int, QModelIndex, int)
    def _on_moved(self, parent: QModelIndex, start: int, end: int, target: QModelIndex, row: int) -> None:
        index = row if row < start else row - 1
        # Deferred, since it refills the list, and Qt is still moving its rows.
        QTimer.singleShot(0, partial(self._session.queue.move, self._id(self.item(index)), index))

    @Slot(QPoint)
    def _on_menu(self, point: QPoint) -> None:
        item = self.itemAt(point)
        if item is not None:
            self.menu_asked.emit(self._id(item), self.viewport().mapToGlobal(point))
