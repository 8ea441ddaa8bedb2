"""Saves and restores the window's geometry; it is never larger than its screen."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRect, QSize
from PySide6.QtWidgets import QMainWindow, QStyle

from terrarium.app.session.remembered import Remembered

SIZE, MIN_SIZE = QSize(1440, 900), QSize(960, 600)
"""The size at the first launch and the minimum size, in logical pixels, as far as they fit the screen."""
_KEY = "window place"


def restore_place(window: QMainWindow, remembered: Remembered) -> None:
    """Restore the last geometry of a window before it is shown, shrunk to fit the screen if necessary."""
    window.resize(SIZE)
    kept = QByteArray.fromBase64(remembered.get(_KEY, "").encode("ascii", "ignore"))
    if kept:
        window.restoreGeometry(kept)
    title = window.style().pixelMetric(QStyle.PixelMetric.PM_TitleBarHeight)
    if window.isMaximized() or window.isFullScreen():
        return
    _fit(window, window.screen().availableGeometry().adjusted(0, title, 0, 0))


def fit_screen(window: QMainWindow) -> None:
    """Fit a shown window into its screen, including its frame, whose size is unknown before."""
    if window.isMaximized() or window.isFullScreen():
        return
    frame, inner = window.frameGeometry(), window.geometry()
    left, top = inner.left() - frame.left(), inner.top() - frame.top()
    right, bottom = frame.right() - inner.right(), frame.bottom() - inner.bottom()
    _fit(window, window.screen().availableGeometry().adjusted(left, top, -right, -bottom))


def remember_place(window: QMainWindow, remembered: Remembered) -> None:
    """Save the window's geometry for the next launch."""
    remembered.set(_KEY, window.saveGeometry().toBase64().toStdString())


def _fit(window: QMainWindow, room: QRect) -> None:
    """Shrink and move the window as far as needed to fit into `room`, a part of the screen."""
    window.setMinimumSize(MIN_SIZE.boundedTo(room.size()))
    placed = QRect(window.geometry().topLeft(), window.size().boundedTo(room.size()))
    placed.moveRight(min(placed.right(), room.right()))
    placed.moveBottom(min(placed.bottom(), room.bottom()))
    placed.moveLeft(max(placed.left(), room.left()))
    placed.moveTop(max(placed.top(), room.top()))
    if placed != window.geometry():
        window.setGeometry(placed)
