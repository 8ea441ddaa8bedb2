"""Saves and restores the window's geometry and the positions of splitters, also of views that are created later."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QByteArray, QRect, QSize, Qt
from PySide6.QtWidgets import QMainWindow, QSplitter, QStyle, QWidget

from terrarium.app.kit.layout.pages import Pages
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.session import Session

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


def restore_splitters(session: Session, page: QWidget) -> None:
    """Restore a page's splitters, and those of its nested pages as soon as they are created."""
    for key, splitter in _splitters(page):
        sizes = session.remembered.get(key, [])
        if len(sizes) == splitter.count() and all(isinstance(size, int) for size in sizes):
            splitter.setSizes(sizes)
    for pages in page.findChildren(Pages):
        pages.page_made.connect(lambda _, made: restore_splitters(session, made))


def remember_splitters(session: Session, pages: Pages) -> None:
    """Save the splitters' positions for the next launch."""
    for page in pages.made.values():
        for key, splitter in _splitters(page):
            session.remembered.set(key, _sizes(splitter, session.remembered.get(key, [])))


def _sizes(splitter: QSplitter, kept: list[int]) -> list[int]:
    """Return the current sizes; for a hidden part its last size in this launch, else the saved one."""
    sizes, across = splitter.sizes(), splitter.orientation() == Qt.Orientation.Horizontal
    for i, was in enumerate(kept if len(kept) == len(sizes) else sizes):
        part = splitter.widget(i)
        if part is not None and part.isHidden():
            had = part.width() if across else part.height()
            sizes[i] = had if part.testAttribute(Qt.WidgetAttribute.WA_Resized) else was
    return sizes


def _splitters(page: QWidget) -> Iterator[tuple[str, QSplitter]]:
    """Yield the splitters of a page with their keys.

    A key names the enclosing widget class of Terrarium, as Qt's own containers may come and go. A splitter that is
    vertical now, for lack of width, has a separate key, since its sizes differ.
    """
    numbers: dict[str, int] = {}
    for splitter in page.findChildren(QSplitter):
        owner = _owner(splitter)
        numbers[owner] = number = numbers.get(owner, -1) + 1
        upright = " upright" if splitter.orientation() == Qt.Orientation.Vertical else ""
        yield f"splitter {owner} {number}{upright}", splitter


def _owner(splitter: QSplitter) -> str:
    widget = splitter.parentWidget()  # not the splitter itself, which may be of a Terrarium class
    while widget is not None and not type(widget).__module__.startswith("terrarium."):
        widget = widget.parentWidget()
    return type(widget).__name__
