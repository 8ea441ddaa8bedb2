"""The block diagram with the controls that change how it is looked at."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.builder.diagram.block_diagram import BlockDiagram
from app.kit.basics import button, row
from app.kit.layout.segments import Segments
from app.kit.theme import SPACE, ThemeProvider
from models.settings.model_config import ModelConfig

_ZOOM = 1.25


class DiagramPage(QWidget):
    """Blocks, or areas to scale; larger, smaller, all of it."""

    def __init__(self, config: ModelConfig, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.diagram = diagram = BlockDiagram(config, theme)
        self.kind = Segments(
            "Diagram", {"blocks": "Blocks", "area": "Area = parameters"}, "Blocks and arrows, or everything to scale"
        )
        self.kind.changed.connect(diagram.set_view)
        self.smaller = button("", theme, lambda: diagram.zoom(1 / _ZOOM), icon="minus", role="quiet", tip="Smaller (−)")
        self.larger = button("", theme, lambda: diagram.zoom(_ZOOM), icon="plus", role="quiet", tip="Larger (+)")
        self.fit = button("", theme, diagram.fit, icon="corners-out", role="quiet", tip="Show all of it (0)")
        for small in (self.smaller, self.larger, self.fit):
            small.setFixedWidth(28)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addLayout(row(self.kind, None, self.smaller, self.larger, self.fit, spacing=SPACE // 2))
        layout.addWidget(diagram, 1)
