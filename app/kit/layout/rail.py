"""A vertical tab bar of views with icons and names, or with icons only if there is too little space."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QHelpEvent, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QTabBar, QToolTip, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import SPACE, ThemeProvider

_ICON, _BETWEEN = 20, 2
"""The size of an icon at the default text size, and the gap between icon and name, in pixels."""
_ROOMY, _TIGHT = 2 * SPACE, SPACE // 2
"""The vertical padding of a tab (top and bottom together) in pixels, with much and with little space."""
_ONE_LINE = 12
"""Longer names of several words are shown in two lines, so that one name does not widen all tabs."""


class Rail(QTabBar):
    """A vertical tab bar.

    Args:
        icons: a Phosphor name for each of the views that will be added.

    Signals:
        pressed_again(): the current view was clicked again, or Enter or Space was pressed.
    """

    pressed_again = Signal()

    def __init__(self, title: str, icons: Sequence[str], theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._icons = theme, tuple(icons)
        self._shows = True
        self.setShape(QTabBar.Shape.RoundedEast)
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setUsesScrollButtons(False)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.setMouseTracking(True)
        self.setAccessibleName(title)
        self.tabBarClicked.connect(self._on_clicked)
        theme.theme_changed.connect(self._on_theme)

    def set_shows(self, shows: bool) -> None:
        """Set whether the current view is visible; its tab is highlighted only then."""
        self._shows = shows
        self.update()

    # -- Sizes ---------------------------------------------------------------------------------------------------------

    @property
    def _icon_size(self) -> int:
        return round(_ICON * self._theme.text_scale)

    @property
    def _width(self) -> int:
        """The width that the names need."""
        lines = (line for i in range(self.count()) for line in self._lines(i))
        return max(map(self.fontMetrics().horizontalAdvance, lines)) + 2 * SPACE

    def _lines(self, index: int) -> list[str]:
        """Return the name of a tab in one or two lines."""
        name = self.tabText(index)
        return name.split(" ", 1) if len(name) > _ONE_LINE else [name]

    @property
    def shows_names(self) -> bool:
        """Whether there is space for the names."""
        return self.width() >= self._width

    def _metrics_height(self, index: int) -> int:
        return self._icon_size + _BETWEEN + len(self._lines(index)) * self.fontMetrics().height()

    @property
    def _heights(self) -> int:
        """The height that all tabs need, without padding."""
        return sum(map(self._metrics_height, range(self.count())))

    def tabSizeHint(self, index: int) -> QSize:
        inside = self._metrics_height(index)
        padding = (self.height() - self._heights) // max(self.count(), 1)
        room = inside + (padding if self.isVisible() else _ROOMY)
        width = min(self._width, self.width()) if self.isVisible() else self._width
        return QSize(width, min(max(room, inside + _TIGHT), inside + _ROOMY))

    def minimumTabSizeHint(self, index: int) -> QSize:
        return self.tabSizeHint(index)

    def sizeHint(self) -> QSize:
        if not self.count():
            return QSize(0, 0)
        return QSize(self._width, self._heights + self.count() * _ROOMY)

    def minimumSizeHint(self) -> QSize:
        return QSize(self._icon_size + 2 * SPACE, self._heights + self.count() * _TIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._update_layout()

    def _update_layout(self) -> None:
        self.setElideMode(self.elideMode())  # redoes the tab layout, which no other call does

    @Slot()
    def _on_theme(self) -> None:
        self._update_layout()
        self.updateGeometry()
        self.update()

    # -- Choosing ------------------------------------------------------------------------------------------------------

    @Slot(int)
    def _on_clicked(self, index: int) -> None:
        if index >= 0 and index == self.currentIndex():
            self.pressed_again.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed_again.emit()
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._step(1 if event.key() == Qt.Key.Key_Down else -1)
        else:
            super().keyPressEvent(event)

    def _step(self, by: int) -> None:
        index = self.currentIndex() + by
        while 0 <= index < self.count() and not self.isTabEnabled(index):
            index += by
        if 0 <= index < self.count():
            self.setCurrentIndex(index)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and not self.shows_names:
            index = self.tabAt(event.pos())
            if index >= 0:  # the only place that shows its name
                words = f"{self.tabText(index)}: {self.tabToolTip(index)}"
                QToolTip.showText(event.globalPos(), plain_tip(words), self)
            return True
        return super().event(event)

    # -- Drawing -------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.font())
        under = self.mapFromGlobal(self.cursor().pos())
        for index in range(self.count()):
            place = self.tabRect(index)
            self._draw(painter, place, index, hovered=self.underMouse() and place.contains(under))
        painter.end()

    def _draw(self, painter: QPainter, place: QRect, index: int, *, hovered: bool) -> None:
        colors, current = self._theme.theme, index == self.currentIndex()
        shown, enabled = current and self._shows, self.isTabEnabled(index)
        box = QRectF(place).adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if shown or (hovered and enabled):
            painter.setBrush(colors.color("accent_soft" if shown else "sunken"))
            painter.drawRoundedRect(box, 7, 7)
        if current and self.hasFocus():
            painter.setPen(QPen(colors.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 7, 7)
        role = "faint" if not enabled else "accent" if shown else "text" if hovered else "muted"
        size, inside = self._icon_size, self._metrics_height(index)
        top = place.top() + (place.height() - (inside if self.shows_names else size)) // 2
        icon = QRect(place.left() + (place.width() - size) // 2, top, size, size)
        self._theme.icon(self._icons[index], role).paint(painter, icon)
        if not self.shows_names:
            return
        words = QRect(place.left(), top + size + _BETWEEN, place.width(), inside - size - _BETWEEN)
        painter.setPen(colors.color(role))
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, "\n".join(self._lines(index)))
