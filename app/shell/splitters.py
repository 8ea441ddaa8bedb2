"""Saves and restores splitter positions between launches, also for views that are created later."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QWidget

from terrarium.app.kit.layout.pages import Pages
from terrarium.app.session.session import Session


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
