"""The chat's model for other programs of this computer: the session's layer for it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from app.serve.endpoint.address import DEFAULT_PORT
from app.serve.serving import ServeControl, ServeState
from app.session.chatting import Chatting
from models.library.library import Library

_PORT = "serve_port"


class Serving(Chatting):
    """Everything of Chatting, with the chat's model served over HTTP.

    Signals (and those of Chatting):
        serving_changed(): `serving` is new.
    """

    serving_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._serve = serve = ServeControl(self.worker, self._chat, self._training.live_trainer, self)
        serve.changed.connect(self.serving_changed)
        serve.failed.connect(self.notices.fail)
        self.training_ended.connect(self._on_live_model_gone)

    @property
    def serving(self) -> ServeState:
        """What is served, and to whom."""
        return self._serve.state

    @property
    def serve_port(self) -> int:
        """The port that was used last."""
        return int(self.remembered.get(_PORT, DEFAULT_PORT))

    def start_serving(self, port: int) -> bool:
        """Let programs of this computer ask the chat's model, in place of any other; whether it began."""
        if not self.notices.attempt(lambda: self._serve.start(port)):
            return False
        self.remembered.set(_PORT, port)
        return True

    def stop_serving(self) -> None:
        """Answer nothing more; what is being answered ends with a sentence."""
        self._serve.stop()

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Move runs to the trash, and serve none of them any more."""
        super().delete_runs(run_ids)
        for run_id in run_ids:
            if not (self.library.runs / run_id).exists():
                self._serve.withdraw(run_id)

    def close(self) -> None:
        """Stop serving before the worker, which makes the answers, ends."""
        self._serve.close()
        super().close()

    @Slot()
    def _on_live_model_gone(self) -> None:
        if self._training.state is not None:
            self._serve.withdraw(self._training.state.run_id, live=True)
