"""Stacked pages that are made when first shown, or one by one when idle."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QWidget


class Pages(QStackedWidget):
    """Named pages, made by factories.

    Signals:
        page_made(name, page): the page exists now, and is not shown yet.
    """

    page_made = Signal(str, QWidget)

    def __init__(self, factories: Mapping[str, Callable[[], QWidget]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._factories = dict(factories)
        self._made: dict[str, QWidget] = {}

    @property
    def current(self) -> str:
        """The name of the page that is shown, '' for none."""
        return next((name for name, page in self._made.items() if page is self.currentWidget()), "")

    @property
    def made(self) -> Mapping[str, QWidget]:
        """The pages that exist so far."""
        return self._made

    def page(self, name: str) -> QWidget:
        """A page, which is made if it does not exist yet."""
        if name not in self._made:
            self._made[name] = page = self._factories[name]()
            self.addWidget(page)
            self.page_made.emit(name, page)
        return self._made[name]

    def show_page(self, name: str) -> QWidget:
        """Show a page and return it."""
        page = self.page(name)
        self.setCurrentWidget(page)
        return page

    def size_to_current_page(self) -> None:
        """From now on, only the shown page determines the minimum width."""
        self.currentChanged.connect(self._on_current)
        self._on_current()

    @Slot()
    def _on_current(self) -> None:
        for page in self._made.values():
            shown = page is self.currentWidget()
            across = QSizePolicy.Policy.Preferred if shown else QSizePolicy.Policy.Ignored
            page.setSizePolicy(across, page.sizePolicy().verticalPolicy())
        self.updateGeometry()

    @Slot()
    def make_all(self) -> None:
        """Make the missing pages, one in each turn of the event loop, so that the window stays responsive."""
        missing = [name for name in self._factories if name not in self._made]
        if missing:
            self.page(missing[0])
            QTimer.singleShot(0, self.make_all)
