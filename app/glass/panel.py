"""The base of the glass box's panels: only the one in view follows the text and the token under the cursor."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from app.glass.examiner import Examiner
from app.glass.focus import Focus
from app.kit.theme import ThemeProvider
from app.session.session import Session


class GlassPanel(QWidget):
    """A view into the model. Subclasses draw in `show_text` and `show_place`, which come only while it is in view."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.focus = focus
        self.examiner = Examiner(session.worker, session.chat, self)
        self._theme = theme
        self._is_text_new = self._is_place_new = True
        focus.text_changed.connect(self._on_text)
        focus.place_changed.connect(self._on_place)
        session.chat.model_changed.connect(self._on_text)

    def show_text(self) -> None:
        """`focus.text` is another (or None), or another model is open."""
        raise NotImplementedError

    def show_place(self) -> None:
        """`focus.place` is another (or None); always after `show_text` where both are new."""
        raise NotImplementedError

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._follow()

    @Slot()
    def _on_text(self) -> None:
        self._is_text_new = self._is_place_new = True
        self._follow()

    @Slot()
    def _on_place(self) -> None:
        self._is_place_new = True
        self._follow()

    def _follow(self) -> None:
        if not self.isVisible():
            return
        if self._is_text_new:
            self._is_text_new = False
            self.show_text()
        if self._is_place_new:
            self._is_place_new = False
            self.show_place()
