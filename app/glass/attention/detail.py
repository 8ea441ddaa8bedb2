"""One head in detail: the attention of one token as arcs behind the text, and the map of all tokens."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from terrarium.app.glass.attention.shown_row import ROWS
from terrarium.app.glass.tokens.attention_arcs import AttentionArcs
from terrarium.app.kit.basics import button, label, plain_tip, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import Side, head_picture, short_names, side_of
from terrarium.app.plots.pictures import Floats
from terrarium.app.plots.token_map import TokenMap
from terrarium.models.inspect.head_patterns import EXPLAINED, PATTERNS

_POOLED = (
    "Long text: each cell shows the largest weight of a block of token pairs. Click into the map to see that part "
    "exactly."
)
_PART = "Part of the map, not pooled."

_MAP_HEIGHTS = (360, 470)


class HeadDetail(QWidget):
    """Shows one head. The map may be a part of the whole map, and its cells may be blocks of tokens.

    Signals:
        cell_clicked(row, column): a cell of the map was clicked.
        whole_requested(): the whole map is to be shown again.
    """

    cell_clicked = Signal(int, int)
    whole_requested = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sides = (side_of(()), side_of(()))
        self.title = ElidedLabel()
        self.title.setProperty("role", "subheading")
        self.whole: QPushButton = button("Whole map", theme, self.whole_requested.emit, role="link")
        policy = self.whole.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.whole.setSizePolicy(policy)
        self.whole.hide()
        self.scores = label("", "caption", wrap=True)
        self.scores.setToolTip(plain_tip("\n".join(f"{PATTERNS[name]}: {words}" for name, words in EXPLAINED.items())))
        self.map = TokenMap(theme)
        self.pooled = label("", "caption", wrap=True)
        self.which_row = Segments(
            "Row",
            ROWS,
            "A token is predicted at the position before it, so that row shows the attention used.\n"
            "The row of the token itself predicts the next one.",
            wraps=True,
        )
        self.row_caption = label("", "caption", wrap=True)
        self.arcs = AttentionArcs(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(self.title)
        layout.addWidget(self.scores)
        layout.addWidget(self.which_row)
        layout.addWidget(self.row_caption)
        layout.addWidget(self.arcs)
        layout.addSpacing(SPACE)
        layout.addLayout(row(label("All rows: each attends to the columns", "caption", wrap=True), self.whole))
        layout.addWidget(self.map)
        layout.addWidget(self.pooled)
        self.map.clicked.connect(self.cell_clicked)

    def show_sides(self, rows: Side, columns: Side, *, is_part: bool) -> None:
        """Set the rows and columns of the maps that `show_head` shows. is_part: whether they are a part of the map."""
        self._sides = rows, columns
        self.whole.setVisible(is_part)
        self.pooled.setVisible(is_part or rows.has_blocks or columns.has_blocks)
        self.pooled.setText(_PART if is_part else _POOLED)

    def show_head(self, weights: Floats, title: str, scores: str, scale: str) -> None:
        """Show a head's map (rows, columns) with a title and its measured scores."""
        self.title.setText(title)
        self.scores.setText(scores)
        self.scores.setVisible(bool(scores))
        self.map.set_picture(head_picture(weights, title, *self._sides, scale))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        lowest, highest = _MAP_HEIGHTS
        most = min(max(lowest, round(0.72 * self.width())), highest)
        self.map.setFixedHeight(self.map.height_at(self.width(), most))


def sides_of(
    words: Sequence[str], others: Sequence[str] | None, rows: Sequence[int], columns: Sequence[int]
) -> tuple[Side, Side]:
    """Return the sides of a map of tokens that attend to each other, or to `others`. rows, columns: edges of blocks."""
    names = short_names(words)
    return side_of(names, rows), side_of(names if others is None else short_names(others), columns)
