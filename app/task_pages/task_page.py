"""The base class of the pages for label tasks: the model answers while the user types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.basics import column, scrolling
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.kit.text.text_box import TextBox
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.mode_page import ErrorLabel, ModePage
from terrarium.app.task_pages.task_questions import Answered, answer_row
from terrarium.app.worker.failures import Failure

_PATIENCE_MS = 120
_UNSEEN = "The text is so long that the model reads it in several windows; the glass box shows one at a time."


class TaskPage(ModePage):
    """A page with the model's input at the left and its answer at the right.

    Subclasses set the supported `modes` of a model, build both sides, return the input as a row, and show the answer.
    """

    modes: tuple[str, ...] = ()

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.answered: Answered | None = None
        """The latest answer; None until the current input has an answer."""
        self._examiner = Examiner(session.worker, session.chat, self)
        self.problem = ErrorLabel()
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(self._ask)
        self._examiner.done.connect(self._on_answered)
        self._examiner.failed.connect(self._on_failed)

    def _build(self, left: QWidget, right: QWidget) -> None:
        """Lay out the page. Call this once, after both sides were created."""
        both = AdaptiveSplitter(left, scrolling(right), sizes=(460, 380), grows=0)
        self.body.setLayout(column(both, self.problem, grows=both))
        self.on_model_changed()

    # -- For subclasses ------------------------------------------------------------------------------------------------

    def row(self) -> Mapping[str, Any] | None:
        """Return the input as a row of the model's task; None if it is empty."""
        raise NotImplementedError

    def show_example(self, row: Mapping[str, Any]) -> None:
        """Fill in a row of a dataset."""
        raise NotImplementedError

    def show_answer(self, answered: Answered | None) -> str:
        """Show the model's answer, and return it in words; None: the input is empty, or has no answer yet."""
        raise NotImplementedError

    def show_model(self, model: ChatModel) -> None:
        """Adapt the page to another open model that it supports."""

    # -- Questions to the model ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a question to the model is pending or being answered."""
        return self._patience.isActive() or self._examiner.busy

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.mode not in self.modes:
            return "Not with this model", "This page is for models with another head: choose one above."
        return None

    @Slot()
    def on_model_changed(self) -> None:
        super().on_model_changed()
        self._examiner.forget()
        model = self._session.chat.model
        if model is not None and not self.words:
            self.show_model(model)
        self.on_edited()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.answered is None:
            self.on_edited()

    @Slot()
    def on_edited(self) -> None:
        """Ask the model about the changed input, debounced."""
        self.problem.say("")
        if self.words or self.row() is None:
            self._patience.stop()
            self._examiner.forget()
            self._show(None)
        else:
            self._patience.start()

    @Slot()
    def _ask(self) -> None:
        row, model = self.row(), self._session.chat.model
        if row is None or model is None or self.words or not self.isVisible():  # asked again when the page is shown
            return
        task, labels = model.task, model.labels
        self._examiner.ask(lambda model, tokenizer: answer_row(model, tokenizer, task, row, labels))

    @Slot(object)
    def _on_answered(self, answered: Answered) -> None:
        if answered.row == self.row():
            self._show(answered)

    def _show(self, answered: Answered | None) -> None:
        self.answered = answered
        read = answered.read if answered is not None else None
        if read is None:
            self.inspect(None, _UNSEEN if answered is not None else "")
        else:
            self.inspect(read(self._examiner.step))
        self.news.say(self.show_answer(answered), instead=True)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show(None)
        self.problem.say(failure.sentence)


def qt_position(text: str, index: int) -> int:
    """Return the index of a character in an editor: Qt counts UTF-16 units, and an emoji has two."""
    return len(text[:index].encode("utf-16-le", "surrogatepass")) // 2


def text_box(name: str, hint: str, lines: int) -> TextBox:
    """Create an editor of at least `lines` lines."""
    box = named(TextBox(), name)
    box.setPlaceholderText(hint)
    box.setTabChangesFocus(True)
    box.setMinimumHeight(box.fontMetrics().lineSpacing() * lines + 2 * SPACE)
    return box
