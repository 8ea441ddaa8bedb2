"""All heads of one kind of attention, by layer or sorted by a pattern, and the colour scale."""

from __future__ import annotations

import math

from PySide6.QtCore import QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QFrame, QScrollArea, QVBoxLayout, QWidget

from terrarium.app.glass.attention.head_labels import SORTS
from terrarium.app.glass.attention.head_montage import HeadMontage
from terrarium.app.glass.attention.head_tiles import Tile
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.kit.basics import label, row
from terrarium.app.kit.inputs import caption
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import SCALES, SCALES_TIP, SHOWN, format_share, scale_ticks
from terrarium.models.inspect.attention_maps import StackMaps
from terrarium.models.inspect.head_patterns import EXPLAINED, order_by

_HEIGHTS = (130, 280)  # pixels: bounds of the maximum height

_SPARE = 40
"""Pixels: a margin larger than the change of height when a scroll bar takes width."""


class HeadOverview(QWidget):
    """The montage with its controls.

    Signals:
        scale_changed(): the user chose another colour scale.
    """

    scale_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack: StackMaps | None = None
        self._highest = _HEIGHTS[1]
        self.sort = QComboBox()
        self.sort.setAccessibleName("Sort heads by")
        for pattern, words in SORTS.items():
            self.sort.addItem(words, pattern)
            tip = EXPLAINED.get(pattern, "layers down, heads across")
            self.sort.setItemData(self.sort.count() - 1, tip[0].upper() + tip[1:], Qt.ItemDataRole.ToolTipRole)
        self.scale = Segments("Colour scale", SCALES, SCALES_TIP)
        self.legend = ColourScale(theme, "sequential")
        self.montage = HeadMontage(theme)
        self.montage.setProperty("role", "scrolled")
        self._area = QScrollArea()
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # so that clicks between its widgets do not focus it
        self._area.setAccessibleName("All heads")
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidgetResizable(True)
        self._area.setWidget(self.montage)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        sorting = QWidget()
        sorting.setLayout(row(caption("Sort by", self.sort, "caption"), self.sort))
        scaling = QWidget()
        scaling.setLayout(row(label("Scale", "caption"), self.scale))
        layout.addWidget(wrapping(sorting, scaling))
        layout.addWidget(self._area)
        layout.addWidget(self.legend, 0, Qt.AlignmentFlag.AlignRight)
        self.sort.activated.connect(self._arrange)
        self.scale.changed.connect(self._on_scale)
        self.montage.moved.connect(self._reveal)
        self._fitting = QTimer(self, singleShot=True, interval=0)  # a resize within a resize would be ignored
        self._fitting.timeout.connect(self._fit)
        self.montage.height_changed.connect(self._fitting.start)
        self._show_legend()

    def show_stack(self, stack: StackMaps) -> None:
        """Show the heads of a stack; disable sorting by patterns that could not be measured."""
        self._stack = stack
        items = self.sort.model()
        assert isinstance(items, QStandardItemModel)
        for i, pattern in enumerate(SORTS):
            can = not pattern or not all(math.isnan(score) for site in stack.sites for score in site.scores[pattern])
            items.item(i).setEnabled(can)
            if not can and self.sort.currentIndex() == i:
                self.sort.setCurrentIndex(0)
        self._arrange()

    def set_available_height(self, height: int) -> None:
        """Limit the height to 36 % of the panel's `height`, within `_HEIGHTS`; larger content scrolls."""
        least, most = _HEIGHTS
        self._highest = min(max(round(0.36 * height), least), most)
        self._fit()

    @Slot()
    def _arrange(self) -> None:
        stack, pattern = self._stack, self.sort.currentData()
        if stack is None:
            return
        if not pattern:
            self.montage.show_stack(stack)
            return
        scores = [site.scores[pattern] for site in stack.sites]

        def caption(tile: Tile) -> str:
            score = float(scores[tile.site][tile.head])
            return f"L{tile.site + 1} H{tile.head + 1}\n{'–' if math.isnan(score) else format_share(score)}"

        order = order_by(pattern, [site.scores for site in stack.sites])
        self.montage.show_stack(stack, [Tile(*at) for at in order], caption)

    @Slot(str)
    def _on_scale(self, scale: str) -> None:
        self.montage.set_scale(scale)
        self._show_legend()
        self.scale_changed.emit()

    def _show_legend(self) -> None:
        ends = scale_ticks(self.scale.value)
        self.legend.show_values(SHOWN, ends[0][1], ends[-1][1])

    @Slot()
    def _fit(self) -> None:
        """Fit the height to the tiles, and show a scroll bar if needed.

        The scroll bar takes width, so that the tiles shrink and may then fit without it. It stays in that case, since
        it would flicker otherwise.
        """
        height, policy = self.montage.minimumHeight(), Qt.ScrollBarPolicy
        has_bar = self._area.verticalScrollBarPolicy() == policy.ScrollBarAlwaysOn
        scrolls = height > self._highest - (_SPARE if has_bar else 0)
        self._area.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOn if scrolls else policy.ScrollBarAlwaysOff)
        self._area.setFixedHeight(min(height, self._highest))

    @Slot(QRect)
    def _reveal(self, rect: QRect) -> None:
        self._area.ensureVisible(rect.center().x(), rect.center().y(), 0, rect.height())
