"""The base class of all charts: a menu to export and to zoom, and a summary for screen readers."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QContextMenuEvent, QEnterEvent, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from terrarium.app.kit.chart_export import Columns, picture_of
from terrarium.app.kit.export_button import EXPORTS, ExportRequested
from terrarium.app.kit.theme import SPACE, ThemeProvider

_KEYS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)
"""Ways to move the focus by key."""


class ChartBase(QWidget):
    """A widget with a chart. Its menu opens by a click on “⋯”, a right click, the menu key or Shift+F10.

    Subclasses return the numbers that are exported, and a summary; they may add entries to the menu.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._is_pointed = False
        self._more: QToolButton | None = None  # made when the pointer comes: a page may have thirty charts

    # -- For subclasses ---------------------------------------------------------------------------------

    def columns(self) -> Columns:
        """Return all numbers of the chart, for an export."""
        raise NotImplementedError

    def summary(self) -> str:
        """Describe the chart in words, with its ranges and extremes."""
        raise NotImplementedError

    @property
    def export_name(self) -> str:
        """The suggested name of an exported file."""
        return self.accessibleName().partition(".")[0] or "chart"

    def view_actions(self, menu: QMenu) -> list[QAction]:
        """Return the entries of the menu that change what is visible."""
        return []

    def _corner(self) -> QPoint:
        """Return the upper right corner of the chart, where “⋯” appears."""
        return self.rect().topRight()

    # -- Menu -------------------------------------------------------------------------------------------

    def menu(self) -> QMenu:
        """Create the menu of the chart."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if actions := self.view_actions(menu):
            menu.addActions(actions)
            menu.addSeparator()
        menu.addAction("Copy picture").triggered.connect(self.copy_picture)
        for kind, words, _ in EXPORTS:
            action = menu.addAction(f"Export: {words[0].lower()}{words[1:]}")
            action.triggered.connect(lambda checked=False, kind=kind: self._export(kind))
        return menu

    def copy_picture(self) -> None:
        """Copy a picture of the chart to the clipboard."""
        self._show_more(shown=False)
        QGuiApplication.clipboard().setImage(picture_of(self, self._theme.theme.color("surface")))

    def _export(self, kind: str) -> None:
        self._show_more(shown=False)
        request = ExportRequested(self, self.export_name, self.columns, kind)
        asked = self.parentWidget()
        while asked is not None and not request.isAccepted():
            QCoreApplication.sendEvent(asked, request)
            asked = asked.parentWidget()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        is_by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        self.menu().popup(self.mapToGlobal(self._corner()) if is_by_key else event.globalPos())

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self._is_pointed = True
        # Qt may crash when a child is shown or hidden while it tells widgets of the pointer.
        QTimer.singleShot(0, self, self._follow_pointer)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._is_pointed = False
        QTimer.singleShot(0, self, self._follow_pointer)

    @Slot()
    def _follow_pointer(self) -> None:
        self._show_more(shown=self._is_pointed)

    def _show_more(self, *, shown: bool) -> None:
        if self._more is None and shown:
            self._more = more = QToolButton(self)
            more.setText("⋯")
            more.setProperty("role", "quiet")
            more.setAutoRaise(True)
            more.setToolTip("Zoom, copy or export this chart (Menu key, Shift+F10)")
            more.setAccessibleName("Menu of the chart")
            more.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the menu key does the same
            more.clicked.connect(lambda: self.menu().popup(more.mapToGlobal(more.rect().bottomLeft())))
        if self._more is not None:
            self._more.setVisible(shown)
            self._place_more(self._more)
            self._more.raise_()

    def _place_more(self, more: QToolButton) -> None:
        size = more.sizeHint()
        more.resize(size)
        more.move(self._corner() - QPoint(size.width() + SPACE // 2, -SPACE // 4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._more is not None:
            self._place_more(self._more)


def is_by_key(reason: Qt.FocusReason) -> bool:
    """Return whether the focus came by a key, rather than when a window opened or after a click."""
    return reason in _KEYS
