"""What is loaded and what is going on: the one object that all tabs share. State lives here, never in a widget.

Tabs call its methods and listen to its signals. Every job is submitted here. What cannot be done is said in
`job_failed` or `notice`, in a sentence.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.chat_control import LIVE, ChatControl, ChatModel
from app.choices import Choices
from app.device_control import DeviceControl
from app.failures import Failure
from app.garbage import MainThreadCollector
from app.run_history import RunHistory
from app.status import Status, status_of
from app.tokenizer_control import TokenizerControl
from app.training_control import TrainingControl, TrainingState
from app.worker import Worker
from models.library import Library, RunInfo

if TYPE_CHECKING:
    from models.data.tiny_world.starters import Starter
    from models.inference.settings import SamplingConfig
    from models.training.spec import DataSpec, RunSpec

QUICKSTART_MINUTES = 3.0


class Session(Choices):
    """The choices, the worker, and every way to start work.

    Signals (and those of Choices):
        training_changed(): `training` is new (status, step, progress …).
        training_events(events): a tuple of what the training yielded, after `history` took it in.
        training_ended(): the training is over.
        chat_changed(): `chat_model` / `chat_state` are new.
        chat_events(events): ReplyStarted, TokenMade …, ReplyFinished.
        reply_ended(): the reply is complete, stopped or failed.
        tokenizer_events(events): Phase, Progress, Notice of a tokenizer's training.
        tokenizer_training_changed(): `tokenizer_busy` is new.
        tokenizer_trained(name): a new tokenizer is in the library, and chosen.
        status_changed(): `status` (for the status bar) is new.
        device_changed(): `device_name`, `device_label` or `devices` are new.
        tab_requested(name): show the tab "tokenizer", "builder", "training" or "chat".
    """

    training_changed = Signal()
    training_events = Signal(object)
    training_ended = Signal()
    chat_changed = Signal()
    chat_events = Signal(object)
    reply_ended = Signal()
    tokenizer_events = Signal(object)
    tokenizer_training_changed = Signal()
    tokenizer_trained = Signal(str)
    status_changed = Signal()
    device_changed = Signal()
    tab_requested = Signal(str)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._collector = MainThreadCollector(self)
        self.worker = Worker(self, name="worker")
        self._side_worker = Worker(self, name="side worker")
        self._training = TrainingControl(self.worker, library, self)
        self._chat = ChatControl(self.worker, self._training.live_trainer, library, self)
        self._tokenizers = TokenizerControl(self._side_worker, library, self)
        self._device = DeviceControl(self.worker, self.settings.get("device", "auto"), self)
        self._random = random.Random()
        self.quickstart_minutes = QUICKSTART_MINUTES
        self._connect()

    def _connect(self) -> None:
        training, chat, tokenizers = self._training, self._chat, self._tokenizers
        training.changed.connect(self.training_changed)
        training.changed.connect(self.status_changed)
        training.events_came.connect(self.training_events)
        training.noticed.connect(self.notice)
        training.ended.connect(self._on_training_ended)
        chat.model_changed.connect(self.chat_changed)
        chat.model_changed.connect(self.status_changed)
        chat.events_came.connect(self.chat_events)
        chat.reply_ended.connect(self.reply_ended)
        tokenizers.changed.connect(self.tokenizer_training_changed)
        tokenizers.changed.connect(self.status_changed)
        tokenizers.events_came.connect(self.tokenizer_events)
        tokenizers.trained.connect(self._on_tokenizer_trained)
        self._device.changed.connect(self.device_changed)
        self._device.changed.connect(self.status_changed)
        self._device.noticed.connect(self.notice)
        for control in (training, chat, tokenizers, self._device):
            control.failed.connect(self._on_failed)
        self.worker.job_failed.connect(self._on_job_failed)

    # -- Life -------------------------------------------------------------------------------------------

    def start(self, *, warm_up: bool = True) -> None:
        """Start the threads and load torch on the worker: call after the window's first paint."""
        self.worker.start()
        self._side_worker.start()
        if warm_up:
            self._device.warm_up()

    def check_library(self) -> list[RunInfo]:
        """At launch: say what another Terrarium is training, and return the runs that were interrupted."""
        if self.settings.problem:
            self.notice.emit(self.settings.problem)
        runs = self.list_runs()
        for run in runs:
            if run.status == "running" and not self.is_current(run.id):
                self.notice.emit(
                    f"Another Terrarium is training «{run.name}» right now. You can look at it and chat with its "
                    "checkpoints here; to change it, use the window or command that started it."
                )
        return [run for run in runs if run.status == "interrupted"]

    def close(self) -> None:
        """Save and stop whatever is going on, and wait for it."""
        self._side_worker.close()
        self.worker.close()
        self._collector.close()

    # -- Tokenizers -------------------------------------------------------------------------------------

    @property
    def tokenizer_busy(self) -> bool:
        """Whether a tokenizer is being trained."""
        return self._tokenizers.busy

    def train_tokenizer(self, name: str, kind: str, vocab_size: int, data: DataSpec) -> bool:
        """Train a tokenizer into the library, beside whatever the worker does; whether it began."""
        if self._tokenizers.busy:
            return self._refuse("A tokenizer is being trained already: wait for it or cancel it.")
        return self._try(lambda: self._tokenizers.train(name, kind, vocab_size, data))

    def cancel_tokenizer_training(self) -> None:
        """Stop it; nothing of it stays."""
        self._tokenizers.cancel()

    # -- Training ---------------------------------------------------------------------------------------

    @property
    def training(self) -> TrainingState | None:
        """The current or last training of this launch, None before the first."""
        return self._training.state

    @property
    def training_active(self) -> bool:
        """Whether a training is going on (preparing, running, paused in memory, evaluating …)."""
        return self._training.active

    @property
    def history(self) -> RunHistory:
        """Curves and samples of `training`."""
        return self._training.history

    def start_training(self, spec: RunSpec) -> bool:
        """Train a new run; whether it began."""
        return self._may_start() and self._try(lambda: self._training.start_spec(spec, self.device_name))

    def start_quickstart(self, minutes: float | None = None, seed: int = 0) -> bool:
        """Tiny World, tokenizer, training, evaluation; whether it began."""
        budget = self.quickstart_minutes if minutes is None else minutes
        return self._may_start() and self._try(lambda: self._training.start_quickstart(budget, self.device_name, seed))

    def resume_run(self, run_id: str) -> bool:
        """Go on with a paused, stopped or interrupted run from its last checkpoint; whether it began."""

        def resume() -> None:
            info = self.find_run(run_id)
            self._training.start_resume(info.folder, info.name, self.device_name)

        return self._may_start() and self._try(resume)

    def pause(self, *, free: bool = False) -> None:
        """Wait after the running step; `free`: save, end, and free the device instead (go on with `resume_run`)."""
        if free:
            self._training.stop(status="paused")
        else:
            self._training.pause()

    def resume(self) -> None:
        """Go on after `pause`, or try again what was blocked."""
        self._training.resume()

    def step(self) -> None:
        """While paused: one training step."""
        self._training.step()

    def stop(self, *, keep: bool = True) -> None:
        """End the training at the next step, saving it first where `keep`."""
        self._training.stop(keep=keep)

    def save_now(self) -> None:
        """Write a checkpoint at the next step."""
        self._training.call(lambda trainer: trainer.save())

    # -- Runs -------------------------------------------------------------------------------------------

    def list_runs(self) -> list[RunInfo]:
        """All runs, the newest first."""
        return self.library.list_runs()

    def free_run_name(self, wanted: str) -> str:
        """`wanted`, with the first number that makes it a name no run has."""
        taken = {info.name for info in self.list_runs()}
        names = (wanted if n == 1 else f"{wanted} {n}" for n in itertools.count(1))
        return next(name for name in names if name not in taken)

    def find_run(self, run_id: str) -> RunInfo:
        """The run with this id; ValueError where it is gone."""
        for info in self.list_runs():
            if info.id == run_id:
                return info
        raise ValueError("This run is gone from the library: it may have been moved or deleted.")

    def is_current(self, run_id: str) -> bool:
        """Whether this session is training the run now."""
        state = self._training.state
        return self.training_active and state is not None and state.run_id == run_id

    def run_history(self, run_id: str) -> RunHistory:
        """Curves and samples of any run: live for the current one, read from its folder otherwise."""
        from models.training.run_folder import RunFolder

        state = self._training.state
        if state is not None and state.run_id == run_id and self.training_active:
            return self.history
        try:
            run = RunFolder.open(self.find_run(run_id).folder)
            return RunHistory.from_rows(run.read_metrics(), run.read_samples())
        except ValueError as error:
            self._refuse(str(error))
            return RunHistory()

    def run_spec(self, run_id: str) -> RunSpec | None:
        """What a run was made from, read from its folder; None where it cannot be read."""
        from models.training.run_folder import RunFolder

        try:
            return RunFolder.open(self.find_run(run_id).folder).spec
        except ValueError:
            return None

    def rename_run(self, run_id: str, name: str) -> bool:
        """Give a run another name; whether it worked."""
        from models.training.run_folder import RunFolder

        def rename() -> None:
            if not name.strip():
                raise ValueError("The run's name is empty: give it one.")
            if self.is_current(run_id):
                self._training.call(lambda trainer: trainer.run.update(name=name.strip()))
                return
            run = RunFolder.open(self.find_run(run_id).folder)
            run.acquire()
            try:
                run.update(name=name.strip())
            finally:
                run.release()

        done = self._try(rename)
        self.runs_changed.emit()
        return done

    def delete_run(self, run_id: str) -> None:
        """Move a run to the trash."""
        if self.is_current(run_id):
            self._refuse("This run is being trained: stop it before you delete it.")
            return
        try:
            info = self.find_run(run_id)
        except ValueError as error:
            self._refuse(str(error))
            return
        self._delete(info.folder, f"Run «{info.name}» deleted")
        if self._chat.model is not None and self._chat.model.run_id == run_id:
            self._chat.close_model()
        self.runs_changed.emit()

    # -- Chat -------------------------------------------------------------------------------------------

    @property
    def chat_model(self) -> ChatModel | None:
        """The model one talks to, None while there is none."""
        return self._chat.model

    @property
    def chat_state(self) -> str:
        """none, loading, ready, waiting (for a training step), replying."""
        return self._chat.state

    def open_chat_model(self, which: str) -> bool:
        """Talk to a run's latest checkpoint (its id), or to the model being trained ("live"); whether it began."""
        if which == LIVE:
            return self._try(self._chat.open_live)
        return self._try(lambda: self._chat.open_run(self.find_run(which).folder, self.device_name))

    def send_chat(self, messages: Sequence[Mapping[str, str]] | str, sampling: SamplingConfig) -> bool:
        """Ask for a reply to messages [{"role", "content"}], or for a text to be gone on with; whether it began."""
        if self._chat.model is None:
            return self._refuse("No model is open: choose a run to chat with.")
        return self._try(lambda: self._chat.send(messages, sampling))

    def stop_chat(self) -> None:
        """End the reply; what there is of it stands."""
        self._chat.stop()

    @property
    def starter_kinds(self) -> tuple[str, ...]:
        """The kinds of Tiny World questions that the open model can do, all where that is not known; else none."""
        if self._chat.model is None or self._chat.model.source != "tiny-world":
            return ()
        from models.data.tiny_world.starters import STARTER_KINDS

        return self._chat.model.can_do or STARTER_KINDS

    def draw_starter(self, kind: str) -> Starter:
        """A new held-out question or request of `kind` about the open model's world."""
        from models.data.tiny_world.starters import draw_starter

        assert self._chat.model is not None
        return draw_starter(self._chat.model.world_seed, kind, self._random)

    @property
    def world_words(self) -> str:
        """One line on what the open model's world is; '' for models of other texts."""
        from models.data.tiny_world.world import World

        model = self._chat.model
        return World(model.world_seed).summary if model is not None and model.source == "tiny-world" else ""

    # -- Device and status ------------------------------------------------------------------------------

    @property
    def device_name(self) -> str:
        """What the user chose: auto, cpu, cuda or mps."""
        return self._device.name

    @property
    def device_label(self) -> str:
        """What that is, in words; '' until torch is loaded."""
        return self._device.label

    @property
    def devices(self) -> tuple[str, ...]:
        """What can be chosen on this machine."""
        return self._device.available

    def set_device(self, name: str) -> None:
        """Use another device from the next job on; falls back with a notice where it does not work."""
        self.remember("device", name)
        self._device.choose(name)

    @property
    def status(self) -> Status:
        """What the worker is doing, for the status bar."""
        return status_of(self._training.state, self._chat.state, ready=self._device.ready)

    # -- Following --------------------------------------------------------------------------------------

    def _may_start(self) -> bool:
        if self._training.active:
            return self._refuse("A training is going on already: stop it first, or wait until it ends.")
        return True

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.job_failed.emit(failure.sentence, failure.details)

    @Slot(object, object)
    def _on_job_failed(self, job: object, failure: Failure) -> None:
        if job is None:
            self._on_failed(failure)

    @Slot(str)
    def _on_tokenizer_trained(self, name: str) -> None:
        self.library_changed.emit()
        self.choose_tokenizer(name)
        self.tokenizer_trained.emit(name)

    @Slot()
    def _on_training_ended(self) -> None:
        model = self._chat.model
        state = self._training.state
        if model is not None and model.which == LIVE and state is not None:
            if state.saved_step is not None:
                self.open_chat_model(model.run_id)
            else:
                self._chat.close_model()
        self.library_changed.emit()
        self.runs_changed.emit()
        self.training_ended.emit()
