"""The attention of one head in two sentences and its difference, with a list of the heads to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import column, label, row
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.plots.attention_pictures import SCALES, SCALES_TIP
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.minimal_pairs.pair_maps import PairMaps
from terrarium.app.minimal_pairs.pair_text import describe_row, format_points, row_differences

if TYPE_CHECKING:
    from terrarium.models.inspect.minimal_pair import PairReading

_SCALES = {scale: SCALES[scale] for scale in ("root", "linear")}
_ABOUT = (
    "Rows attend to columns; the marked row is the token chosen above. These are the softmax weights of one forward "
    "pass per sentence. Hatched: masked. They show where a head reads from, not why the model answers so: attention "
    "is not explanation."
)


class AttentionCard(QFrame):
    """A card with the maps of one head.

    Args:
        whose: a widget beside the title that chooses the model.

    Signals:
        picked(column): the user chose another token.
    """

    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, whose: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._reading: PairReading | None = None
        self._row = -1
        self._wanted: tuple[int, int] | None = None
        self.heads = choice("Head", "All heads, sorted by how much the row of the chosen token differs", width=34)
        self.scale = Segments("Colour scale", _SCALES, SCALES_TIP)
        self.maps = PairMaps(theme)
        self.summary = label("", wrap=True)
        self.summary.setMinimumHeight(2 * self.summary.fontMetrics().lineSpacing())
        self.title = label("", "subheading")
        head, about = row(self.title, whose, None, self.heads, self.scale), label(_ABOUT, "caption", wrap=True)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(head, self.maps, self.summary, None, about, margin=margin))
        self.heads.activated.connect(self._on_head)
        self.scale.changed.connect(self._draw)
        self.maps.read.connect(self._on_read)
        self.maps.picked.connect(self.picked)

    @property
    def head(self) -> tuple[int, int]:
        """(layer, head) of the shown maps, from 0."""
        found: tuple[int, int] = self.heads.currentData()
        return found

    def show_reading(self, reading: PairReading, row: int) -> None:
        """Show another pair; `row` is the column of the chosen token."""
        self._reading, self._row = reading, row
        self.title.setText("Encoder attention" if reading.answers_once else "Attention")
        differences = row_differences(reading, row)
        n_layer, n_head = differences.shape
        heads = [(layer, head) for layer in range(n_layer) for head in range(n_head)]
        heads.sort(key=lambda head: -differences[head])
        with QSignalBlocker(self.heads):
            self.heads.clear()
            for layer, head in heads:
                largest = float(differences[layer, head])
                words = f"differs by up to {format_points(largest)}" if largest else "no difference"
                self.heads.addItem(f"Layer {layer + 1}, head {head + 1} · {words}", (layer, head))
            if self._wanted in heads:
                self.heads.setCurrentIndex(heads.index(self._wanted))
        self._draw()

    @Slot()
    def _on_head(self) -> None:
        self._wanted = self.head
        self._draw()

    @Slot()
    def _draw(self) -> None:
        if self._reading is not None:
            self.maps.show_head(self._reading, *self.head, self._row, root=self.scale.value == "root")
            self._on_read("")

    @Slot(str)
    def _on_read(self, words: str) -> None:
        """Describe the cell under the pointer, or else the chosen row."""
        if self._reading is not None:
            self.summary.setText(words or describe_row(self._reading, *self.head, self._row))
