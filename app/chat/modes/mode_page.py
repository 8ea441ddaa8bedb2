"""What the pages of all modes share: a sentence in the place of the page where the mode does not fit the open model."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QStackedWidget, QVBoxLayout, QWidget

from app.glass.focus import Focus
from app.glass.read_text import ReadText
from app.kit.basics import EmptyState
from app.kit.theme import ThemeProvider
from app.session.chat_model import ChatModel
from app.session.session import Session

_NO_MODEL = ("No model is open", "Choose a model above.")


class ModePage(QWidget):
    """Subclasses build `body` and say in `refusal` which models it is nothing for."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme, self.focus = session, theme, focus
        self._read: ReadText | None = None
        self.body = QWidget()
        self._empty = EmptyState(*_NO_MODEL)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self.body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        session.chat.model_changed.connect(self.model_is_new)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        """A heading and a sentence where the mode does not fit a model; None where it does."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """What is said in the place of the page; "" where it is shown."""
        return "" if self._pages.currentWidget() is self.body else self._empty.words

    def look_into(self, read: ReadText | None) -> None:
        """What the glass box shows as long as this page is the one in view."""
        self._read = read
        if self.isVisible():
            self.focus.show(read)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.focus.show(self._read)

    @Slot()
    def model_is_new(self) -> None:
        """Another model is open, or none."""
        self.look_into(None)
        model = self._session.chat.model
        refused = _NO_MODEL if model is None else self.refusal(model)
        if refused is not None:
            self._empty.set_words(*refused)
        self._pages.setCurrentWidget(self.body if refused is None else self._empty)


class Problem(QLabel):
    """A sentence in the colour of errors, which takes no room while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", "error")
        self.setWordWrap(True)
        self.hide()

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Show a sentence; "" for none."""
        self.setText(sentence)
        self.setVisible(bool(sentence))
