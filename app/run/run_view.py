"""The page of one run: its header and views."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QInputDialog,
    QWidget,
)

from terrarium.app.kit.basics import column, label, scrolling
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.spec_exchange import save_spec
from terrarium.app.run.export_dialog import ExportDialog
from terrarium.app.run.follower import RunFollower
from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.run.forks import Forks, TensorBoardExport
from terrarium.app.run.head import RunHead
from terrarium.app.run.longer_dialog import LongerDialog
from terrarium.app.run.lr_dialog import LrDialog
from terrarium.app.run.pack_dialog import RunPacker
from terrarium.app.run.run_views import RunViews
from terrarium.app.run.spec_view import SpecView, summary
from terrarium.app.run.sweep_dialog import SweepDialog
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.routes import DoToRun, NewRun, ShowRun
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.diagnosis.findings import Remedy
from terrarium.models.runs.fork import spec_like
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec

_REDRAW_MS = 300
_POLL_MS = 2000
"""Milliseconds between polls of the status of a run that another process may train."""


class RunView(QWidget):
    """The page of a run: updated by events if this session trains it, else by following its folder."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._run_id = ""
        self._spec: RunSpec | None = None
        self.history = RunHistory()
        self._dirty = False
        self.exported: list[str] = []
        """The names of the files, folders and hub models exported since launch."""
        self.forks = Forks(session.library, session.runs, session.training, session.queue, session.notices, self)
        self._tensorboard = TensorBoardExport(session.runs, session.notices, self)
        self.packer = RunPacker(session, self)
        self.head = RunHead(session, theme)
        self.views = RunViews(session, theme)
        self.setLayout(column(self.head, self.views, None, grows=self.views))
        self.follower = RunFollower(self)
        self._redraw = QTimer(self, interval=_REDRAW_MS)
        self._redraw.timeout.connect(self._on_redraw)
        self._redraw.start()
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._on_poll)
        self._poll.start()
        self._connect()

    def _connect(self) -> None:
        head, views, session = self.head, self.views, self._session
        session.closing.connect(self.forks.close)
        self.forks.stopped.connect(self._on_stopped)
        views.remedy_asked.connect(self._on_remedy)
        head.settings_asked.connect(self.show_settings)
        head.scores_asked.connect(lambda: views.show_view("scores"))
        self.follower.loaded.connect(self._on_progressed)
        self.follower.appended.connect(self._on_progressed)
        self.follower.failed.connect(session.notices.refuse)
        session.training.changed.connect(self._on_training)
        session.training.events_received.connect(self._on_events)
        session.runs.changed.connect(self._show_state)
        session.chat.changed.connect(self._show_state)

    # -- Content ----------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """The id of the shown run; '' while it is being prepared."""
        return self._run_id

    def show_run(self, run_id: str) -> None:
        """Show a run of the library; '' shows the current training before its run has been created."""
        info = self._session.runs.look_up(run_id) if run_id else None
        if run_id and info is None:
            return
        self._run_id = run_id
        self.follower.stop()
        self.views.setVisible(info is None or info.problem is None)  # the header shows the problem
        if info is not None and info.problem is not None:
            self._spec = None
            self.head.summary.setText("")
            self._show_state()
            return
        self._spec = self._session.runs.spec(run_id) if run_id else None
        is_live = info is None or self._session.training.trains(run_id)
        history = self.history = self._session.training.history if is_live else RunHistory()
        folder, name = (info.folder, info.name) if info is not None else (None, "")
        self.views.show_run(ShownRun(id=run_id, name=name, folder=folder, spec=self._spec, history=history))
        if folder is not None and not is_live:
            self.follower.follow(folder, history)
        imported = info is not None and info.status == "imported"
        in_short = summary(self._spec, self._dataset_name(self._spec, folder), imported=imported) if self._spec else ""
        self.head.summary.setText(in_short)
        self._show_state()

    def _dataset_name(self, spec: RunSpec, folder: Path | None) -> str:
        """Return the current name of a run's dataset, or its name when the run started; '' if none or unknown."""
        known = self._session.datasets.info(spec.data.dataset)
        if known is not None or folder is None or spec.data.source != "dataset":
            return known.name if known is not None else ""
        with contextlib.suppress(ValueError):
            return str(RunFolder.open(folder).lineage.get("corpus", {}).get("name", ""))
        return ""

    @property
    def live(self) -> bool:
        """Whether this session is training the run."""
        state = self._session.training.state
        return self._session.training.active and state is not None and state.run_id == self._run_id

    @Slot()
    def _show_state(self) -> None:
        state = self._session.training.state
        if state is not None and (self.live or not self._run_id):
            self.head.show_live(state, self._session.chat.state)
        elif self._run_id:
            try:
                self.head.show_resting(self._session.runs.find(self._run_id))
            except ValueError:  # it was deleted; the list will show another page
                self.follower.stop()

    # -- Following --------------------------------------------------------------------------------------

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training.state
        if state is None or self._run_id not in ("", state.run_id):
            return
        was_live = self.history is self._session.training.history
        if self._run_id != state.run_id or (self.live and not was_live):
            self.show_run(state.run_id)  # its folder was created, or it was resumed
            return
        if self._run_id and was_live and not self.live and not self.follower.is_following:
            with contextlib.suppress(ValueError):  # from now on, another process may resume it
                self.follower.follow(self._session.runs.find(self._run_id).folder, self.history)
        self._show_state()

    @Slot(object)
    def _on_events(self, events: object) -> None:
        if self.live:
            self._dirty = True

    @Slot()
    def _on_progressed(self) -> None:
        self._dirty = True
        self._show_state()

    @Slot()
    def _on_poll(self) -> None:
        """Update the status: another process may train the run, and end without a signal."""
        if self._run_id and not self.live and self.isVisible():
            self._show_state()

    @Slot()
    def _on_redraw(self) -> None:
        # At a fixed rate instead of per event, and only while visible.
        if self._dirty and self.isVisible():
            self._dirty = False
            self.views.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._dirty = True

    # -- Actions ----------------------------------------------------------------------------------------

    def do(self, name: str) -> None:
        """Apply an action of app.runs.run_actions, given by name, to the shown run."""
        training = self._session.training
        steers: Mapping[str, Callable[[], object]] = {
            "save": training.save,
            "sample": self._on_sample,
            "lr": self._on_lr,
            "beta": self._on_beta,
            "free": partial(training.pause, free=True),
            "stop": partial(training.stop, keep=False),
            "discard": self._session.runs.discard_trained,
        }
        if name in steers:
            if self.live:  # it may have ended while its menu was open, and another run may be training
                steers[name]()
            return
        does: Mapping[str, Callable[[], object]] = {
            "fork": self.ask_for_fork,
            "longer": self.ask_for_longer,
            "sweep": self.ask_for_sweep,
            "file": lambda: self.packer.ask(self._run_id, self._theme),
            "model": self.export_model,
            "toml": self._save_settings,
            "tensorboard": self._write_tensorboard,
        }
        does[name]()

    def ask_for_longer(self) -> None:
        """Open the dialog that trains the run longer, or that explains why this is impossible."""
        info = self._session.runs.look_up(self._run_id)
        if info is None:
            return
        dialog = LongerDialog(self._session, self._theme, self.forks, info, self.window())
        dialog.tune_asked.connect(lambda: self._session.go(DoToRun(info.id, "tune")))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def ask_for_fork(self, step: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Open the fork dialog."""
        try:
            run = RunFolder.open(self._session.runs.find(self._run_id).folder)
        except ValueError as error:
            self._session.notices.refuse(str(error))
            return
        dialog = ForkDialog(self._session, self._theme, self.forks, run, step, changes, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @Slot(str)
    def _on_stopped(self, run_id: str) -> None:
        """Show the new run that ends at a checkpoint, unless the shown run is still training."""
        if not self.live:
            self._session.go(ShowRun(run_id))

    @Slot(str, object)
    def _on_remedy(self, run_id: str, remedy: Remedy) -> None:
        if remedy.fork_step is None:
            self.forks.start_like(run_id, remedy.changes)
        else:
            changes = {name.removeprefix("train."): value for name, value in remedy.changes.items()}
            self.ask_for_fork(remedy.fork_step, changes)

    @Slot()
    def ask_for_sweep(self) -> None:
        """Open the sweep dialog."""
        try:
            run = RunFolder.open(self._session.runs.find(self._run_id).folder)
            base = spec_like(self._session.library, run, name=run.name)
        except ValueError as error:
            self._session.notices.refuse(str(error))
            return
        dialog = SweepDialog(self._session, self._theme, base, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _on_lr(self) -> None:
        if self._spec is not None:
            dialog = LrDialog(self._session, self._theme, self._spec.train, self.window())
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()

    def _on_beta(self) -> None:
        align = self._spec.align if self._spec is not None else None
        if align is None:
            return
        known = self.history.figures.get(("kl_coef", False))
        now = float(known["value"][-1]) if known is not None and len(known) else align.beta
        words = "How much reward each nat of distance from the parent costs, from the next step on:"
        beta, agreed = QInputDialog.getDouble(self, "KL weight β", words, now, 0.0, 100.0, 4)
        if agreed and self.live:  # another run may be training by now
            self._session.training.set_beta(beta)

    def _on_sample(self) -> None:
        pinned = self._spec.train.prompts if self._spec is not None else ()
        text = pinned[0] if pinned else ""
        prompt, agreed = QInputDialog.getText(self, "Sample now", "Prompt", text=text)
        if agreed and self.live:  # another run may be training by now
            self._session.training.sample(prompt)

    def _save_settings(self) -> None:
        if self._spec is not None:
            save_spec(self, self._session, self._spec)

    def _write_tensorboard(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder that TensorBoard reads")
        if folder:
            self._tensorboard.write(self._run_id, Path(folder))

    def export_model(self) -> ExportDialog | None:
        """Open the export dialog and return it; None if the run cannot be read."""
        info = self._session.runs.look_up(self._run_id)
        if self._spec is None or info is None:
            return None
        dialog = ExportDialog(self._session, self._theme, info, self._spec.model, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        run_id = self._run_id
        dialog.same_asked.connect(lambda design: self._session.go(NewRun(like=run_id, design=design)))
        dialog.export.gguf_written.connect(lambda shared: self.exported.append(shared.path.name))
        dialog.export.onnx_written.connect(lambda shared: self.exported.append(shared.path.name))
        for written in (dialog.export.folder_written, dialog.export.adapter_written):
            written.connect(lambda path: self.exported.append(path.name))
        dialog.export.uploaded.connect(lambda address: self.exported.append(address.rpartition("/")[2]))
        dialog.show()
        return dialog

    def show_settings(self) -> None:
        """Show the settings of the run in a dialog."""
        if self._spec is None:
            return
        dialog = Dialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(f"Settings of {self.head.name.text()}")
        dialog.resize(980, 640)
        area = named(scrolling(SpecView(self._spec)), "Settings")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        note = label("Bold green values differ from the defaults.", "caption")
        dialog.lay_out(area, note, buttons, spacing=6)
        dialog.open()
