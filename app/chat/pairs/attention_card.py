"""Where a head looks in two sentences, and how that differs: the heads to choose from, and the maps of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QVBoxLayout, QWidget

from app.chat.pairs.pair_maps import PairMaps
from app.chat.pairs.pair_words import points, row_differences, row_sentence
from app.kit.basics import label, row
from app.kit.labels import ElidedCombo
from app.kit.layout.segments import Segments
from app.kit.theme import SPACE, ThemeProvider

if TYPE_CHECKING:
    from models.inspect.minimal_pair import PairReading

_SCALES = {"root": "√", "linear": "Linear"}
_ABOUT = (
    "Rows look at columns; the marked row is the token chosen above. The weights are the softmax's own, from one pass "
    "over each sentence. Hatched: not seen. They tell where a head mixes from, not why the answer came out: attention "
    "is not explanation."
)


class AttentionCard(QFrame):
    """A card with the maps of one head.

    Args:
        whose: chooses the model, if there is a choice; it stands beside the title.

    Signals:
        picked(column): the user wants to look from another token.
    """

    picked = Signal(int)

    def __init__(self, theme: ThemeProvider, whose: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._reading: PairReading | None = None
        self._row = -1
        self._wanted: tuple[int, int] | None = None
        self.heads = ElidedCombo()
        self.heads.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.heads.setMinimumContentsLength(34)
        self.heads.setAccessibleName("Head")
        self.heads.setToolTip("All heads, those first whose row for the chosen token differs most")
        self.scale = Segments("Colour scale", _SCALES, "The root shows small weights, too; linear is true to size")
        self.maps = PairMaps(theme)
        self.said = label("", wrap=True)
        self.said.setMinimumHeight(2 * self.said.fontMetrics().lineSpacing())
        lines = QVBoxLayout(self)
        lines.setContentsMargins(2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        lines.setSpacing(SPACE)
        self.title = label("", "subheading")
        lines.addLayout(row(self.title, whose, None, self.heads, self.scale))
        lines.addWidget(self.maps)
        lines.addWidget(self.said)
        lines.addStretch(1)
        lines.addWidget(label(_ABOUT, "caption", wrap=True))
        self.heads.activated.connect(self._on_head)
        self.scale.changed.connect(self._draw)
        self.maps.read.connect(self._on_read)
        self.maps.picked.connect(self.picked)

    @property
    def head(self) -> tuple[int, int]:
        """(layer, head), from 0, of what is shown."""
        found: tuple[int, int] = self.heads.currentData()
        return found

    def show_reading(self, reading: PairReading, row: int) -> None:
        """Show another pair, looked at from the token of a column."""
        self._reading, self._row = reading, row
        self.title.setText("Attention of its encoder" if reading.answers_once else "Attention")
        differences = row_differences(reading, row)
        n_layer, n_head = differences.shape
        places = [(layer, head) for layer in range(n_layer) for head in range(n_head)]
        places.sort(key=lambda place: -differences[place])
        with QSignalBlocker(self.heads):
            self.heads.clear()
            for layer, head in places:
                largest = float(differences[layer, head])
                words = f"differs by up to {points(largest)}" if largest else "no difference"
                self.heads.addItem(f"Layer {layer + 1}, head {head + 1} · {words}", (layer, head))
            if self._wanted in places:
                self.heads.setCurrentIndex(places.index(self._wanted))
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
        """The cell under the pointer, else the chosen row."""
        if self._reading is not None:
            self.said.setText(words or row_sentence(self._reading, *self.head, self._row))
