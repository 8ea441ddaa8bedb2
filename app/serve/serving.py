"""The endpoint of the window: the model of the chat, offered to the other programs of this computer.

HTTP is a thread of its own, which knows nothing of Qt. What is asked for is made by the worker, in interactive jobs.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.serve.endpoint.activity import Activity, Call
from app.serve.endpoint.address import bind, url_of
from app.serve.endpoint.engine import EngineSwitch, Loan, Served
from app.serve.endpoint.errors import ModelGoneError
from app.serve.endpoint.worker_engine import WorkerEngine
from app.session.chat import Chat
from app.session.chat_model import LIVE, ChatModel
from app.worker.failures import Failure, describe
from app.worker.worker import Worker

if TYPE_CHECKING:
    from app.serve.endpoint.http_server import HttpServer

log = logging.getLogger(__name__)

_LOOK_MS = 200
_STOPPED = "Serving has been stopped."


@dataclass(frozen=True, kw_only=True)
class ServeState:
    """What is served, and to whom.

    status: off, on, or stopping. url: the base URL for clients. model: what answers. problem: why nothing is answered
    although it is on; empty while there is an answer. calls: the newest requests, the newest first.
    """

    status: str = "off"
    url: str = ""
    port: int = 0
    model: ChatModel | None = None
    problem: str = ""
    calls: tuple[Call, ...] = ()
    n_answered: int = 0


class _Listener(threading.Thread):
    """Answers at a socket until it is told to stop."""

    def __init__(self, bound: socket.socket, engine: EngineSwitch, activity: Activity) -> None:
        super().__init__(name="serving", daemon=True)
        self._bound, self._engine, self._activity = bound, engine, activity
        self._server: HttpServer | None = None
        self._stopped = False
        self.failure: Failure | None = None

    def run(self) -> None:
        """Until `stop`."""
        try:
            with self._bound:
                # Here, since loading them takes a part of a second.
                from app.serve.endpoint.endpoints import make_endpoint
                from app.serve.endpoint.http_server import HttpServer

                endpoint = make_endpoint(self._engine, self._activity)
                self._server = HttpServer(endpoint, lambda: self._engine.close(_STOPPED))
                if not self._stopped:
                    self._server.answer_at(self._bound)
        except Exception as error:
            log.exception("Serving failed")
            self.failure = describe(error)

    def stop(self) -> None:
        """Any thread: end soon."""
        self._stopped = True
        if self._server is not None:
            self._server.stop()


class ServeControl(QObject):
    """Serves one model at a time: that of the chat when it was started, though the chat may go on with another.

    Signals:
        changed(): `state` is new.
        failed(failure): it ended by itself.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(
        self, worker: Worker, chat: Chat, live_trainer: Callable[[], Any], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._worker, self._chat, self._live_trainer = worker, chat, live_trainer
        self._switch: EngineSwitch | None = None
        self._activity = Activity()
        self._listener: _Listener | None = None
        self._port, self._url = 0, ""
        self._model: ChatModel | None = None
        self.state = ServeState()
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._on_look)

    def start(self, port: int) -> None:
        """Serve the model of the chat at `port`; where something is served already, this model in its place.

        Raises:
            ValueError: where no model is open that writes texts, or the port is taken.
        """
        engine = WorkerEngine(self._offer(), self._worker.submit)
        if self._listener is not None and self._switch is not None and self.state.status == "on":
            before, self._switch.engine = self._switch.engine, engine
            before.close("Another model is served now: ask again.")
        elif self._listener is not None:
            raise ValueError("Serving is just being stopped: try again in a moment.")
        else:
            bound = bind(port)
            self._url, self._port = url_of(bound), bound.getsockname()[1]
            self._switch, self._activity = EngineSwitch(engine), Activity()
            self._listener = _Listener(bound, self._switch, self._activity)
            self._listener.start()
            self._look.start()
        self._model = self._chat.model
        self._on_look()

    def stop(self) -> None:
        """End it soon: who waits for an answer gets a sentence."""
        if self._listener is not None:
            self._listener.stop()
            self._show("stopping")

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.stop()
        if self._listener is not None:
            self._listener.join()
            self._on_look()

    def withdraw(self, run_id: str, *, live: bool = False) -> None:
        """The model of this run is gone; `live`: it is in training no more. From now on a sentence is the answer."""
        model = self._model
        if self._switch is None or model is None or model.run_id != run_id or (live and model.which != LIVE):
            return
        reason = "The training of “{}” has ended" if live else "“{}” has been deleted"
        self._switch.close(reason.format(model.name) + ", so it answers no more: serve another model in Terrarium.")
        self._on_look()

    def _offer(self) -> Served:
        """The model of the chat. What is read of it here needs no computing."""
        chosen = self._chat.model
        if chosen is None:
            raise ValueError("No model is open that could be served: choose one for the chat first.")
        if chosen.mode == "fill":
            raise ValueError(
                f"“{chosen.name}” fills masks and writes no texts, so programs could ask it for nothing: open another "
                "model."
            )
        model, tokenizer, step = self._chat.open_model()

        def lend() -> Loan:
            if chosen.which != LIVE:
                return Loan(model=model, step=step)
            trainer = self._live_trainer()
            if trainer is None or trainer.run.id != chosen.run_id:
                raise ModelGoneError(f"The training of “{chosen.name}” has just ended.")
            return Loan(model=trainer.model, step=trainer.step)

        return Served(
            name=chosen.name,
            other_names=(chosen.run_id, chosen.which),
            created=int(time.time()),
            config=model.config,
            tokenizer=tokenizer,
            form=chosen.form,
            lend=lend,
            in_training=chosen.which == LIVE,
        )

    @Slot()
    def _on_look(self) -> None:
        """See what the other thread has done."""
        listener = self._listener
        if listener is None or listener.is_alive():
            self._show("stopping" if self.state.status == "stopping" else "on")
            return
        self._listener, self._switch, self._model = None, None, None
        self._look.stop()
        self._show("off")
        if listener.failure is not None:
            self.failed.emit(listener.failure)

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
                calls=self._activity.calls,
                n_answered=self._activity.n_answered,
            )
        if state != self.state:
            self.state = state
            self.changed.emit()

    def _problem(self) -> str:
        try:
            if self._switch is not None:
                self._switch.served  # noqa: B018 (asked for its exception)
        except ModelGoneError as error:
            return str(error)
        return ""
