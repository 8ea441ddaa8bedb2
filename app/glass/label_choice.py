"""A selector of the label that the panels explain: the predicted one, or another one, as in “why not sad?”."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import label, row
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.labels import ElidedCombo

_GIVEN = "the model's answer"


class LabelChoice(QWidget):
    """The selector of a label; hidden unless there are several labels."""

    def __init__(self, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._focus = focus
        self.combo: QComboBox = ElidedCombo()
        self.combo.setAccessibleName("Label to ask about")
        self.combo.setToolTip("Ask why this label was given, or why another one was not")
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.setMinimumContentsLength(18)
        keep_wheel_for_scrolling(self.combo)
        self.setLayout(row(label("Ask about", "caption"), self.combo, None))
        self.combo.activated.connect(lambda i: focus.choose_label(i - 1 if i else None))
        focus.text_changed.connect(self.refresh)
        focus.label_changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Update the choices to the labels of the text in focus."""
        labels, chosen = self._focus.labels, self._focus.label
        with QSignalBlocker(self.combo):
            self.combo.clear()
            self.combo.addItems((_GIVEN, *labels))
            self.combo.setCurrentIndex(0 if chosen is None else chosen + 1)
        self.setVisible(len(labels) > 1)
