"""The base class of the mode pages: shows a sentence instead of the page if the model does not support the mode."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.read_text import ReadText
from terrarium.app.kit.announcer import Announcer, ProblemLabel
from terrarium.app.kit.basics import EmptyState, column, show_words, stacked
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session

_NO_MODEL = ("No model is open", "Choose a model above.")


class ModePage(QWidget):
    """Subclasses build `body`, and implement `refusal` for the models that they do not support.

    news: tells screen readers what the model answers.
    """

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme, self.focus = session, theme, focus
        self._read: ReadText | None = None
        self._absence = ""
        self.news = Announcer(self)
        self.body = QWidget()
        self._empty = EmptyState(*_NO_MODEL)
        self._pages = stacked(self._empty, self.body)
        self.setLayout(column(self._pages))
        session.chat.model_changed.connect(self.on_model_changed)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        """Return a heading and a sentence if the mode does not support a model; None if it does."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The sentence shown instead of the page; "" while the page is shown."""
        return "" if self._pages.currentWidget() is self.body else self._empty.words

    def inspect(self, read: ReadText | None, absence: str = "") -> None:
        """Set the text that the glass box inspects while this page is in view, or the reason for its absence."""
        self._read, self._absence = read, absence
        if self.isVisible():
            self.focus.show(read, absence)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.focus.show(self._read, self._absence)

    @Slot()
    def on_model_changed(self) -> None:
        """Update the page after another model was opened, or the open model was closed."""
        self.inspect(None)
        model = self._session.chat.model
        refused = _NO_MODEL if model is None else self.refusal(model)
        if refused is not None:
            self._empty.set_words(*refused)
        self._pages.setCurrentWidget(self.body if refused is None else self._empty)


class ErrorLabel(ProblemLabel):
    """An error message; hidden while it is empty."""

    def __init__(self) -> None:
        super().__init__("")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", "error")
        self.setWordWrap(True)
        self.hide()

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Show a sentence; "" for none."""
        show_words(self, sentence)
