"""The batch size and text length for which the builder shows shapes and costs."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.inputs import caption, grid, named
from terrarium.app.kit.theme import SPACE

DEFAULT_BATCH = 24


class WorkSize(QWidget):
    """Inputs for batch size and length. The length follows the design's context until the user chooses another one.

    Signals:
        changed(): the user changed either number.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._follows = True
        self.batch = IntBox(1, 65_536, 1)
        self.length = IntBox(1, 16_777_216, 16)
        self.batch.setValue(DEFAULT_BATCH)
        tips = (
            ("Batch, texts", self.batch, "How many texts are processed in parallel: B in the diagram"),
            ("Length, tokens", self.length, "How long each of them is, up to the context length: T in the diagram"),
        )
        rows = [(caption(words, box, "muted", tip), named(box, words, tip)) for words, box, tip in tips]
        lines = grid(*rows, grows=0)
        lines.setContentsMargins(0, SPACE // 2, 0, SPACE + SPACE // 2)
        self.setLayout(lines)
        self._size_boxes()
        self.batch.valueChanged.connect(self.changed)
        self.length.valueChanged.connect(self._on_length)

    @property
    def values(self) -> tuple[int, int]:
        """The batch size and the length."""
        return self.batch.value(), self.length.value()

    def set_context(self, context_length: int) -> None:
        """Allow lengths up to the context length. Emits no signal."""
        with QSignalBlocker(self.length):
            self.length.setRange(1, context_length)
            if self._follows:
                self.length.setValue(context_length)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._size_boxes()

    def _size_boxes(self) -> None:
        for box in (self.batch, self.length):
            box.setFixedWidth(box.fontMetrics().horizontalAdvance("16,777,216") + 42)

    def _on_length(self, length: int) -> None:
        self._follows = length == self.length.maximum()
        self.changed.emit()
