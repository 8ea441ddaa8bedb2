"""The chat's model for other programs of this computer: the session's layer for it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from app.serve.endpoint.address import DEFAULT_PORT
from app.serve.serving import ServeControl, ServeState
from app.session.trials import Trials
from models.library.library import Library

_PORT = "serve_port"


class Serving(Trials):
    """Everything of Chatting, with the chat's model served over HTTP.

    Signals (and those of Chatting):
        serving_changed(): `serving` is new.
    """

    serving_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._serve = serve = ServeControl(self.worker, self.chat, self.training.live_trainer, self)
        serve.changed.connect(self.serving_changed)
        self.runs.deleted.connect(self._on_runs_deleted)
        serve.failed.connect(self.notices.fail)
        self.training.ended.connect(self._on_live_model_gone)

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

    @Slot(object)
    def _on_runs_deleted(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self._serve.withdraw(run_id)

    def close(self) -> None:
        """Stop serving before the worker, which makes the answers, ends."""
        self._serve.close()
        super().close()

    @Slot()
    def _on_live_model_gone(self) -> None:
        if self.training.state is not None:
            self._serve.withdraw(self.training.state.run_id, live=True)
