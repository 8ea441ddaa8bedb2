"""Tabbed views of one object: a tab bar above the current view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QTabBar, QVBoxLayout, QWidget

from terrarium.app.kit.basics import column
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.layout.advanced_settings import HasDetail, MoreLink
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.tab_order import put_after, stops_of
from terrarium.app.kit.theme import SPACE

_SPARED = 18  # pixels of padding that a compact tab saves (see the style sheet)


class View(NamedTuple):
    """A view: its title, its tooltip, the factory that creates it on first use, and its glossary term, '' for none."""

    words: str
    tip: str
    make: Callable[[], QWidget]
    term: str = ""


class Views(QWidget):
    """A tab bar and its views, of which only the current one is updated; the others are updated when shown.

    If the page of a view has a focus proxy, usually its text box or list, this gets the focus when the view is opened
    by its tab, or replaces a view that had the focus.

    Args:
        bar: the tab bar, if it is placed elsewhere; None for a tab bar above the views.

    Signals:
        view_changed(name): another view is shown.
    """

    view_changed = Signal(str)

    def __init__(
        self, title: str, views: Mapping[str, View], parent: QWidget | None = None, *, bar: QTabBar | None = None
    ) -> None:
        super().__init__(parent)
        self.names = tuple(views)
        self._terms = {name: view.term for name, view in views.items()}
        self.pages = Pages({name: view.make for name, view in views.items()})
        self.pages.page_made.connect(self._on_page_made)
        self.bar = _ViewBar(title) if bar is None else bar
        for i, view in enumerate(views.values()):
            self.bar.addTab(view.words)
            self.bar.setTabToolTip(i, view.tip)
        self.bar.currentChanged.connect(self._on_tab)
        self.bar.tabBarClicked.connect(lambda index: QTimer.singleShot(0, self, self._focus_page))
        self._offered = dict.fromkeys(views, True)
        self._extras: frozenset[str] = frozenset()
        self._revealed: set[str] = set()
        self.more = MoreLink("view")
        """The link that shows hidden views, see `keep_simple`."""
        self.top = QHBoxLayout()
        if bar is None:
            self.top.addWidget(self.bar, 1)
            self.top.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(self.top)
        layout.addWidget(self.pages, 1)

    @property
    def current(self) -> str:
        """The name of the current view."""
        return self.pages.current

    def view(self, name: str) -> Any:
        """Return a view, updated; it is created on first use."""
        page = self.pages.page(name)
        self._update(name)
        return page

    def show_view(self, name: str) -> None:
        """Show a view and its tab, even if the view was not offered."""
        index = self.names.index(name)
        if not self._offered[name]:
            self.offer(name, is_offered=True)
        if name in self._extras and name not in self._revealed:
            self._revealed.add(name)
            self._show_tabs()
        if index == self.bar.currentIndex():
            self._on_tab(index)  # the bar signals changes only
        else:
            self.bar.setCurrentIndex(index)

    # -- Offered views ------------------------------------------------------------------------------------------------

    def keep_simple(self, detail: HasDetail, kept: Collection[str]) -> None:
        """While the detail is simple, hide the tabs of all views except `kept` behind a link. Call it once.

        A hidden view that is shown by other means keeps its tab from then on.
        """
        before, self.more = self.more, MoreLink("view", detail)
        self.top.replaceWidget(before, self.more)
        before.deleteLater()
        self._extras = frozenset(self.names) - frozenset(kept)
        self.more.folded_changed.connect(self._on_folded)
        self._on_folded()

    def offer(self, name: str, *, is_offered: bool) -> None:
        """Set whether a view is available; a view that is not offered has no tab until it is shown."""
        self._offered[name] = is_offered
        self._show_tabs()

    def is_offered(self, name: str) -> bool:
        """Return whether a view is available, possibly behind the link."""
        return self._offered[name]

    def is_usable(self, name: str) -> bool:
        """Return whether a view is offered, and has something to show."""
        return self.is_offered(name) and self.bar.isTabEnabled(self.names.index(name))

    @property
    def n_hidden(self) -> int:
        """The number of views hidden behind the link."""
        return len(self._hidden) if self.more.is_folded else 0

    @property
    def _hidden(self) -> list[str]:
        """The views that the link hides when folded."""
        return [name for name in self._extras - self._revealed if self._offered[name]]

    @Slot()
    def _on_folded(self) -> None:
        self._revealed = {self.current} if self.current else set()
        self._show_tabs()

    def _show_tabs(self) -> None:
        hidden = set(self._hidden) if self.more.is_folded else set()
        for i, name in enumerate(self.names):
            is_shown = self._offered[name] and name not in hidden
            if is_shown != self.bar.isTabVisible(i):  # setting the same value again would suppress the layout
                self.bar.setTabVisible(i, is_shown)
        self.more.set_hidden(len(self._hidden))
        self.bar.setElideMode(self.bar.elideMode())  # forces a new layout of the tabs

    def _update(self, name: str) -> None:
        """Update a view."""
        raise NotImplementedError

    @Slot(int)
    def _on_tab(self, index: int) -> None:
        name, focused = self.names[index], QApplication.focusWidget()
        had_focus = focused is not None and self.pages.isAncestorOf(focused)
        self.view(name)
        self.pages.show_page(name)
        if had_focus:  # otherwise the focus would move to the next widget
            self._focus_page()
        set_term(self.bar, self._terms[name])
        self.view_changed.emit(name)

    def _focus_page(self) -> None:
        """Focus the focus proxy of the current page, if it has one."""
        page = self.pages.page(self.current)
        if page.focusProxy() is not None:
            page.setFocus()

    @Slot(str, QWidget)
    def _on_page_made(self, name: str, page: QWidget) -> None:
        """Set the glossary term of a new page, and move it after the bar in the tab order, instead of last."""
        set_term(page, self._terms[name])
        children = self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        beside = sorted((child for child in children if self.top.indexOf(child) > 0), key=self.top.indexOf)
        stops = [stop for widget in (*beside, page) for stop in stops_of(widget)]
        put_after(self.bar, *stops)


class Side(QWidget):
    """A widget shown beside views, or as one of the views if there is too little space for both.

    Args:
        name: the view that then contains the part; its page is an empty `side_page`.
    """

    def __init__(self, part: QWidget, views: Views, name: str) -> None:
        super().__init__()
        self._part, self._views, self._name = part, views, name
        self.setLayout(column(part))
        self._set_tab(is_shown=False)

    @property
    def is_beside(self) -> bool:
        """Whether the part is shown beside the views."""
        return not self.isHidden()

    def fit(self, others: int, width: int) -> None:
        """Put the part beside the views if it fits into `width` pixels, of which `others` are taken; else into its
        view."""
        needed = self._part.minimumSizeHint().expandedTo(self._part.minimumSize())
        beside = others + needed.width() <= width
        if beside == self.is_beside:
            return
        place = (self if beside else self._views.pages.page(self._name)).layout()
        assert place is not None
        place.addWidget(self._part)
        self._set_tab(is_shown=not beside)
        self.setVisible(beside)

    def _set_tab(self, *, is_shown: bool) -> None:
        self._views.offer(self._name, is_offered=is_shown)


def side_page() -> QWidget:
    """Create the empty page of the view for a `Side`."""
    page = QWidget()
    page.setLayout(column())
    return page


class _ViewBar(QTabBar):
    """A tab bar that uses compact tabs if there is too little space."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.setAccessibleName(title)

    def minimumSizeHint(self) -> QSize:
        """Return the size with all tabs in compact form."""
        hint = self.sizeHint()
        return QSize(hint.width() - (0 if self._is_compact else self._spared), hint.height())

    def tabLayoutChange(self) -> None:
        super().tabLayoutChange()
        self._space_out()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._space_out()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._space_out()

    @property
    def _is_compact(self) -> bool:
        return bool(self.property("compact"))

    @property
    def _spared(self) -> int:
        """The pixels that compact tabs save in total."""
        return _SPARED * sum(self.isTabVisible(i) for i in range(self.count()))

    def _space_out(self) -> None:
        wide = self.sizeHint().width() + (self._spared if self._is_compact else 0)
        if self._is_compact != (wide > self.width()):
            self.setProperty("compact", not self._is_compact)
            self.style().polish(self)
            self.setElideMode(self.elideMode())  # redoes the tab layout, which no other call does
            self.updateGeometry()
