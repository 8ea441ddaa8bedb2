"""A dialog that forks a run: its checkpoint, name and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row, scrolling, separator, set_enabled, show_words
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import caption, choice, line_edit, named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run.forks import Forks
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count
from terrarium.models.runs.fork import CheckpointInfo, list_checkpoints
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.spec_changes import inactive_fields

_FIXED = ("optimizer",)
"""Settings that a fork cannot change, since its checkpoint contains the state of the optimizer."""


class ForkDialog(Dialog):
    """Asks for a checkpoint, a name and changed settings.

    Args:
        step: the step of the preselected checkpoint; None for the last one.
        changes: changed settings to prefill, as {"lr": 0.001}.
    """

    def __init__(
        self,
        session: Session,
        theme: ThemeProvider,
        forks: Forks,
        run: RunFolder,
        step: int | None = None,
        changes: Mapping[str, Any] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        set_term(self, "Checkpoint")
        self._session, self._forks, self._run = session, forks, run
        self.setWindowTitle(f"Fork {run.name}")
        self.resize(560, 640)
        self._checkpoints = list_checkpoints(run)
        self._keeps_steps = "steps" in (changes or {})
        self.checkpoint = choice(
            "Checkpoint",
            "The weights and optimizer state that the fork starts with",
            {info.step: _words(info) for info in reversed(self._checkpoints)},
        )
        if step is not None:
            self.checkpoint.setCurrentIndex(max(0, self.checkpoint.findData(step)))
        self.name = line_edit("Name of the fork", "Name of the fork in the list", max_length=60)
        self.name.setText(session.runs.free_name(run.name))
        train = dataclasses.replace(run.spec.train, **(changes or {}))
        self.form = ConfigForm(
            train, theme, hidden=_FIXED, folded=("Optimizer", "Objective", "Evaluation and checkpoints")
        )
        self.form.set_inactive(inactive_fields(run.spec.model, run.spec.align))
        self.about = label("", "caption", wrap=True)
        self._problem = label("", "error", wrap=True)
        self.start = button(
            "Fork and train", theme, self._on_start, icon="git-fork", role="primary", tip="Train it now"
        )
        self.start.setDefault(True)
        self.wait = button("Add to the queue", theme, self._on_wait, icon="queue", tip="Train it after the queued runs")
        cancel = button("Cancel", theme, self.reject, tip="Do not fork")
        area = named(scrolling(self.form), "Settings of the fork")
        note = label(
            "The fork keeps the curves so far and continues with the same data. With unchanged settings it repeats the "
            "run exactly.",
            "caption",
            wrap=True,
        )
        self.lay_out(
            note,
            column(caption("Continue from", self.checkpoint), self.checkpoint, spacing=SPACE // 2),
            column(caption("Name", self.name), self.name, spacing=SPACE // 2),
            self.about,
            separator(),
            area,
            self._problem,
            row(None, cancel, self.wait, self.start),
            grows=area,
        )
        self.checkpoint.currentIndexChanged.connect(self._on_checkpoint)
        self.form.changed.connect(self._check)
        self.form.problem_changed.connect(self._check)
        self.name.textChanged.connect(self._check)
        session.training.changed.connect(self._check)
        self._proposed = train.steps
        self._on_checkpoint()

    @property
    def problem(self) -> str:
        """Why the fork cannot be created, as a sentence; '' if it can."""
        if not self._checkpoints:
            return "This run has no checkpoint yet, so it cannot be forked."
        if self.form.problem:
            return self.form.problem
        if not self.name.text().strip():
            return "Enter a name for the fork."
        step, steps = self.checkpoint.currentData(), self.form.config.steps
        if steps <= step:
            return f"It starts at step {step:,} but ends at {steps:,}: give it more steps."
        return ""

    @Slot()
    def _on_checkpoint(self) -> None:
        """Propose the total steps: those of the run, plus the checkpoint's step if that is at the end of the run."""
        step, own = self.checkpoint.currentData(), self._run.spec.train.steps
        if step is not None and not self._keeps_steps and self.form.config.steps == self._proposed:
            self._proposed = step + own if step >= own else own
            self.form.apply({"steps": self._proposed})
        self._check()

    @Slot()
    def _check(self) -> None:
        problem, busy = self.problem, self._session.training.active
        show_words(self._problem, problem)
        if not problem:
            step, steps = self.checkpoint.currentData(), self.form.config.steps
            self.about.setText(f"The fork trains {format_count(steps - step, 'step')} more, to step {steps:,}.")
        set_enabled(self.start, problem or ("Another run is training: add this one to the queue." if busy else ""))
        set_enabled(self.wait, problem)

    def _on_start(self) -> None:
        self._fork(start=True)

    def _on_wait(self) -> None:
        self._fork(start=False)

    def _fork(self, *, start: bool) -> None:
        self.form.commit()
        self._check()
        if self.problem:
            return
        step, name = int(self.checkpoint.currentData()), self.name.text().strip()
        if self._forks.fork(self._run.id, step, name=name, train=self.form.config, start=start):
            self.accept()


def _words(info: CheckpointInfo) -> str:
    loss = "" if info.val_loss is None else f" · validation {info.val_loss:.3f}"
    return f"step {info.step:,}{loss}{' · best' if info.is_best else ''}"
