"""Direct logit attribution: the contributions of each layer's attention and feed-forward to a logit, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.layers.layer_figure import LayerFigure
from terrarium.app.kit.setting_names.site_words import PARTS
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.pictures import Axis
from terrarium.models.number_words import format_signed

_CATEGORY = {"attention": 0, "cross_attention": 3, "feed_forward": 1}
_BIASES = "bias"


class ContributionBars(LayerFigure):
    """Bars for the embedding, then each layer's parts side by side, then the biases."""

    _has_legend = True

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._bars: list[list[tuple[str, float]]] = []
        self.setAccessibleName("Contributions of the layers. Arrow keys read them out.")

    def show_parts(self, parts: Sequence[tuple[str, float]], constant: float) -> None:
        """Show contributions (site, value), in the order of the model, and `constant`, that of the biases."""
        self._bars = []
        for site, value in parts:
            name = site.rpartition(".")[2]
            if name in ("embedding", "attention"):
                self._bars.append([])
            self._bars[-1].append((name, value))
        self._bars.append([(_BIASES, constant)])
        n = len(self._bars)
        self._slots = ["emb", *(str(i) for i in range(1, n - 1)), _BIASES]
        self.set_spot(None)
        self.update()

    @property
    def bars(self) -> list[list[tuple[str, float]]]:
        """The bars (name, value) of each slot."""
        return self._bars

    def _words(self, spot: tuple[int, int]) -> str:
        i = spot[0]
        if i == 0 or i == len(self._bars) - 1:
            (_, value), *_ = self._bars[i]
            return f"{'Embedding' if i == 0 else 'Biases of norms and head'}: {format_signed(value)}"
        return "\n".join((f"Layer {i}", *(f"{PARTS[name]}: {format_signed(value)}" for name, value in self._bars[i])))

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._bars:
            return
        painter = QPainter(self)
        values = [value for bars in self._bars for _, value in bars]
        high, low = max(*values, 0.0), min(*values, 0.0)
        spare = 0.05 * (high - low) or 1e-6
        axis = Axis(title="logit", low=low - spare * (low < 0), high=high + spare, whole=False)
        room = self._draw_ground(painter, axis)
        zero, wide = self._y(room, axis, 0.0), room.width() / len(self._bars)
        for i, bars in enumerate(self._bars):
            each = min(0.8 * wide / len(bars), 14.0)
            left = self._x(room, i) - each * len(bars) / 2
            for k, (name, value) in enumerate(bars):
                top = self._y(room, axis, value)
                bar = QRectF(left + k * each, min(top, zero), max(each - 1, 1.0), max(abs(top - zero), 1.0))
                painter.fillRect(bar, self._color(name))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        named = dict.fromkeys(name for bars in self._bars for name, _ in bars if name in PARTS)
        self._draw_legend(painter, [(self._color(name), PARTS[name]) for name in named])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        self._draw_read_slot(painter, room)

    def _color(self, name: str) -> QColor:
        theme = self._theme.theme
        return QColor(theme.categories[_CATEGORY[name]]) if name in _CATEGORY else theme.color("muted")
