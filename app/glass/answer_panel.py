"""The base of the panels on how one answer forms: what they ask about, and what stands there while nothing can be."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.glass.asked import Asked
from app.glass.focus import Focus
from app.glass.panel import GlassPanel
from app.glass.panel_head import About, PanelHead
from app.glass.sheet import Sheet
from app.kit.basics import EmptyState, scrolling
from app.kit.export_button import ExportButton, Numbers
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from app.worker.failures import Failure

_LATE_MS = 300


class AnswerPanel(GlassPanel):
    """A head over what subclasses build in `body`, or a sentence where there is nothing to show yet.

    Subclasses ask in `ask`, which is called for another place, and forget what they know in `forget`.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        focus: Focus,
        about: About,
        numbers: Numbers,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(session, theme, focus, parent)
        self._session, self._title = session, about.title
        self.body = QWidget()
        self.lines = QVBoxLayout(self.body)
        self.lines.setContentsMargins(0, 0, SPACE // 2, SPACE)
        self.lines.setSpacing(SPACE)
        self._nothing = EmptyState("", "")
        self._pages = QStackedWidget()
        self._pages.addWidget(scrolling(self.body))
        self._pages.addWidget(self._nothing)
        self.export = ExportButton(session.notices, theme, Sheet(theme, self._heading, self.body, parent=self), numbers)
        self.head = PanelHead(theme, about, self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.head)
        layout.addWidget(self._pages, 1)
        self._late = QTimer(self, singleShot=True, interval=_LATE_MS)
        self._late.timeout.connect(self._on_late)
        self.examiner.changed.connect(self._on_asked)
        self.examiner.failed.connect(self._on_refused)

    def _heading(self) -> str:
        """What stands above the panel's picture."""
        model = self._session.chat.model
        return self._title if model is None else f"{self._title} · {model.name}, step {self.examiner.step:,}"

    @property
    def asked(self) -> Asked | None:
        """What is looked at; None where there is nothing."""
        text, place = self.focus.text, self.focus.place
        return Asked(text, place) if text is not None and place is not None else None

    @property
    def _is_encoder(self) -> bool:
        """Whether the answer for a token is read at the token itself, and nothing is written on."""
        model = self._session.chat.model
        return model is not None and model.mode == "fill"

    def ask(self, asked: Asked) -> None:
        """Ask the model about another place."""
        raise NotImplementedError

    def forget(self) -> None:
        """The text or the model is another: what was found out is of no use any more."""
        raise NotImplementedError

    def show_text(self) -> None:
        self.examiner.forget()
        self.forget()
        self.head.set_note("")
        self.say("Point at a token", "Rest the pointer on a token of the text; a click keeps it.")

    def show_place(self) -> None:
        asked = self.asked
        if self._session.chat.model is None:
            self.say("No model is open", "Choose a model above: it reads the text again, so that one can look inside.")
        elif self.focus.text is None:
            self.say("Nothing to look into yet", "Ask the model something, then point at a token of its text.")
        elif asked is not None:
            self.ask(asked)

    def say(self, heading: str, sentence: str) -> None:
        """Show a sentence in place of the body."""
        self._nothing.set_words(heading, sentence)
        self._pages.setCurrentIndex(1)

    @property
    def said(self) -> str:
        """What stands there in place of the body; '' where that is shown."""
        return self._nothing.words if self._pages.currentIndex() == 1 else ""

    def show_body(self, *, sees_itself: bool = False) -> None:
        """Show the body; and say where the model has learned on since the text was made, or has read what is asked."""
        self._pages.setCurrentIndex(0)
        text, notes = self.focus.text, []
        if text is not None and text.step != self.examiner.step:
            now = f"these numbers are the model's at step {self.examiner.step:,}"
            notes.append(f"The text was made at step {text.step:,}; {now}.")
        if sees_itself:
            notes.append("The model has read this very token, so it is no guess: it would be one where a mask stands.")
        self.head.set_note(" ".join(notes))

    @Slot()
    def _on_asked(self) -> None:
        if self.examiner.busy:
            self._late.start()
        else:
            self._late.stop()

    @Slot()
    def _on_late(self) -> None:
        """Beside a training with long steps an answer takes a while: what stands there until then is an older one."""
        if not self.said:
            self.head.set_note("The model is still being asked: what is here is its answer to the question before.")

    @Slot(object)
    def _on_refused(self, failure: Failure) -> None:
        self.say("This cannot be looked into", failure.sentence)
