"""The base class of panels with a head and an export, whose body is replaced by a message while there is no result."""

from __future__ import annotations

from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.glass_panel import GlassPanel
from terrarium.app.glass.panel_head import About, PanelHead
from terrarium.app.glass.sheet import Sheet
from terrarium.app.kit.basics import EmptyState, column, label, scrolling
from terrarium.app.kit.export_button import ExportButton, ExportSource
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session


class FigurePanel(GlassPanel):
    """A panel with a head above `body`, or a message instead of the body.

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
