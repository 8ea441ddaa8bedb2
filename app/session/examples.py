"""A request to open a dataset row in the view of the model that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from PySide6.QtCore import QObject

from terrarium.app.session.chat import ChatSession
from terrarium.app.session.chat_model import ChatModel


class TaskExample(NamedTuple):
    """A row in the columns of its task (models.settings.tasks), and the checkpoint that must answer it."""

    run_id: str
    step: int
    row: Mapping[str, Any]


class Examples(QObject):
    """Stores the last requested row until a page takes it."""

    def __init__(self, chat: ChatSession, parent: QObject) -> None:
        super().__init__(parent)
        self._chat = chat
        self._example: TaskExample | None = None

    def ask(self, run_id: str, step: int, row: Mapping[str, Any]) -> bool:
        """Open a checkpoint, unless it is already open, to show a row on the page of its task; return whether it can be
        opened."""
        model = self._chat.model
        self._example = TaskExample(run_id, step, row)
        is_open = model is not None and (model.which, model.step) == (run_id, step) and self._chat.state != "loading"
        if not is_open and not self._chat.open(run_id, step):
            self._example = None
            return False
        return True

    def take(self, model: ChatModel) -> Mapping[str, Any] | None:
        """Return and clear the row requested for this model, or None."""
        example = self._example
        if example is None or (model.which, model.step) != (example.run_id, example.step):
            return None
        self._example = None
        return example.row
