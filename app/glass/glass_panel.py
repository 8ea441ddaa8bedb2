"""The base classes of all panels of the glass box, which follow the text and the token only while visible."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.panel_head import About, PanelHead
from terrarium.app.glass.sheet import Sheet
from terrarium.app.kit.basics import EmptyState, column, label, scrolling
from terrarium.app.kit.export_button import ExportButton, ExportSource
from terrarium.app.kit.theme import SPACE, ThemeProvider
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


class FigurePanel(GlassPanel):
    """A panel with a head above `body`, which is replaced by a message while there is no result.

    Subclasses add what they show to `lines`, the layout of the body, first `sentence`: what it shows, in words.

    Args:
        numbers: the numbers to export; the picture is the whole body.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        about: About,
        numbers: ExportSource,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(session, theme, focus, parent)
        self._session, self._title = session, about.title
        self.body = QWidget()
        self.lines = QVBoxLayout(self.body)
        self.lines.setContentsMargins(0, 0, SPACE // 2, SPACE)
        self.lines.setSpacing(SPACE)
        self.sentence = label("", "sentence", wrap=True, selectable=True)
        self._nothing = EmptyState("", "")
        self._pages = QStackedWidget()
        self._pages.addWidget(scrolling(self.body))
        self._pages.addWidget(self._nothing)
        self.export = ExportButton(session.notices, theme, Sheet(theme, self._heading, self.body, parent=self), numbers)
        self.head = PanelHead(theme, about, self.export)
        self.setLayout(column(self.head, self._pages, grows=self._pages))

    def _heading(self) -> str:
        """The heading of the exported picture."""
        model = self._session.chat.model
        return self._title if model is None else f"{self._title} · {model.name}, step {self.examiner.step:,}"

    def show_body(self) -> None:
        """Show the body instead of a message."""
        self._pages.setCurrentIndex(0)

    def show_message(self, heading: str, sentence: str) -> None:
        """Show a message instead of the body."""
        self._nothing.set_words(heading, sentence)
        self._pages.setCurrentIndex(1)

    @property
    def message(self) -> str:
        """The message shown instead of the body; '' if the body is shown."""
        return self._nothing.words if self._pages.currentIndex() == 1 else ""
