"""The base class of all panels of the glass box, which follow the text and the token in focus only while visible."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import SamplingConfig


class GlassPanel(QWidget):
    """A panel of the glass box. `show_text` and `show_position` are called only while it is visible.

    Signals:
        sampling_changed(config): settings of the sampling were changed here.
    """

    sampling_changed = Signal(object)

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.focus = focus
        self.examiner = Examiner(session.worker, session.chat, self)
        self._theme = theme
        self._is_text_new = self._is_position_new = True
        focus.text_changed.connect(self._on_text)
        focus.position_changed.connect(self._on_position)
        focus.label_changed.connect(self._on_position)
        session.chat.model_changed.connect(self._on_text)

    def show_text(self) -> None:
        """Show `focus.text`, which may be None. Called after it or the open model has changed."""
        raise NotImplementedError

    def show_position(self) -> None:
        """Show `focus.position`, which may be None, and `focus.label`. Called after either changed, or `show_text`."""
        raise NotImplementedError

    def set_sampling(self, config: SamplingConfig) -> None:
        """Set the settings of the sampling panel; most panels do not depend on them."""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._follow()

    @Slot()
    def _on_text(self) -> None:
        self._is_text_new = self._is_position_new = True
        self._follow()

    @Slot()
    def _on_position(self) -> None:
        self._is_position_new = True
        self._follow()

    def _follow(self) -> None:
        if not self.isVisible():
            return
        if self._is_text_new:
            self._is_text_new = False
            self.show_text()
        if self._is_position_new:
            self._is_position_new = False
            self.show_position()
