"""The ways of looking at one design, of which one is shown: each is made when it is first wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QTabBar, QVBoxLayout, QWidget

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label
from app.widgets.pages import Pages
from models.config import ModelConfig

if TYPE_CHECKING:
    from app.widgets.block_diagram import BlockDiagram
    from app.widgets.diagram_page import DiagramPage

VIEWS = {
    "diagram": ("Diagram", "The model as a picture, drawn from the slots"),
    "positions": ("Positions", "How the model tells the first token from the fifth"),
    "mask": ("Mask", "Which token may look at which"),
    "compare": ("Compare", "This design beside others: what differs, and what it costs"),
    "code": ("Code", "The design as a short PyTorch module"),
}


_SPARED = 16  # pixels of a tab's padding, where the tabs are compact (see the style sheet)


class DesignViews(QWidget):
    """A row of views above the one that is shown. Only that one follows a change; the others do when they are shown.

    Signals:
        edited(changes): a dict of slots was changed on the diagram.
        slot_focused(name): a slot's part of the diagram was clicked.
        view_changed(name): another of VIEWS is shown.
    """

    edited = Signal(object)
    slot_focused = Signal(str)
    view_changed = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._design: tuple[ModelConfig, int, int, str] = (session.design, 1, 1, "This design")
        self._shown: dict[str, tuple[ModelConfig, int, int, str]] = {}
        factories: dict[str, Callable[[], QWidget]] = {
            "diagram": self._make_diagram,
            "positions": self._make_positions,
            "mask": self._make_mask,
            "compare": self._make_compare,
            "code": self._make_code,
        }
        self.pages = Pages(factories)
        self.pages.page_made.connect(self._on_page_made)
        self.bar = _ViewBar()
        self.names = tuple(VIEWS)
        for i, (words, tip) in enumerate(VIEWS.values()):
            self.bar.addTab(words)
            self.bar.setTabToolTip(i, tip)
        self.bar.currentChanged.connect(self._on_tab)
        self.stale = stale_mark()
        top = QHBoxLayout()
        top.addWidget(self.bar, 1)
        top.addWidget(self.stale, 0, Qt.AlignmentFlag.AlignVCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(top)
        layout.addWidget(self.pages, 1)
        self.show_view("diagram")

    @property
    def current(self) -> str:
        """The name of the view that is shown."""
        return self.pages.current

    def view(self, name: str) -> Any:
        """A view, made now where it does not exist yet, and up to date."""
        page = self.pages.page(name)
        self._update(name)
        return page

    @property
    def diagram(self) -> BlockDiagram:
        """The block diagram, up to date."""
        page: DiagramPage = self.view("diagram")
        return page.diagram

    def show_view(self, name: str) -> None:
        """Show one of VIEWS."""
        self.bar.setCurrentIndex(self.names.index(name))
        self._on_tab(self.bar.currentIndex())

    def set_design(self, config: ModelConfig, batch: int, length: int, title: str) -> None:
        """Show a design that works on `batch` texts of `length` tokens."""
        self._design = (config, batch, length, title)
        if self.current:
            self._update(self.current)

    def _on_tab(self, index: int) -> None:
        name = self.names[index]
        self.view(name)
        self.pages.show_page(name)
        self.view_changed.emit(name)

    def _update(self, name: str) -> None:
        if self._shown.get(name) == self._design:
            return
        self._shown[name] = self._design
        config, batch, length, title = self._design
        page: Any = self.pages.page(name)
        if name == "compare":
            page.set_design(config, batch, length, title)
        elif name == "diagram":
            page.diagram.set_design(config, batch, length)
        elif name == "code":
            page.set_design(config, title)
        else:
            page.set_design(config, length)

    def _on_page_made(self, name: str, page: QWidget) -> None:
        """Let Tab go from the bar into the page: by itself it would come last, behind all that was made before."""
        inside: list[QWidget] = []
        widget = page.nextInFocusChain()
        while widget is not None and widget is not page:
            if page.isAncestorOf(widget) and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                inside.append(widget)
            widget = widget.nextInFocusChain()
        for before, after in itertools.pairwise([self.bar, *inside]):
            self.setTabOrder(before, after)

    # -- Making them ---------------------------------------------------------------------------------------------------

    def _make_diagram(self) -> QWidget:
        from app.widgets.diagram_page import DiagramPage

        page = DiagramPage(self._design[0], self._theme)
        page.diagram.edited.connect(self.edited)
        page.diagram.slot_focused.connect(self.slot_focused)
        return page

    def _make_positions(self) -> QWidget:
        from app.widgets.position_view import PositionView

        return PositionView(self._theme, self._session)

    def _make_mask(self) -> QWidget:
        from app.widgets.mask_view import MaskView

        return MaskView(self._theme)

    def _make_compare(self) -> QWidget:
        from app.widgets.compare_view import CompareView

        return CompareView(self._session, self._theme)

    def _make_code(self) -> QWidget:
        from app.widgets.code_view import CodeView

        return CodeView(self._theme)


class _ViewBar(QTabBar):
    """The names of the views; closer together where there is little room."""

    def __init__(self) -> None:
        super().__init__()
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.setAccessibleName("Views of the design")

    def minimumSizeHint(self) -> QSize:
        """Room for every name."""
        hint = self.sizeHint()
        return QSize(hint.width() - (0 if self._is_compact else _SPARED * self.count()), hint.height())

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

    def _space_out(self) -> None:
        wide = self.sizeHint().width() + (_SPARED * self.count() if self._is_compact else 0)
        if self._is_compact != (wide > self.width()):
            self.setProperty("compact", not self._is_compact)
            self.style().polish(self)
            self.setElideMode(self.elideMode())  # lays the tabs out anew, which no other call does


def stale_mark() -> QLabel:
    """Says, where it is shown, that what is below it is not what the slots hold now."""
    mark = label("last legal design", "pill")
    mark.setProperty("tone", "danger")
    mark.setToolTip("The slots hold something that cannot be built: this shows the design before that")
    mark.hide()
    return mark
