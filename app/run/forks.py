"""Background work on a run: forking it, starting a similar run, and exporting its curves to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.queue import TrainingQueue
from terrarium.app.session.runs import Runs
from terrarium.app.session.training import Training
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.library.library import Library

if TYPE_CHECKING:
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.settings.run_spec import TrainConfig


class Forks(QObject):
    """Forks checkpoints and creates runs with changed settings, then starts or queues them; one fork at a time.

    Signals:
        stopped(run_id): a run was created that ends at a checkpoint of another run.
    """

    stopped = Signal(str)

    def __init__(
        self,
        library: Library,
        runs: Runs,
        training: Training,
        queue: TrainingQueue,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._library, self._runs, self._training = library, runs, training
        self._queue, self._notices = queue, notices
        self._start_it = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_forked)
        self._task.failed.connect(notices.fail)

    def fork(self, run_id: str, step: int | None, *, name: str, train: TrainConfig, start: bool = True) -> bool:
        """Fork the checkpoint of `step` (None: the last) in the background; return False if a fork is in progress.

        The fork starts training immediately if `start` is set and no run is training; otherwise it is queued.
        """
        from terrarium.models.runs.fork import fork_run
        from terrarium.models.runs.run_folder import RunFolder

        if self._task.busy:
            return self._notices.refuse("A fork is being made: try again in a moment.")

        def make() -> str:
            source = RunFolder.open(self._runs.find(run_id).folder)
            return fork_run(self._library, source, step, name=name, train=train).id

        self._start_it = start
        self._task.ask(make)
        return True

    def start_like(self, run_id: str, changes: Mapping[str, Any]) -> bool:
        """Start or queue a copy of a run with `changes` ("train.lr" -> 0.001); return whether it was accepted."""
        from terrarium.models.runs.fork import spec_like
        from terrarium.models.runs.run_folder import RunFolder
        from terrarium.models.settings.spec_changes import changed_spec

        try:
            source = RunFolder.open(self._runs.find(run_id).folder)
            spec = changed_spec(spec_like(self._library, source), changes)
        except ValueError as error:
            return self._notices.refuse(str(error))
        if not self._training.active:
            return self._training.start(spec)
        waits = self._queue.what_waits()
        is_queued = self._queue.add([spec])
        if is_queued:
            self._notices.say(f"“{spec.name}” {waits}.")
        return is_queued

    @Slot()
    def close(self) -> None:
        """Cancel a fork in progress."""
        self._task.cancel()

    def stop_at(self, run_id: str, step: int) -> bool:
        """Create a run in the background that ends at checkpoint `step`; return False if a fork is in progress."""
        from terrarium.models.runs.fork import fork_run
        from terrarium.models.runs.run_folder import RunFolder

        if self._task.busy:
            return self._notices.refuse("A fork is being made: try again in a moment.")

        def make() -> RunFolder:
            source = RunFolder.open(self._runs.find(run_id).folder)
            name = self._library.free_run_name(f"{source.name}, stopped at step {step:,}")
            return fork_run(self._library, source, step, name=name, ends=True)

        self._task.ask(make)
        return True

    @Slot(object)
    def _on_forked(self, made: str | RunFolder) -> None:
        self._runs.changed.emit()
        if not isinstance(made, str):
            self._notices.say(f"“{made.name}” is in the list: it ends there, with its curves.")
            self.stopped.emit(made.id)
            return
        run_id = made
        if self._start_it and not self._training.active:
            self._training.resume_run(run_id)
        else:
            self._queue.add_run(run_id)


class TensorBoardExport(QObject):
    """Writes curves as TensorBoard event files, one run at a time."""

    def __init__(self, runs: Runs, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runs, self._notices = runs, notices
        self._task = LatestTask(self)
        self._task.done.connect(self._on_written)
        self._task.failed.connect(notices.fail)

    def write(self, run_id: str, folder: Path) -> bool:
        """Write the curves of a run to a new folder in `folder`; return False if an export is in progress."""
        from terrarium.models.runs.run_folder import RunFolder

        if self._task.busy:
            return self._notices.refuse("Another run is being exported: try again in a moment.")

        def write() -> Path:
            from terrarium.models.runs.tensorboard import write_tensorboard

            return write_tensorboard(RunFolder.open(self._runs.find(run_id).folder), folder)

        self._task.ask(write)
        return True

    @Slot(object)
    def _on_written(self, folder: Path) -> None:
        self._notices.say(f"The curves are in {folder}: open them with “tensorboard --logdir {folder.parent}”.")
