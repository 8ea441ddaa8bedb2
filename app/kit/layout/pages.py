"""Stacked pages that are created lazily, or one by one while idle, and that scroll if they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QScrollArea, QSizePolicy, QStackedWidget, QWidget

_LEAST = QSize(360, 240)
"""The minimum size of a scrolling page in pixels, so that some of it stays visible."""
_BORDER = QSize(2, 2)
"""The pixels that the scroll area around a page needs for its border, see the style sheet."""


class Pages(QStackedWidget):
    """A stack of named pages, created by factories.

    Signals:
        page_made(name, page): the page was created, and is not shown yet.
    """

    page_made = Signal(str, QWidget)

    def __init__(self, factories: Mapping[str, Callable[[], QWidget]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._factories = dict(factories)
        self._made: dict[str, QWidget] = {}
        self._areas: dict[str, QAbstractScrollArea] = {}

    @property
    def current(self) -> str:
        """The name of the current page, '' for none."""
        return next((name for name, area in self._areas.items() if area is self.currentWidget()), "")

    @property
    def made(self) -> Mapping[str, QWidget]:
        """The pages created so far, by name."""
        return self._made

    @property
    def is_incomplete(self) -> bool:
        """Whether some pages have not been created yet."""
        return len(self._made) < len(self._factories)

    def page(self, name: str) -> QWidget:
        """Return a page, creating it on first use."""
        if name not in self._made:
            self._made[name] = page = self._factories[name]()
            self._areas[name] = area = page if isinstance(page, QAbstractScrollArea) else _PageArea(page)
            self.addWidget(area)
            self.page_made.emit(name, page)
        return self._made[name]

    def show_page(self, name: str) -> QWidget:
        """Show a page and return it."""
        page = self.page(name)
        self.setCurrentWidget(self._areas[name])
        return page

    def size_to_current_page(self) -> None:
        """Let only the current page determine the minimum width, from now on."""
        self.currentChanged.connect(self._on_current)
        self._on_current()

    @Slot()
    def _on_current(self) -> None:
        for area in self._areas.values():
            shown = area is self.currentWidget()
            across = QSizePolicy.Policy.Preferred if shown else QSizePolicy.Policy.Ignored
            area.setSizePolicy(across, area.sizePolicy().verticalPolicy())
        self.updateGeometry()

    @Slot()
    def make_all(self) -> None:
        """Create the missing pages, one per iteration of the event loop, so that the window stays responsive."""
        missing = [name for name in self._factories if name not in self._made]
        if missing:
            self.page(missing[0])
            QTimer.singleShot(0, self.make_all)


class _PageArea(QScrollArea):
    """A scroll area whose page fills it; it scrolls in both directions if the page's minimum size does not fit."""

    def __init__(self, page: QWidget) -> None:
        super().__init__()
        self._page = page
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setProperty("role", "bare")  # no frame: it has the focus only until the next key
        self.setSizePolicy(page.sizePolicy())
        self.setWidget(page)
        page.setAutoFillBackground(False)  # setWidget turns it on

    def sizeHint(self) -> QSize:
        return self._page.sizeHint()

    def minimumSizeHint(self) -> QSize:
        return self._page.minimumSizeHint().boundedTo(_LEAST) + _BORDER

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # Nested layouts of a hidden page use outdated sizes: the size it needs is known only once it is shown.
        if watched is self._page and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self.updateGeometry()
            self._fit()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        page, place = self._page, self.maximumViewportSize()
        bars = QSize(self.verticalScrollBar().sizeHint().width(), self.horizontalScrollBar().sizeHint().height())
        needed = page.minimumSizeHint().expandedTo(page.minimumSize())
        wide = needed.width() > place.width()
        height = place.height() - (bars.height() if wide else 0)
        width = max(place.width(), needed.width())
        if self._height(width, needed) > height and not wide:
            width = max(place.width() - bars.width(), needed.width())
        page.resize(width, max(height, self._height(width, needed)))

    def _height(self, width: int, needed: QSize) -> int:
        """Return the height in pixels that the page needs at a width."""
        layout = self._page.layout()
        wraps = layout is not None and layout.hasHeightForWidth()
        return max(needed.height(), layout.minimumHeightForWidth(width) if layout is not None and wraps else 0)
