"""What is loaded and what is going on: the one object that all tabs share. State lives here, never in a widget.

Tabs call its methods and listen to its signals. Every job is submitted here. What cannot be done is said in
`job_failed` or `notice`, in a sentence.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.chat_model import LIVE, ChatModel
from app.dry_run_control import DryRunControl, DryRunState
from app.garbage import MainThreadCollector
from app.glass.examiner import Examiner
from app.import_control import ImportControl
from app.position_control import PositionControl
from app.serving import Serving
from app.side_by_side.control import SideBySide
from app.status import Status, status_of
from app.weights_control import WeightsControl
from models.files import clear_leftovers
from models.inference.weight_kinds import KINDS
from models.library import Library, RunInfo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.config import ModelConfig
    from models.data.tiny_world.starters import Starter
    from models.inference.prompting import Prompting
    from models.inference.settings import SamplingConfig
    from models.position_weights import PositionRun
    from models.training.spec import TrainConfig


class Session(Serving):
    """The choices, the trainings, the making of tokenizers, and every other way to start work.

    Signals (and those of Serving, Trials, TokenizerJobs, Trainings and Choices):
        chat_changed(): `chat_model` / `chat_state` are new.
        chat_model_changed(): another model is open, or none.
        chat_events(events): ReplyStarted, TokenMade …, ReplyFinished.
        reply_ended(): the reply is complete, stopped or failed.
        dry_run_changed(): `dry_run` is new.
        import_changed(): `importing` is new.
        import_events(events): Phase, Progress, Notice of a model's import.
        model_imported(run_id, name): a model from elsewhere is in the library.
        position_runs_found(PositionRunsFound): after `find_position_runs`.
        position_weights_read(PositionWeightsRead): after `read_position_weights`.
        tab_requested(name): show the tab "tokenizer", "builder", "training" or "chat".
    """

    chat_changed = Signal()
    chat_model_changed = Signal()
    chat_events = Signal(object)
    reply_ended = Signal()
    dry_run_changed = Signal()
    import_changed = Signal()
    import_events = Signal(object)
    model_imported = Signal(str, str)
    position_runs_found = Signal(object)
    position_weights_read = Signal(object)
    tab_requested = Signal(str)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._collector = MainThreadCollector(self)
        chat = self._chat
        self._trial = trial = DryRunControl(self.worker, self)
        self._imports = imports = ImportControl(self.side_worker, library, self)
        self._positions = positions = PositionControl(self.side_worker, library, self)
        self._random = random.Random()
        chat.changed.connect(self.chat_changed)
        chat.model_changed.connect(self.chat_model_changed)
        chat.changed.connect(self.status_changed)
        chat.events_came.connect(self.chat_events)
        chat.reply_ended.connect(self.reply_ended)
        chat.failed.connect(self._on_failed)
        trial.changed.connect(self.dry_run_changed)
        trial.changed.connect(self.status_changed)
        trial.changed.connect(self._on_trial_changed)
        self.training_ended.connect(self.device_changed)  # its memory is free again
        trial.failed.connect(self._on_failed)
        imports.changed.connect(self.import_changed)
        imports.events_came.connect(self.import_events)
        imports.imported.connect(self._on_imported)
        imports.failed.connect(self._on_failed)
        positions.runs_found.connect(self.position_runs_found)
        positions.weights_read.connect(self.position_weights_read)
        positions.failed.connect(self._on_failed)
        self.training_changed.connect(self._on_training_goes_on)

    # -- Life -------------------------------------------------------------------------------------------

    def start(self, *, warm_up: bool = True) -> None:
        """Start the threads and load torch on the worker: call after the window's first paint."""
        self.worker.start()
        self.side_worker.start()
        if warm_up:
            self._device.warm_up()

    def check_library(self) -> list[RunInfo]:
        """At launch: say what another Terrarium is training, and return the runs that were interrupted."""
        if self.settings.problem:
            self.notice.emit(self.settings.problem)
        clear_leftovers(self.library.runs)
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
        super().close()
        self.side_worker.close()
        self.worker.close()
        self._collector.close()

    # -- Trying a design out ----------------------------------------------------------------------------

    @property
    def dry_run(self) -> DryRunState:
        """The dry run that is going on, and what the last one measured."""
        return self._trial.state

    def start_dry_run(self, config: ModelConfig, train: TrainConfig, *, length: int | None = None) -> bool:
        """Measure three training steps on texts of `length` tokens (default: the context); whether it began."""
        if self.training_active:
            name = self._training.state.name if self._training.state is not None else ""
            return self._refuse(
                f"«{name}» is being trained: a dry run beside it would hold it up and share its memory. "
                "Stop the training first, or wait until it ends."
            )
        return self._try(lambda: self._trial.start(config, train, self.device_name, length))

    def cancel_dry_run(self) -> None:
        """End it after the step that it is at."""
        self._trial.cancel()

    # -- Models from elsewhere --------------------------------------------------------------------------

    @property
    def importing(self) -> bool:
        """Whether a model is being imported."""
        return self._imports.busy

    def import_model(self, source: Path) -> bool:
        """Copy a Hugging Face folder or a .gguf file into the library as a run; whether it began."""
        return self._try(lambda: self._imports.start(source))

    def cancel_import(self) -> None:
        """Leave it off; nothing of it stays."""
        self._imports.cancel()

    # -- What runs have learned about positions ---------------------------------------------------------

    def find_position_runs(self, config: ModelConfig) -> None:
        """Look for trained runs whose learned positions are of the kind of `config`'s; they come by a signal."""
        self._positions.find(config)

    def read_position_weights(self, run: PositionRun) -> None:
        """Read the tables of such a run; they come by a signal."""
        self._positions.read(run)

    # -- Runs -------------------------------------------------------------------------------------------

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Move runs to the trash, and close the chat with one of them."""
        super().delete_runs(run_ids)
        model = self._chat.model
        if model is not None and model.run_id in run_ids and not (self.library.runs / model.run_id).exists():
            self._chat.close_model()
            self.notice.emit(
                f"«{model.name}» is what the chat was held with: choose another model there to go on. "
                "What was said is kept."
            )

    # -- Chat -------------------------------------------------------------------------------------------

    @property
    def chat_model(self) -> ChatModel | None:
        """The model one talks to, None while there is none."""
        return self._chat.model

    @property
    def chat_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of the model one talks to, None while there is none."""
        return self._chat.tokenizer

    @property
    def chat_state(self) -> str:
        """none, loading, ready, waiting (for a training step), replying."""
        return self._chat.state

    def open_chat_model(self, which: str, step: int | None = None, weights: str = KINDS[0]) -> bool:
        """Talk to a run's checkpoint of `step` (None: its latest), its matrices kept in `weights` (weight_kinds.KINDS),
        or to the model being trained ("live"); whether it began."""
        if which == LIVE:
            return self._try(self._chat.open_live)
        return self._try(lambda: self._chat.open_run(self.find_run(which).folder, self.device_name, step, weights))

    def weights(self, parent: QObject) -> WeightsControl:
        """What measures the open model's kinds of weights, for the panel that shows them."""
        return WeightsControl(self.worker, self.library, lambda: self.device_name, parent)

    def cancel_chat_model(self) -> None:
        """Leave off opening a model."""
        self._chat.cancel_opening()

    def send_chat(
        self,
        messages: Sequence[Mapping[str, str]] | str,
        sampling: SamplingConfig,
        begun: Sequence[int] = (),
        prompting: Prompting | None = None,
    ) -> bool:
        """Ask for a reply to messages [{"role", "content"}], or for a text to be gone on with; whether it began.

        begun: tokens with which the reply begins already. prompting: how the messages become a prompt.
        """
        if self._chat.model is None:
            return self._refuse("No model is open: choose a run to chat with.")
        return self._try(lambda: self._chat.send(messages, sampling, begun, prompting))

    @property
    def opening(self) -> str:
        """What the model is called that is being opened, or was last."""
        return self._chat.opening

    @property
    def loaded_share(self) -> float:
        """How much of the model that is being opened has been read."""
        return self._chat.loaded_share

    @property
    def reply_failed(self) -> bool:
        """Whether the last reply ended since something went wrong."""
        return self._chat.reply_failed

    def stop_chat(self) -> None:
        """End the reply; what there is of it stands."""
        self._chat.stop()

    def examiner(self, parent: QObject) -> Examiner:
        """What asks the open model questions, for one of the glass box's panels."""
        examiner = Examiner(self.worker, self._chat.open_model, parent)
        self._chat.reply_asked.connect(examiner.give_way)
        return examiner

    def side_by_side(self, parent: QObject) -> SideBySide:
        """What has several models reply to one prompt, for the page that shows them."""
        return SideBySide(
            self.worker, self.library, lambda id: self.find_run(id).folder, lambda: self.device_name, parent
        )

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

    # -- Status -----------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """What the worker is doing, for the status bar."""
        return status_of(
            self._training.state,
            self._chat.state,
            ready=self._device.ready,
            trying=self._trial.state.status or self.trial.status,
        )

    # -- Following --------------------------------------------------------------------------------------

    @Slot()
    def _on_trial_changed(self) -> None:
        if not self._trial.state.running:
            self.device_changed.emit()  # its memory is free again

    @Slot()
    def _on_training_goes_on(self) -> None:
        if self.training_active and self._trial.state.running:
            self._trial.cancel()  # the training is queued behind it

    @Slot(str, str)
    def _on_imported(self, run_id: str, name: str) -> None:
        self.runs_changed.emit()
        self.model_imported.emit(run_id, name)

    @Slot()
    def _on_training_ended(self) -> None:
        model = self._chat.model
        state = self._training.state
        if model is not None and model.which == LIVE and state is not None:
            if state.saved_step is not None:
                self.open_chat_model(model.run_id)
            else:
                self._chat.close_model()
        super()._on_training_ended()
