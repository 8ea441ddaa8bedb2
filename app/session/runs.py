"""Training and its runs: what is being trained, what was trained before, and how to start more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.session.designs import Designs
from app.session.device import Device
from app.session.remembered import Remembered
from app.session.run_history import RunHistory
from app.session.tokenizers import Tokenizers
from app.session.training import TrainingControl
from app.session.training_state import TrainingState
from app.session.trash import Trash
from app.worker.failures import Failure
from app.worker.notices import Notices
from app.worker.worker import Worker
from models.library.library import Library, RunInfo
from models.library.run_index import RunIndex
from models.library.run_notes import write_notes
from models.library.run_record import checkpoint_step, inspect_run

if TYPE_CHECKING:
    from models.settings.run_spec import RunSpec

QUICKSTART_MINUTES = 3.0


class Trainings(QObject):
    """The worker with what is trained on it, and the library's runs. One run is trained at a time.

    Signals:
        runs_changed(): the list of runs, or a run's shown status, changed.
        training_changed(): `training` is new (status, step, progress …).
        training_events(events): a tuple of what the training yielded, after `history` took it in.
        training_ended(): the training is over.
        status_changed(): `status` (for the status bar) is new.
    """

    runs_changed = Signal()
    training_changed = Signal()
    training_events = Signal(object)
    training_ended = Signal()
    status_changed = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.library = library
        self.notices = Notices(self)
        self.remembered = Remembered(library.home, self.notices)
        self.trash = Trash(library, self.notices)
        self.tokenizers = Tokenizers(library, self.remembered, self.trash, self.notices, self)
        self.designs = Designs(library, self.remembered, self.trash, self.notices, self)
        self.worker = Worker(self, name="worker")
        self.run_index = RunIndex(library.runs)
        """What is known of the library's runs, with what takes longer to find out; `list_runs` brings it up to date."""
        self.device = Device(self.worker, self.remembered, self.notices, self)
        self._training = training = TrainingControl(self.worker, library, self)
        self.quickstart_minutes = QUICKSTART_MINUTES
        training.changed.connect(self.training_changed)
        training.changed.connect(self.status_changed)
        training.events_came.connect(self.training_events)
        training.noticed.connect(self.notices.say)
        training.renamed.connect(self.runs_changed)
        training.ended.connect(self._on_training_ended)
        training.failed.connect(self.notices.fail)
        self.device.changed.connect(self.status_changed)
        self.worker.job_failed.connect(self._on_job_failed)

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
        return self._may_start() and self.notices.attempt(lambda: self._training.start_spec(spec, self.device.name))

    def start_quickstart(self, minutes: float | None = None, files: tuple[str, ...] = ()) -> bool:
        """Data, tokenizer, training, evaluation; whether it began. Each has a new world, unless it has text files."""
        budget = self.quickstart_minutes if minutes is None else minutes

        def start() -> None:
            seed = 0 if files else self._next_world()
            self._training.start_quickstart(budget, self.device.name, seed, files)

        return self._may_start() and self.notices.attempt(start)

    def resume_run(self, run_id: str) -> bool:
        """Go on with a paused, stopped or interrupted run from its last checkpoint; whether it began."""

        def resume() -> None:
            info = self.find_run(run_id)
            self._training.start_resume(info.folder, info.name, self.device.name)

        return self._may_start() and self.notices.attempt(resume)

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
        return self.run_index.look()

    def free_run_name(self, wanted: str) -> str:
        """`wanted`, with the first number that makes it a name no run has."""
        return self.library.free_run_name(wanted, self.list_runs())

    def find_run(self, run_id: str) -> RunInfo:
        """The run with this id; ValueError where it is gone."""
        folder = self.library.runs / run_id
        if run_id and folder.parent == self.library.runs and folder.is_dir():  # where it is, unless somebody moved it
            info = inspect_run(folder)
            if info.id == run_id:
                return info
        for info in self.list_runs():
            if info.id == run_id:
                return info
        raise ValueError("This run is gone from the library: it may have been moved or deleted.")

    def checkpoint_steps(self, run_id: str) -> list[int]:
        """The steps of a run's checkpoints, the newest first; none where it is gone."""
        from models.runs.run_folder import RunFolder

        try:
            return [
                checkpoint_step(path) for path in reversed(RunFolder.open(self.find_run(run_id).folder).checkpoints())
            ]
        except ValueError:
            return []

    def look_up_run(self, run_id: str) -> RunInfo | None:
        """The same, for what is shown of a run; None where it is gone: that is said, and lists read anew."""
        try:
            return self.find_run(run_id)
        except ValueError as error:
            self.notices.say(str(error))
            self.runs_changed.emit()
            return None

    def is_current(self, run_id: str) -> bool:
        """Whether this session is training the run now."""
        state = self._training.state
        return self.training_active and state is not None and state.run_id == run_id

    def run_spec(self, run_id: str) -> RunSpec | None:
        """What a run was made from, read from its folder; None where it cannot be read."""
        from models.runs.run_folder import RunFolder

        try:
            return RunFolder.open(self.find_run(run_id).folder).spec
        except ValueError:
            return None

    def rename_run(self, run_id: str, name: str) -> bool:
        """Give a run another name; whether it worked."""
        from models.runs import run_folder

        def rename() -> None:
            if not name.strip():
                raise ValueError("The run's name is empty: give it one.")
            if self.is_current(run_id):
                self._training.rename(name.strip())
                return
            run_folder.rename_run(self.find_run(run_id).folder, name.strip())

        done = self.notices.attempt(rename)
        self.runs_changed.emit()
        return done

    def set_run_notes(self, run_id: str, notes: str, tags: Sequence[str]) -> bool:
        """Keep notes and tags with a run; whether it worked."""
        done = self.notices.attempt(lambda: write_notes(self.find_run(run_id).folder, notes, tags))
        self.runs_changed.emit()
        return done

    def delete_run(self, run_id: str) -> None:
        """Move a run to the trash."""
        self.delete_runs((run_id,))

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Move runs to the trash, from which one undo brings all back. One that cannot be moved stays; that is said."""
        tokens: dict[str, str] = {}
        for run_id in run_ids:
            self.notices.attempt(partial(self._move_to_trash, run_id, tokens))
        if tokens:
            names = list(tokens.values())
            words = f"Run “{names[0]}”" if len(names) == 1 else f"{len(names):,} runs"
            self.trash.offer_undo(f"{words} deleted", tuple(tokens), self.runs_changed.emit)
        self.runs_changed.emit()

    def _move_to_trash(self, run_id: str, tokens: dict[str, str]) -> None:
        if self.is_current(run_id):
            raise ValueError("This run is being trained: stop it before you delete it.")
        info = self.find_run(run_id)
        tokens[self.library.move_to_trash(info.folder)] = info.name

    # -- Following --------------------------------------------------------------------------------------

    def _may_start(self) -> bool:
        if self._training.active:
            return self.notices.refuse("A training is going on already: stop it first, or wait until it ends.")
        return True

    def _next_world(self) -> int:
        """The seed of a world that no quick start had before; 0 for the first."""
        seed: int = self.remembered.get("next world", 0)
        self.remembered.set("next world", seed + 1)
        return seed

    @Slot(object, object)
    def _on_job_failed(self, job: object, failure: Failure) -> None:
        if job is None:
            self.notices.fail(failure)

    @Slot()
    def _on_training_ended(self) -> None:
        self.tokenizers.list_changed.emit()
        self.runs_changed.emit()
        self.training_ended.emit()
