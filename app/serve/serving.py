"""The endpoint of the window: the model of the chat, offered to the other programs of this computer.

HTTP is a thread of its own, which knows nothing of Qt. What is asked for is made by the worker, in interactive jobs.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.serve.endpoint.activity import Activity, Call
from app.serve.endpoint.address import DEFAULT_PORT, bind, url_of
from app.serve.endpoint.engine import EngineSwitch, Loan, Served
from app.serve.endpoint.errors import ModelGoneError
from app.serve.endpoint.worker_engine import WorkerEngine
from app.session.chat import Chat
from app.session.chat_model import LIVE, ChatModel
from app.session.remembered import Remembered
from app.session.runs import Runs
from app.session.training import Training
from app.worker.failures import Failure, describe
from app.worker.notices import Notices
from app.worker.worker import Worker

if TYPE_CHECKING:
    from app.serve.endpoint.http_server import HttpServer

log = logging.getLogger(__name__)

_LOOK_MS = 200
_PORT = "serve_port"
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


class Serving(QObject):
    """Serves one model at a time: that of the chat when it was started, though the chat may go on with another.

    Where the model goes, since its run is deleted or its training has ended, a sentence is the answer from then on.

    Signals:
        changed(): `state` is new.
    """

    changed = Signal()

    def __init__(
        self,
        worker: Worker,
        chat: Chat,
        training: Training,
        runs: Runs,
        remembered: Remembered,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._worker, self._chat, self._training = worker, chat, training
        self._remembered, self._notices = remembered, notices
        self._switch: EngineSwitch | None = None
        self._activity = Activity()
        self._listener: _Listener | None = None
        self._port, self._url = 0, ""
        self._model: ChatModel | None = None
        self.state = ServeState()
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._on_look)
        runs.deleted.connect(self._on_runs_deleted)
        training.ended.connect(self._on_training_ended)

    @property
    def last_port(self) -> int:
        """The port that was used last."""
        return int(self._remembered.get(_PORT, DEFAULT_PORT))

    def start(self, port: int) -> bool:
        """Let programs of this computer ask the chat's model at `port`, in place of any other; whether it began."""
        if not self._notices.attempt(lambda: self._start(port)):
            return False
        self._remembered.set(_PORT, port)
        return True

    def _start(self, port: int) -> None:
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

    @Slot()
    def close(self) -> None:
        """End it, and wait until it has ended: before the worker, which makes the answers, does."""
        self.stop()
        if self._listener is not None:
            self._listener.join()
            self._on_look()

    @Slot(object)
    def _on_runs_deleted(self, run_ids: tuple[str, ...]) -> None:
        if self._model is not None and self._model.run_id in run_ids:
            self._withdraw(f"“{self._model.name}” has been deleted")

    @Slot()
    def _on_training_ended(self) -> None:
        if self._model is not None and self._model.which == LIVE and not self._training.trains(self._model.run_id):
            self._withdraw(f"The training of “{self._model.name}” has ended")

    def _withdraw(self, why: str) -> None:
        """The model is gone: from now on a sentence is the answer."""
        if self._switch is not None:
            self._switch.close(f"{why}, so it answers no more: serve another model in Terrarium.")
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
            trainer = self._training.live_trainer()
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
            self._notices.fail(listener.failure)

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
