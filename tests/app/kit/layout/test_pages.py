"""Stacked pages: what is in one that was hidden while the text grew can be read when it is shown."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import column, label, row, scrolling
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.theme import ThemeProvider


def shown(qtbot: QtBot, theme: ThemeProvider, page: QWidget, width: int) -> Pages:
    """Pages of which `page` has been seen, and is not the one in view."""
    pages = Pages({"other": QWidget, "page": lambda: page})
    theme.apply_theme(pages)
    qtbot.addWidget(pages)
    pages.resize(width, 200)
    pages.show()
    for name in ("page", "other"):
        pages.show_page(name)
        qtbot.waitUntil(lambda name=name: pages.page(name).isVisible())  # type: ignore[misc]
    return pages


def test_a_page_is_as_wide_as_its_larger_text_needs(qtbot: QtBot, theme: ThemeProvider) -> None:
    box, page = QCheckBox("Two documents that are packed into one row and masked from each other"), QWidget()
    lines = column()
    lines.addLayout(row(QLabel("A name"), box, None))
    page.setLayout(lines)
    needed = page.minimumSizeHint().width()
    pages = shown(qtbot, theme, page, needed + 60)
    theme.set_text_scale(1.5)
    QCoreApplication.sendPostedEvents()
    pages.resize(needed + 40, 200)  # the text beside has grown, too
    pages.show_page("page")
    qtbot.waitUntil(lambda: box.width() >= box.sizeHint().width(), timeout=5000)


def test_what_scrolls_is_as_high_as_its_larger_text_needs(qtbot: QtBot, theme: ThemeProvider) -> None:
    inside, names = QWidget(), [QLabel(f"Name {i}") for i in range(12)]
    lines, grid = column(), QGridLayout()
    for at, name in enumerate(names):
        grid.addWidget(name, at, 0)
    lines.addWidget(label("4  Review", "heading"))
    lines.addLayout(grid)
    lines.addWidget(label("The time is unknown until it is measured. " * 3, "caption", wrap=True))
    lines.addStretch(1)
    inside.setLayout(lines)
    page = QWidget()
    page.setLayout(column(scrolling(inside)))
    pages = shown(qtbot, theme, page, 260)
    theme.set_text_scale(1.5)
    pages.show_page("page")
    qtbot.waitUntil(lambda: all(name.height() >= name.sizeHint().height() for name in names), timeout=5000)


def test_a_page_does_not_scroll_at_its_least_width(qtbot: QtBot, theme: ThemeProvider) -> None:
    page, inside = QWidget(), QWidget()
    inside.setFixedSize(180, 60)
    page.setLayout(column(inside))
    pages = shown(qtbot, theme, page, 400)
    pages.show_page("page")
    pages.resize(pages.minimumSizeHint())
    area = pages.currentWidget()
    assert isinstance(area, QScrollArea)
    qtbot.waitUntil(lambda: area.width() == pages.minimumSizeHint().width(), timeout=5000)
    assert area.horizontalScrollBar().maximum() == area.verticalScrollBar().maximum() == 0
