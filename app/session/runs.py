"""The library's runs: listed, found, renamed, annotated and deleted."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.shelf import Shelf
from terrarium.app.session.training import Training
from terrarium.app.session.trash import Trash
from terrarium.app.worker.notices import Notices
from terrarium.models.files.atomic import clear_leftovers
from terrarium.models.library.library import Library, RunInfo
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_notes import read_notes, write_notes
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.settings.tasks import TASKS

if TYPE_CHECKING:
    from terrarium.models.settings.run_spec import RunSpec


class Runs(QObject):
    """All runs, including the one that is training; problems are reported as notices.

    index: a cache of the records of all runs; `list` refreshes it.

    Signals:
        changed(): the list of runs, or a run's shown status, changed.
        deleted(ids): these runs were moved to the trash.
    """

    changed = Signal()
    deleted = Signal(object)

    def __init__(
        self, library: Library, index: RunIndex, training: Training, trash: Trash, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._library, self._training, self._notices = library, training, notices
        self._shelf = Shelf("run", trash, self, rename=self._rename, prepare=self._may_delete)
        self._shelf.deleted.connect(self._on_deleted)
        self._shelf.changed.connect(self.changed)
        self.index = index
        self._discarded = ""
        self._in_trash: set[str] = set()  # deleted in this window, which needs no further notice
        training.renamed.connect(self.changed)
        trash.restored.connect(self._on_restored)

    def list(self) -> builtins.list[RunInfo]:
        """Refresh the index and return all runs, the newest first."""
        return self.index.refresh()

    def known(self) -> builtins.list[RunInfo]:
        """Return all runs for a view: as last read in the background if the library is large, else refreshed."""
        return self.index.infos() if self.index.is_large else self.list()

    @property
    def has_any(self) -> bool:
        """Whether the library has any run, without reading all of them."""
        return bool(self.index.n_unseen(1) or self.index.infos())

    def check(self) -> builtins.list[RunInfo]:
        """At launch: report runs that another Terrarium is training, and return the interrupted ones."""
        clear_leftovers(self._library.runs)
        runs = self.list()
        for run in runs:
            if run.status == "running" and not self._training.trains(run.id):
                self._notices.say(
                    f"Another Terrarium is training “{run.name}” right now. You can look at it and chat with its "
                    "checkpoints here; to change it, use the window or command that started it."
                )
        return [run for run in runs if run.status == "interrupted"]

    def free_name(self, wanted: str) -> str:
        """Turn `wanted` into an unused run name, numbered if necessary."""
        return self._library.free_run_name(wanted, self.known())

    def find(self, run_id: str) -> RunInfo:
        """Return the run with this id. Raises ValueError if it is gone."""
        return self.index.find(run_id)

    def has(self, run_id: str) -> bool:
        """Return whether a run with this id exists."""
        try:
            self.find(run_id)
        except ValueError:
            return False
        return True

    def look_up(self, run_id: str) -> RunInfo | None:
        """Return the run with this id, or None if it is gone.

        If it was not deleted in this window, a notice says so, and `changed` makes the lists refresh.
        """
        try:
            return self.find(run_id)
        except ValueError as error:
            if run_id not in self._in_trash:
                self._notices.say(str(error))
                self.changed.emit()
            return None

    def checkpoint_steps(self, run_id: str) -> builtins.list[int]:
        """Return the steps of a run's checkpoints, the newest first; [] if the run is gone."""
        from terrarium.models.runs.run_folder import RunFolder

        try:
            checkpoints = RunFolder.open(self.find(run_id).folder).checkpoints()
        except ValueError:
            return []
        return [checkpoint_step(path) for path in reversed(checkpoints)]

    def best_of_task(self, run_id: str) -> int | None:
        """Return the step of the best checkpoint of a run trained on a task; None for other runs."""
        from terrarium.models.runs.run_folder import RunFolder

        spec = self.spec(run_id)
        if spec is None or not TASKS[spec.data.task].metrics:
            return None
        with suppress(ValueError):  # it is gone
            best = RunFolder.open(self.find(run_id).folder).best_step
            return best if best in self.checkpoint_steps(run_id) else None
        return None

    def spec(self, run_id: str) -> RunSpec | None:
        """Return the spec of a run, as last read from its folder; None if it is missing or cannot be read."""
        try:
            return self.find(run_id).spec
        except ValueError:
            return None

    def tokenizer_name(self, run_id: str) -> str:
        """Return the name of a run's tokenizer in the library; '' if the tokenizer is gone or damaged."""
        from terrarium.models.runs.run_folder import RunFolder

        try:
            name = str(RunFolder.open(self.find(run_id).folder).lineage["tokenizer"]["name"])
        except (ValueError, KeyError):
            return ""
        names = {info.name for info in self._library.list_tokenizers() if info.problem is None}
        return name if name in names else ""

    def rename(self, run_id: str, name: str) -> bool:
        """Rename a run, as a step that can be undone; return whether it succeeded."""
        info = self.look_up(run_id)
        return info is not None and self._shelf.rename(run_id, name, info.name)

    def _rename(self, run_id: str, name: str) -> str:
        from terrarium.models.runs import run_folder

        if not name.strip():
            raise ValueError("The run's name is empty: give it one.")
        # The worker also owns a run that it is still preparing, which `trains` does not recognize yet.
        is_held = self._training.active and self.find(run_id).status in ("running", "preparing")
        if is_held or self._training.trains(run_id):
            self._training.rename(run_id, name.strip())
        else:
            run_folder.rename_run(self.find(run_id).folder, name.strip())
        return run_id

    def set_notes(self, run_id: str, notes: str, tags: Sequence[str]) -> bool:
        """Save a run's notes and tags, as a step that can be undone; return whether it succeeded."""
        info = self.look_up(run_id)
        if info is None:
            return False
        before = read_notes(info.folder)
        if not self._set_notes(run_id, notes, tags):
            return False
        self._shelf.add_step(
            run_id,
            f"change of the notes and tags of “{info.name}”",
            lambda key: self._set_notes(key, before.notes, before.tags),
            lambda key: self._set_notes(key, notes, tags),
        )
        return True

    def _set_notes(self, run_id: str, notes: str, tags: Sequence[str]) -> bool:
        done = self._notices.attempt(lambda: write_notes(self.find(run_id).folder, notes, tags))
        self.changed.emit()
        return done

    def delete(self, run_ids: Sequence[str]) -> None:
        """Move runs to the trash; one undo restores all. A run that cannot be moved stays; its error is reported."""
        self._shelf.delete(*run_ids, names={info.id: info.name for info in self.index.infos()})

    def _may_delete(self, run_id: str) -> bool:
        if self._training.trains(run_id):
            return self._notices.refuse("This run is training: stop it before you delete it.")
        return self._notices.attempt(lambda: self.find(run_id))

    @Slot(object)
    def _on_deleted(self, run_ids: Sequence[str]) -> None:
        self._in_trash.update(run_ids)
        self.deleted.emit(run_ids)

    @Slot(str)
    def _on_restored(self, kind: str) -> None:
        if kind in ("run", "dataset"):
            self._in_trash = {run_id for run_id in self._in_trash if not self.has(run_id)}
            self.changed.emit()

    def discard_trained(self) -> None:
        """Stop the current run without saving, and move it to the trash."""
        state = self._training.state
        if state is not None and self._training.active:
            self._discarded = state.run_id
            self._training.stop(keep=False)

    @Slot()
    def on_training_ended(self) -> None:
        """Report the new status of the run that ended, and delete it if it was discarded."""
        self.changed.emit()
        state, discarded = self._training.state, self._discarded
        self._discarded = ""
        if discarded and state is not None and state.run_id == discarded:
            self.delete((discarded,))
