"""What stands below an editor that shows only the beginning of its text, with a button that lets go of the rest."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from app.kit.basics import button, label, row
from app.kit.text.text_box import TextBox
from app.kit.theme import ThemeProvider


class HeldNote(QWidget):
    """Hidden while all of the text can be typed into.

    Args:
        why: what is done with all of it all the same, and why it is not shown: “all 9 characters {why}”.
    """

    def __init__(self, editor: TextBox, theme: ThemeProvider, why: str) -> None:
        super().__init__()
        self._editor, self._why = editor, why
        self._words = label("", "caption", wrap=True)
        tip = "Keep only the beginning of the text, which can be typed into"
        shorten = button("Edit the beginning", theme, editor.edit_beginning, role="quiet", tip=tip)
        self.setLayout(row(self._words, shorten))
        self.hide()
        editor.text_changed.connect(self._follow)

    @Slot()
    def _follow(self) -> None:
        self.setVisible(self._editor.holds)
        if self._editor.holds:
            self._words.setText(f"Only the beginning: all {len(self._editor.text):,} characters {self._why}.")
