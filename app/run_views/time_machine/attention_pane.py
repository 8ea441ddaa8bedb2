"""The attention weights of the recorded layer on a pinned prompt: all heads as small maps, one as a large map."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QStackedWidget, QWidget

from terrarium.app.kit.basics import EmptyState, column, label, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import SCALES, SCALES_TIP, head_picture, scaled, short_names, side_of
from terrarium.app.plots.pictures import Floats
from terrarium.app.plots.token_map import TokenMap
from terrarium.app.run_views.time_machine.head_grid import HeadGrid
from terrarium.app.session.run_history import AttentionSnapshot
from terrarium.models.architecture.mask_tables import MaskedText, seen_from
from terrarium.models.settings.model_config import ModelConfig

_SCALES = {scale: SCALES[scale] for scale in ("root", "linear")}  # there is no space for the other scales

_NOT_RECORDED = "No attention recorded", "It is recorded for pinned prompts, not for samples on request."
_SINGLE = (
    "The prompt is a single token",
    "It can only attend to itself. A longer prompt shows what heads look at.",
)


class AttentionPane(QWidget):
    """The attention heads of one layer at one step."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._seen: AttentionSnapshot | None = None
        self._tokens: list[str] = []
        self._weights: Floats = np.zeros((0, 0, 0), np.float32)
        self._head = 0
        self.title = label("", "subheading")
        how = ElidedLabel("Rows attend to columns")
        how.setProperty("role", "caption")
        self.scale = Segments("Colour scale", _SCALES, SCALES_TIP)
        self.heads = HeadGrid(theme)
        self.map = TokenMap(theme)
        maps = QWidget()
        maps.setLayout(row(self.heads, self.map))
        self.nothing = EmptyState(*_NOT_RECORDED)
        self._pages = QStackedWidget()
        self._pages.addWidget(maps)
        self._pages.addWidget(self.nothing)
        self.setLayout(column(self.title, self._pages, row(how, self.scale), spacing=SPACE // 2, grows=self._pages))
        self.heads.chosen.connect(self._on_head)
        self.scale.changed.connect(self._draw)

    @property
    def weights(self) -> Floats:
        """The shown attention weights, (H, T, S); NaN where masked."""
        return self._weights

    def show_attention(self, seen: AttentionSnapshot | None, tokens: list[str], config: ModelConfig | None) -> None:
        """Show a snapshot; None if none was recorded. `tokens`: the texts of its ids."""
        self._seen, self._tokens = seen, tokens
        if seen is not None:
            self._weights = head_weights(seen, config)
        self._draw()

    @Slot(int)
    def _on_head(self, head: int) -> None:
        self._head = head
        self._draw()

    @Slot()
    def _draw(self) -> None:
        seen = self._seen
        is_map = seen is not None and self._weights.shape[1] > 1
        self._pages.setCurrentIndex(0 if is_map else 1)
        self.nothing.set_words(*(_NOT_RECORDED if seen is None or is_map else _SINGLE))
        self.scale.setEnabled(is_map)
        if seen is None:
            self.title.setText("Attention")
            return
        head = min(self._head, len(self._weights) - 1)
        title = format_site(seen.site, head)
        self.title.setText(title)
        self.heads.show_heads(scaled(self._weights, self.scale.value), head)
        side = side_of(short_names(self._tokens))
        self.map.set_picture(head_picture(self._weights[head], title, side, side, self.scale.value))


def head_weights(seen: AttentionSnapshot, config: ModelConfig | None) -> Floats:
    """Return the weights of all heads, (H, T, S); NaN where the attention mask of `config` blocks them."""
    weights = seen.weights.copy()
    if config is not None:
        stack = config.encoder() if seen.site.startswith("encoder.") else config
        text = MaskedText(length=weights.shape[1])
        for query in range(weights.shape[1]):
            first, end = seen_from(stack, text, query)
            weights[:, query, :first] = np.nan
            weights[:, query, end:] = np.nan
    return weights
