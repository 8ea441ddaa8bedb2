"""The window's endpoint: serves the chat's model to other programs on this computer.

HTTP runs on its own thread without Qt; generation runs on the worker, as interactive jobs.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.serve.endpoint.engine import EngineSwitch, ModelLease, ServedModel, WorkerEngine
from terrarium.app.serve.endpoint.errors import ModelGoneError
from terrarium.app.serve.endpoint.http_server import DEFAULT_PORT, base_url, bind
from terrarium.app.serve.endpoint.request_log import RequestLog, RequestRecord
from terrarium.app.session.chat import CHAT, OPEN, ChatSession
from terrarium.app.session.chat_model import LIVE, ChatModel
from terrarium.app.session.models_in_memory import ModelsInMemory
from terrarium.app.session.remembered import Remembered
from terrarium.app.session.runs import Runs
from terrarium.app.session.training import Training
from terrarium.app.worker.failures import Failure, describe
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker

if TYPE_CHECKING:
    from terrarium.app.serve.endpoint.http_server import HttpServer

log = logging.getLogger(__name__)

SERVING = "Serving"
"""The owner of the served model in ModelsInMemory."""
_POLL_MS = 200
_PORT = "serve_port"
_STOPPED = "Serving has been stopped."


@dataclass(frozen=True, kw_only=True)
class ServeState:
    """The state of serving.

    status: off, on or stopping. url: the base URL for clients. model: the served model. problem: why requests cannot be
    answered although the status is on, else "". requests: the latest requests, the newest first.
    """

    status: str = "off"
    url: str = ""
    port: int = 0
    model: ChatModel | None = None
    problem: str = ""
    requests: tuple[RequestRecord, ...] = ()
    n_answered: int = 0


class _ServerThread(threading.Thread):
    """Serves on a socket until `stop`."""

    def __init__(self, bound: socket.socket, engine: EngineSwitch, request_log: RequestLog) -> None:
        super().__init__(name="serving", daemon=True)
        self._bound, self._engine, self._log = bound, engine, request_log
        self._server: HttpServer | None = None
        self._stopped = False
        self.failure: Failure | None = None

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            with self._bound:
                # Imported here because that takes a fraction of a second.
                from terrarium.app.serve.endpoint.endpoints import make_endpoint
                from terrarium.app.serve.endpoint.http_server import HttpServer

                endpoint = make_endpoint(self._engine, self._log)
                self._server = HttpServer(endpoint, lambda: self._engine.close(_STOPPED))
                if not self._stopped:
                    self._server.serve_on(self._bound)
        except Exception as error:
            log.exception("Serving failed")
            self.failure = describe(error)

    def stop(self) -> None:
        """Stop soon. Thread-safe."""
        self._stopped = True
        if self._server is not None:
            self._server.stop()


class Serving(QObject):
    """Serves one model at a time: the chat's model at the time of `start`, even if the chat opens another model later.

    When that model becomes unavailable, since its run was deleted or its training ended, requests get an error.

    Signals:
        changed(): `state` has changed.
    """

    changed = Signal()

    def __init__(
        self,
        worker: Worker,
        chat: ChatSession,
        training: Training,
        runs: Runs,
        models: ModelsInMemory,
        remembered: Remembered,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._worker, self._chat, self._training, self._models = worker, chat, training, models
        self._remembered, self._notices = remembered, notices
        self._switch: EngineSwitch | None = None
        self._log = RequestLog()
        self._thread: _ServerThread | None = None
        self._port, self._url = 0, ""
        self._model: ChatModel | None = None
        self.state = ServeState()
        self._poll_timer = QTimer(self, interval=_POLL_MS)
        self._poll_timer.timeout.connect(self._poll)
        runs.deleted.connect(self._on_runs_deleted)
        training.ended.connect(self._on_training_ended)
        models.freed.connect(self._on_freed)

    @property
    def last_port(self) -> int:
        """The most recently used port."""
        return int(self._remembered.get(_PORT, DEFAULT_PORT))

    def start(self, port: int) -> bool:
        """Serve the chat's model at `port`, replacing any other. Return whether that worked; problems are reported."""
        if not self._notices.attempt(lambda: self._start(port)):
            return False
        self._remembered.set(_PORT, port)
        return True

    def _start(self, port: int) -> None:
        engine = WorkerEngine(self._served_model(), self._worker.submit)
        if self._thread is not None and self._switch is not None and self.state.status == "on":
            before, self._switch.engine = self._switch.engine, engine
            before.close("Another model is now being served: try again.")
        elif self._thread is not None:
            raise ValueError("Serving is stopping: try again in a moment.")
        else:
            bound = bind(port)
            self._url, self._port = base_url(bound), bound.getsockname()[1]
            self._switch, self._log = EngineSwitch(engine), RequestLog()
            self._thread = _ServerThread(bound, self._switch, self._log)
            self._thread.start()
            self._poll_timer.start()
        self._model = self._chat.model
        self._poll()

    def stop(self) -> None:
        """Stop soon; requests in progress get an error with the reason."""
        if self._thread is not None:
            self._thread.stop()
            self._show("stopping")

    @Slot()
    def close(self) -> None:
        """Stop, and wait for the end. Call this before closing the worker, which generates the answers."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
            self._poll()

    @Slot(object)
    def _on_runs_deleted(self, run_ids: tuple[str, ...]) -> None:
        if self._model is not None and self._model.run_id in run_ids:
            self._close_engine(f"“{self._model.name}” has been deleted")

    @Slot()
    def _on_training_ended(self) -> None:
        if self._model is not None and self._model.which == LIVE and not self._training.trains(self._model.run_id):
            self._close_engine(f"The training of “{self._model.name}” has ended")

    @Slot()
    def _on_freed(self) -> None:
        if self._model is not None:
            self._close_engine(f"“{self._model.name}” is no longer in memory")

    def _close_engine(self, why: str) -> None:
        """Answer requests with an error from now on, since the model is no longer available."""
        if self._switch is not None:
            self._switch.close(f"{why}: serve another model in Terrarium.")
            self._models.release(SERVING)
            self._poll()

    def _served_model(self) -> ServedModel:
        """Return the chat's model, prepared for serving. Computes nothing."""
        chosen = self._chat.model
        if chosen is None:
            raise ValueError("No model is open: choose one for the chat first.")
        if not chosen.writes:
            raise ValueError(f"“{chosen.name}” cannot be served: it does not generate text. Open another model.")
        tokenizer, loaded = self._chat.tokenizer, self._models.get(CHAT, OPEN)
        assert tokenizer is not None
        if loaded is not None:
            self._models.put(SERVING, OPEN, loaded)  # it is retained when the chat opens another model
        else:
            self._models.release(SERVING)

        def acquire() -> ModelLease:
            if chosen.which != LIVE:
                served = self._models.get(SERVING, OPEN)
                if served is None:
                    raise ModelGoneError(f"“{chosen.name}” is no longer in memory.")
                return ModelLease(model=served.model, step=served.step)
            trainer = self._training.live_trainer(chosen.run_id)
            if trainer is None:
                raise ModelGoneError(f"The training of “{chosen.name}” has just ended.")
            return ModelLease(model=trainer.model, step=trainer.step)

        return ServedModel(
            name=chosen.name,
            other_names=(chosen.run_id, chosen.which),
            created=int(time.time()),
            config=chosen.config,
            tokenizer=tokenizer,
            template_config=chosen.template_config,
            acquire=acquire,
            in_training=chosen.which == LIVE,
        )

    @Slot()
    def _poll(self) -> None:
        """Update the state from the HTTP thread."""
        thread = self._thread
        if thread is None or thread.is_alive():
            self._show("stopping" if self.state.status == "stopping" else "on")
            return
        self._thread, self._switch, self._model = None, None, None
        self._models.release(SERVING)
        self._poll_timer.stop()
        self._show("off")
        if thread.failure is not None:
            self._notices.fail(thread.failure)

    def _show(self, status: str) -> None:
        if status == "off":
            state = ServeState()
        else:
            state = ServeState(
                status=status,
                url=self._url,
                port=self._port,
                model=self._model,
                problem=self._problem(),
                requests=self._log.records,
                n_answered=self._log.n_answered,
            )
        if state != self.state:
            self.state = state
            self.changed.emit()

    def _problem(self) -> str:
        try:
            if self._switch is not None:
                self._switch.served  # noqa: B018 (raises the exception)
        except ModelGoneError as error:
            return str(error)
        return ""
