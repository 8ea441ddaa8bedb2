"""A ring shown for a few seconds around the widget that a step points at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QRect, Qt, QTimer, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QTabBar, QWidget

from terrarium.app.kit.layout.advanced_settings import reveal
from terrarium.app.kit.theme import ThemeProvider

_SHOWN_MS, _FOLLOW_MS = 6000, 60
_GAP, _WIDTH, _RADIUS = 6, 3, 9  # pixels


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A tab of a tab bar, which is not a widget itself."""

    bar: QTabBar
    index: int


class Ring(QWidget):
    """An overlay on the window, transparent to the mouse, that follows its target, which may not be visible yet."""

    def __init__(self, theme: ThemeProvider, window: QWidget) -> None:
        super().__init__(window)
        self._theme = theme
        self.target: QWidget | None = None
        self._find: Callable[[], QWidget | Tab] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._end = QTimer(self, singleShot=True, interval=_SHOWN_MS)
        self._end.timeout.connect(self.take_away)
        self._follow = QTimer(self, interval=_FOLLOW_MS)
        self._follow.timeout.connect(self._on_follow)
        self.hide()

    def point_at(self, find: Callable[[], QWidget | Tab]) -> None:
        """Draw the ring around a widget of the window, or a tab, as soon as it is visible.

        find: returns the target, which may change with the window; its exceptions propagate.
        """
        found = find()
        reveal(found.bar if isinstance(found, Tab) else found, focus=False)
        self._find = find
        self._end.stop()
        self._follow.start()
        self._on_follow()

    @Slot()
    def take_away(self) -> None:
        """Remove the ring."""
        self.target = self._find = None
        self._follow.stop()
        self._end.stop()
        self.hide()

    @Slot()
    def _on_follow(self) -> None:
        assert self._find is not None
        try:
            found = self._find()
        except ValueError:  # the target no longer exists
            self.take_away()
            return
        self.target = target = found.bar if isinstance(found, Tab) else found
        seen = target.visibleRegion().boundingRect()  # a long form is clipped by its scroll area
        if isinstance(found, Tab):
            seen &= found.bar.tabRect(found.index)
        if not target.isVisible() or seen.isEmpty():
            self.hide()
            if target.isVisible() and not self._end.isActive():  # content above pushed it out of view
                reveal(target, focus=False)
            return
        place = QRect(target.mapTo(self.window(), seen.topLeft()), seen.size())
        self.setGeometry(place.adjusted(-_GAP, -_GAP, _GAP, _GAP))
        if self.isHidden():
            self.raise_()
            self.show()
            self._end.start()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self._theme.pen("accent", width=_WIDTH))
        inside = self.rect().adjusted(_WIDTH // 2 + 1, _WIDTH // 2 + 1, -_WIDTH // 2 - 1, -_WIDTH // 2 - 1)
        painter.drawRoundedRect(inside, _RADIUS, _RADIUS)
