"""Every place in which a text differs from what comes back of it, in a list that pops up."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE
from models.tokenizers import show_bytes
from models.tokenizers.text.round_trip import Difference, RoundTrip

_LONGEST = 12  # characters of a change that are shown
_MOST_ROWS = 10
_CHANGE = 180  # pixels at most for what a place becomes


class DifferenceList(QFrame):
    """A popup with a row for each difference: where it is, what becomes of it, and why.

    Signals:
        chosen(int): the number of the difference that was clicked, or on which Return was pressed.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setProperty("role", "toast")
        self._summary = ElidedLabel()
        self._summary.setProperty("role", "caption")
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Character", "Becomes", "Why"])
        self.tree.setAccessibleName("Places that differ")
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setFrameShape(QFrame.Shape.NoFrame)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.header().setStretchLastSection(True)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemActivated.connect(self._on_item)
        self.tree.itemClicked.connect(self._on_item)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(self._summary)
        layout.addWidget(self.tree)

    def set_result(self, result: RoundTrip) -> None:
        """List what differs."""
        self._summary.setText(f"{result.summary}.")
        self.tree.clear()
        for difference in result.differences:
            item = QTreeWidgetItem([f"{difference.start + 1:,}", change_words(difference), difference.why])
            item.setTextAlignment(0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column in (1, 2):
                item.setToolTip(column, difference.sentence)
            self.tree.addTopLevelItem(item)
        self.tree.setColumnWidth(1, min(self.tree.sizeHintForColumn(1), _CHANGE))

    def open_above(self, anchor: QWidget) -> None:
        """Show the list as wide as `anchor` and right above it, or below it where there is no room."""
        row = self.tree.sizeHintForRow(0)
        rows = min(self.tree.topLevelItemCount(), _MOST_ROWS)
        self.tree.setFixedHeight(rows * row + self.tree.header().sizeHint().height() + 4)
        self.setFixedSize(anchor.width(), self.sizeHint().height())
        above = anchor.mapToGlobal(QPoint(0, -self.height() - SPACE // 2))
        screen = anchor.screen().availableGeometry()
        self.move(above if above.y() >= screen.top() else anchor.mapToGlobal(QPoint(0, anchor.height() + SPACE // 2)))
        self.show()
        self.tree.setCurrentIndex(self.tree.model().index(0, 0))
        self.tree.setFocus()

    def _on_item(self, item: QTreeWidgetItem) -> None:
        self.hide()
        self.chosen.emit(self.tree.indexOfTopLevelItem(item))


def change_words(difference: Difference) -> str:
    """What becomes of a place, in marks: “É → é”, “·· → ·”, “É → nothing”."""
    return f"{_marks(difference.text)} → {_marks(difference.back)}"


def _marks(text: str) -> str:
    if not text:
        return "nothing"
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 + 1 :]}"
    return "".join(f"⟨U+{ord(c):04X}⟩" if "\ud800" <= c <= "\udfff" else show_bytes(c.encode()) for c in short)
