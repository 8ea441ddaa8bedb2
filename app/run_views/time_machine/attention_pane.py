"""The attention weights of the recorded layer on a pinned prompt: all heads as small maps, one as a large map."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QBrush, QFontMetrics, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QWidget

from terrarium.app.kit.basics import EmptyState, column, label, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import SCALES, SCALES_TIP, head_picture, scaled, short_names, side_of
from terrarium.app.plots.heat_map import colour_table, coloured
from terrarium.app.plots.pictures import Floats
from terrarium.app.plots.token_map import TokenMap
from terrarium.app.session.run_history import AttentionSnapshot
from terrarium.models.architecture.mask_tables import MaskedText, seen_from
from terrarium.models.settings.model_config import ModelConfig

_SCALES = {scale: SCALES[scale] for scale in ("root", "linear")}  # there is no space for the other scales
_NOT_RECORDED = "No attention recorded", "It is recorded for pinned prompts, not for samples on request."
_SINGLE = (
    "The prompt is a single token",
    "It can only attend to itself. A longer prompt shows what heads look at.",
)
_SMALLEST, _LARGEST = 28, 64  # pixels
_GAP = 6
_KEYS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}


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
        self.heads = _HeadGrid(theme)
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


class _HeadGrid(QWidget):
    """All heads as small maps, in as few columns as fit the height; a click or the arrow keys select one.

    Signals:
        chosen(head): the user selected this head, counted from 0.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._values: Floats | None = None
        self._images: list[QImage] = []
        self._head = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("All heads of the layer. Click one, or use the arrow keys, to enlarge it.")
        self.setAccessibleName("Heads of the layer. Arrow keys choose one.")
        theme.theme_changed.connect(self._restyle)

    def show_heads(self, values: Floats, head: int) -> None:
        """Show heads (H, T, S), coloured from 0 to 1, NaN without colour; `head` is selected."""
        if self._values is None or len(self._values) != len(values):
            self.updateGeometry()
        self._values, self._head = values, head
        self._restyle()
        self.setAccessibleDescription(f"Head {head + 1} of {len(values)} is shown")

    @Slot()
    def _restyle(self) -> None:
        if self._values is not None:
            table = colour_table(self._theme, "sequential")
            self._images = [coloured(head, 0.0, 1.0, table) for head in self._values]
        self.update()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        columns, side = self._grid()
        return QSize(columns * (side + _GAP), 180)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.sizeHint().width(), 100)

    def resizeEvent(self, event: object) -> None:
        self.updateGeometry()

    def _grid(self) -> tuple[int, int]:
        """Return the number of columns, and the side of each map in pixels."""
        n, high = max(len(self._images), 1), max(self.height(), 100)
        for columns in range(1, n + 1):
            side = int(high / math.ceil(n / columns)) - _GAP - self._line
            if side >= _SMALLEST or columns == n:
                return columns, min(max(side, _SMALLEST), _LARGEST)
        raise AssertionError

    @property
    def _line(self) -> int:
        return QFontMetrics(self._theme.font(0.8)).height()

    def rect_of(self, head: int) -> QRectF:
        """Return the rectangle of a head's map."""
        columns, side = self._grid()
        row, column = divmod(head, columns)
        return QRectF(1 + column * (side + _GAP), self._line + row * (side + _GAP + self._line), side, side)

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        for head in range(len(self._images)):
            if self.rect_of(head).adjusted(0, -self._line, 0, 0).contains(event.position()):
                self.chosen.emit(head)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        stride = _KEYS.get(Qt.Key(event.key()))
        if stride is None or not self._images:
            super().keyPressEvent(event)
            return
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            stride *= self._grid()[0]
        if 0 <= self._head + stride < len(self._images):
            self.chosen.emit(self._head + stride)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colors = self._theme.theme
        painter.setFont(self._theme.font(0.8))
        for head, image in enumerate(self._images):
            rect, is_chosen = self.rect_of(head), head == self._head
            painter.fillRect(rect, colors.color("sunken"))
            painter.fillRect(rect, QBrush(colors.color("border_strong", 0.6), Qt.BrushStyle.BDiagPattern))
            painter.drawImage(rect, image)
            painter.setPen(QPen(colors.color("accent" if is_chosen else "border_strong"), 2 if is_chosen else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(rect)
            painter.setPen(colors.color("accent" if is_chosen else "muted"))
            above = QRectF(rect.left(), rect.top() - self._line, rect.width(), self._line)
            painter.drawText(above, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, str(head + 1))
        if self.hasFocus():
            painter.setPen(QPen(colors.color("accent"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
