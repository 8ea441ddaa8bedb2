"""What is loaded and what is going on: the one object that all tabs share. State lives here, never in a widget.

Tabs call its methods and listen to its signals. Every job is submitted here. What cannot be done is said in
`notices`, in a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.builder.costs.dry_run import DryRunControl, DryRunState
from app.builder.positions.trained_positions import PositionControl
from app.session.serving import Serving
from app.shell.import_control import ImportControl
from models.library.library import Library

if TYPE_CHECKING:
    from models.inspect.position_weights import PositionRun
    from models.settings.model_config import ModelConfig
    from models.settings.run_spec import TrainConfig


class Session(Serving):
    """The choices, the trainings, the making of tokenizers, and every other way to start work.

    Signals (and those of Serving, Chatting, Trials, TokenizerJobs, and Trainings):
        dry_run_changed(): `dry_run` is new.
        import_changed(): `importing` is new.
        import_events(events): Phase, Progress, Notice of a model's import.
        model_imported(run_id, name): a model from elsewhere is in the library.
        position_runs_found(PositionRunsFound): after `find_position_runs`.
        position_weights_read(PositionWeightsRead): after `read_position_weights`.
    """

    dry_run_changed = Signal()
    import_changed = Signal()
    import_events = Signal(object)
    model_imported = Signal(str, str)
    position_runs_found = Signal(object)
    position_weights_read = Signal(object)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._trial = trial = DryRunControl(self.worker, self)
        self._imports = imports = ImportControl(self.side_worker, library, self)
        self._positions = positions = PositionControl(self.side_worker, library, self)
        trial.changed.connect(self.dry_run_changed)
        trial.changed.connect(self._on_trial_changed)
        trial.failed.connect(self.notices.fail)
        imports.changed.connect(self.import_changed)
        imports.events_came.connect(self.import_events)
        imports.imported.connect(self._on_imported)
        imports.failed.connect(self.notices.fail)
        positions.runs_found.connect(self.position_runs_found)
        positions.weights_read.connect(self.position_weights_read)
        positions.failed.connect(self.notices.fail)
        self.training.began.connect(self._on_training_goes_on)

    # -- Trying a design out ----------------------------------------------------------------------------

    @property
    def dry_run(self) -> DryRunState:
        """The dry run that is going on, and what the last one measured."""
        return self._trial.state

    def start_dry_run(self, config: ModelConfig, train: TrainConfig, *, length: int | None = None) -> bool:
        """Measure three training steps on texts of `length` tokens (default: the context); whether it began."""
        if self.training.active:
            name = self.training.state.name if self.training.state is not None else ""
            return self.notices.refuse(
                f"“{name}” is being trained: a dry run beside it would hold it up and share its memory. "
                "Stop the training first, or wait until it ends."
            )
        return self.notices.attempt(lambda: self._trial.start(config, train, self.device.name, length))

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
        return self.notices.attempt(lambda: self._imports.start(source))

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

    # -- Following --------------------------------------------------------------------------------------

    @Slot()
    def _on_trial_changed(self) -> None:
        if not self._trial.state.running:
            self.device.changed.emit()  # its memory is free again

    @Slot()
    def _on_training_goes_on(self) -> None:
        if self._trial.state.running:
            self._trial.cancel()  # the training is queued behind it

    @Slot(str, str)
    def _on_imported(self, run_id: str, name: str) -> None:
        self.runs.changed.emit()
        self.model_imported.emit(run_id, name)
