"""Hiding widgets while the detail level is simple, behind a link that shows them; and bringing a widget into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal, SignalInstance, Slot
from PySide6.QtWidgets import QPushButton, QScrollArea, QSizePolicy, QWidget

from terrarium.app.kit.layout.section import Section
from terrarium.models.number_words import format_count

_MARGIN = 24
"""The vertical margin in pixels that stays visible around the widget."""


class HasDetail(Protocol):
    """The detail level; `changed` is emitted when it changes."""

    @property
    def changed(self) -> SignalInstance: ...
    @property
    def is_simple(self) -> bool: ...


class RevealRequested(QEvent):
    """A request to make a widget visible, sent to the widget and its ancestors."""

    TYPE = QEvent.Type(QEvent.registerEventType())

    def __init__(self) -> None:
        super().__init__(self.TYPE)


class MoreLink(QPushButton):
    """A link that shows how many items are hidden, and toggles them. Visible only while the detail is simple.

    Args:
        noun: the noun for a hidden item: “view”. nouns: its plural, if irregular.

    Signals:
        folded_changed(): `is_folded` has changed.
    """

    folded_changed = Signal()

    def __init__(
        self, noun: str, detail: HasDetail | None = None, parent: QWidget | None = None, *, nouns: str = ""
    ) -> None:
        super().__init__(parent)
        self._noun, self._nouns, self._detail = noun, nouns or f"{noun}s", detail
        self._n = self._n_changed = 0
        self._is_open = False
        self.setProperty("role", "link")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.clicked.connect(self._on_clicked)
        if detail is not None:
            detail.changed.connect(self._on_detail)
        self._show()

    @property
    def is_folded(self) -> bool:
        """Whether the items are hidden."""
        return self._detail is not None and self._detail.is_simple and not self._is_open

    @property
    def n_hidden(self) -> int:
        """The number of items that the link hides when folded."""
        return self._n

    @property
    def has_any(self) -> bool:
        """Whether the link has items to hide or show."""
        return self._detail is not None and self._detail.is_simple and self._n > 0

    def set_hidden(self, n: int, n_changed: int = 0) -> None:
        """Set the number of items that the link hides when folded, and how many of them differ from their defaults."""
        if (n, n_changed) != (self._n, self._n_changed):
            self._n, self._n_changed = n, n_changed
            self._show()

    def open(self) -> None:
        """Show the hidden items."""
        if self.is_folded:
            self._on_clicked()

    def _show(self) -> None:
        if not self._is_open:
            words = format_count(self._n, f"more {self._noun}", f"more {self._nouns}")
            if self._n_changed:
                words += f" ({self._n_changed:,} changed)"
        else:
            words = f"Fewer {self._nouns}"
        self.setText(words)
        self.setToolTip("View → Detail → Everything shows all of them everywhere")
        self.setVisible(self.has_any)

    @Slot()
    def _on_clicked(self) -> None:
        self._is_open = not self._is_open
        self._show()
        self.folded_changed.emit()

    @Slot()
    def _on_detail(self) -> None:
        self._is_open = False
        self._show()
        self.folded_changed.emit()


class AdvancedSettings(QObject):
    """Hides widgets behind a link while the detail is simple. A click on the link or `reveal` shows them.

    Args:
        link: the link, placed among the widgets.
        n: the number of hidden items that the link shows.
        changed: returns how many of these differ from their defaults.
    """

    def __init__(self, link: MoreLink, widgets: Sequence[QWidget], n: int, changed: Callable[[], int]) -> None:
        super().__init__(link)
        self._link, self._widgets, self._n, self._changed = link, tuple(widgets), n, changed
        for widget in widgets:
            widget.installEventFilter(self)
        link.folded_changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Hide or show the widgets, and recount the changed ones."""
        self._link.set_hidden(self._n, self._changed())
        for widget in self._widgets:
            if widget.isHidden() != self._link.is_folded:
                widget.setVisible(not self._link.is_folded)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == RevealRequested.TYPE:
            self._link.open()
        return False


def show_extras_around(widget: QWidget) -> None:
    """Show a widget and its ancestors if a MoreLink hides them."""
    around: QWidget | None = widget
    while around is not None:
        QCoreApplication.sendEvent(around, RevealRequested())
        around = around.parentWidget()


def reveal(widget: QWidget, *, focus: bool = True) -> None:
    """Show and unfold the ancestors of a widget, scroll to its card and to it, and focus it if `focus`."""
    show_extras_around(widget)
    areas, whole, parent = list[tuple[QScrollArea, QWidget]](), widget, widget.parentWidget()
    while parent is not None:
        if isinstance(parent, Section):
            parent.set_folded(False)
        elif isinstance(parent, QScrollArea):
            areas.append((parent, whole))
        elif parent.property("role") == "card":
            whole = parent
        parent = parent.parentWidget()
    if focus and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def scroll() -> None:
        for area, card in areas:
            for each in (card, widget):  # a card may be too high for the area
                area.ensureWidgetVisible(each, 0, _MARGIN)

    QTimer.singleShot(0, widget, scroll)  # after the layout has been updated
