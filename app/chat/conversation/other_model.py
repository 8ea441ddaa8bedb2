"""A banner above a chat that used another model than the open one, with a button that opens it."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.kit.basics import button, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session


class OtherModel(QFrame):
    """A banner shown while the open model is not the one that the chat last used, if that one still exists.

    Signals:
        open_requested(run_id): open that model.
    """

    open_requested = Signal(str)

    def __init__(
        self, session: Session, theme: ThemeProvider, conversation: Conversation, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._conversation = session, conversation
        self.setProperty("role", "banner")
        self._known = ("", "")  # id and name of the run that was looked up last
        self.words = ElidedLabel()
        self.open = button("", theme, self._on_open, icon="chat-circle", tip="Its replies can be inspected then")
        margin = (SPACE + SPACE // 2, SPACE // 2, SPACE // 2, SPACE // 2)
        self.setLayout(row(self.words, self.open, grows=self.words, margin=margin))
        session.chat.changed.connect(self.refresh)
        session.chat.model_changed.connect(self.refresh)
        session.runs.changed.connect(self._on_runs)
        for signal in (conversation.chat_changed, conversation.path_changed):
            signal.connect(self.refresh)
        self.refresh()

    @Slot()
    def _on_runs(self) -> None:
        self._known = ("", "")
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show or hide the banner."""
        chat, model = self._conversation.chat, self._session.chat.model
        is_another = bool(chat.messages and chat.run_id) and (model is None or model.run_id != chat.run_id)
        name = self._name_of(chat.run_id) if is_another and self._session.chat.state != "loading" else ""
        self.setVisible(bool(name))
        if name:
            now = f"; “{model.name}” is open now" if model is not None else ""
            self.words.setText(f"This chat was held with “{name}”{now}.")
            self.open.setText(f"Open “{name}”")

    def _name_of(self, run_id: str) -> str:
        """Return the name of a run, "" if the run no longer exists."""
        if self._known[0] != run_id:
            self._known = run_id, self._session.runs.find(run_id).name if self._session.runs.has(run_id) else ""
        return self._known[1]

    def _on_open(self) -> None:
        self.open_requested.emit(self._conversation.chat.run_id)
