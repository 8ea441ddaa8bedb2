"""The views in the middle of the builder tab, created lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QWidget

from terrarium.app.kit.basics import label
from terrarium.app.kit.layout.views import View, Views, side_page
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from terrarium.app.builder.diagram.block_diagram import BlockDiagram, DiagramPage


_SIMPLE = ("diagram", "mask", "costs")
"""The views offered at the simple detail level."""


class DesignViews(Views):
    """The diagram, the positions, the mask, the comparison with other designs, and the code; in a narrow window also
    the costs. They initially show the session's design, for `batch` texts of `length` tokens.

    Signals:
        edited(changes): the user changed slots on the diagram; a dict of their new values.
        slot_focused(name): the user clicked the part of the diagram that stands for this slot.
    """

    edited = Signal(object)
    slot_focused = Signal(str)

    def __init__(
        self, session: Session, theme: ThemeProvider, batch: int, length: int, parent: QWidget | None = None
    ) -> None:
        views = {
            "diagram": View("Diagram", "The model as a block diagram", self._make_diagram, "Residual stream"),
            "positions": View(
                "Positions", "How the model knows the order of tokens", self._make_positions, "Positional encoding"
            ),
            "mask": View("Mask", "Which tokens can attend to which", self._make_mask, "Causal mask"),
            "compare": View(
                "Compare", "This design beside others: differences and costs", self._make_compare, "Parameter"
            ),
            "code": View("Code", "The design as a short PyTorch module", self._make_code, "Layer"),
            "costs": View("Costs", "Whether it fits, how long it takes, and what costs how much", side_page),
        }
        super().__init__("Views of the design", views, parent)
        self._session, self._theme = session, theme
        self._design: tuple[ModelConfig, int, int, str] = (session.designs.current, batch, length, "This design")
        self._shown: dict[str, tuple[ModelConfig, int, int, str]] = {}
        self.keep_simple(session.detail, _SIMPLE)
        self.stale = stale_mark()
        self.top.addWidget(self.stale, 0, Qt.AlignmentFlag.AlignVCenter)
        self.show_view("diagram")

    @property
    def diagram(self) -> BlockDiagram:
        """The block diagram, up to date."""
        page: DiagramPage = self.view("diagram")
        return page.diagram

    def set_design(self, config: ModelConfig, batch: int, length: int, title: str) -> None:
        """Show a design, for `batch` texts of `length` tokens."""
        self._design = (config, batch, length, title)
        if self.current:
            self._update(self.current)

    def refresh(self) -> None:
        """Show the same design again: more is known of its custom blocks, or less."""
        if "diagram" in self.pages.made:
            self.diagram.redraw()
        if "code" in self.pages.made:
            self.view("code").refresh()
        self._shown.pop("compare", None)
        if self.current:
            self._update(self.current)

    def _update(self, name: str) -> None:
        if name == "costs" or self._shown.get(name) == self._design:
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

    # -- Creating the views --------------------------------------------------------------------------------------------

    def _make_diagram(self) -> QWidget:
        from terrarium.app.builder.diagram.block_diagram import DiagramPage

        config, batch, length, _ = self._design
        page = DiagramPage(config, self._theme, batch, length)
        page.diagram.edited.connect(self.edited)
        page.diagram.slot_focused.connect(self.slot_focused)
        return page

    def _make_positions(self) -> QWidget:
        from terrarium.app.builder.positions.position_view import PositionView

        return PositionView(self._theme, self._session)

    def _make_mask(self) -> QWidget:
        from terrarium.app.builder.positions.mask_view import MaskView

        return MaskView(self._theme)

    def _make_compare(self) -> QWidget:
        from terrarium.app.builder.compare_view import CompareView

        return CompareView(self._session, self._theme)

    def _make_code(self) -> QWidget:
        from terrarium.app.builder.code_view import CodeView

        return CodeView(self._theme)


def stale_mark() -> QLabel:
    """Return a hidden label that marks views of the last legal design while the slots are illegal."""
    mark = label("last legal design", "pill")
    mark.setProperty("tone", "danger")
    mark.setToolTip("These settings cannot be built: this shows the last legal design")
    mark.hide()
    return mark
