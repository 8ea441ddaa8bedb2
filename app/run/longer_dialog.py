"""A dialog that trains a run longer, with the estimated time of each choice."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QRadioButton, QSizePolicy, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import caption, grid, line_edit, named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run.forks import Forks
from terrarium.app.session.session import Session
from terrarium.models.library.run_record import RESUMABLE, RunInfo, last_saved_step
from terrarium.models.number_words import format_about, format_count, format_duration
from terrarium.models.training.proposal.longer import longer, longer_name, measured_seconds, rate_rises, why_not_longer

_TIMES = {1: "As long again", 2: "Twice as long again", 10: "Ten times as long again"}
"""Additional steps as a multiple of the last checkpoint's step, and the label of each choice."""
_REST, _OWN = 0, 1000
"""Ids of the other choices: the remaining planned steps, and a custom number. (−1 is not usable in a QButtonGroup.)"""
_MAX_STEPS = 1_000_000_000
_WIDTH = 560
"""The minimum width in pixels at the default text size."""
_NO_SPEED = "The time is not known: this run has not measured its speed."
_RATE_RISES = "The learning rate, which has fallen, rises again: for a short while the loss may, too."


class LongerDialog(Dialog):
    """Asks how much longer to train a run, then starts or queues it.

    For the remaining planned steps, the run itself is resumed, unless early stopping ended it; for another number of
    steps, it is forked, and the fork continues its curves.

    Signals:
        tune_asked(): fine-tune the run instead, because it cannot be continued.
    """

    tune_asked = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, forks: Forks, info: RunInfo, parent: QWidget) -> None:
        super().__init__(parent)
        set_term(self, "Checkpoint")
        self._session, self._forks, self._info = session, forks, info
        self.setWindowTitle(f"Train {info.name} longer")
        self.setMinimumWidth(round(_WIDTH * theme.text_scale))
        self.problem = why_not_longer(info)
        self._step = last_saved_step(info.folder)
        self.choices = QButtonGroup(self)
        self.steps = named(IntBox(1, _MAX_STEPS, max(1, self._step // 10)), "Steps more")
        self.steps.setValue(max(1, self._step))
        self.steps.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.steps.setMinimumWidth(round(130 * theme.text_scale))
        self.name = line_edit("Name of the new run", "The name of the continued run in the list", max_length=60)
        self._was_proposed = ""
        self.about = label("", "caption", wrap=True)
        self.start = button("Train", theme, self._on_start, icon="play-fill", role="primary", tip="Train it now")
        self.wait = button("Add to the queue", theme, self._on_wait, icon="queue", tip="Train it after the queued runs")
        self.tune = button("Fine-tune…", theme, self._on_tune, icon="graduation-cap", role="primary")
        self.cancel = button("Cancel", theme, self.reject, tip="Leave it as it is")
        if self.problem:
            self.lay_out(label(self.problem, wrap=True), None, row(None, self.cancel, self.tune))
            self.tune.setVisible(info.has_model)
            return
        self._name = (caption("Name", self.name), self.name)
        for widget in self._name:  # keep their space while hidden, so that the buttons do not move
            policy = widget.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            widget.setSizePolicy(policy)
        self.lay_out(
            label(self._so_far(), wrap=True),
            self._make_choices(),
            column(*self._name, spacing=SPACE // 2),
            self.about,
            None,
            row(None, self.cancel, self.wait, self.start),
        )
        self.choices.idClicked.connect(self._show)
        self.steps.valueChanged.connect(self._on_steps)
        session.training.changed.connect(self._show)
        self._show()
        self.choices.buttons()[0].setFocus()

    def _so_far(self) -> str:
        info = self._info
        took = f", in {format_duration(info.elapsed_s)}" if info.elapsed_s else ""
        of = f" of the {info.total_steps:,} that were planned" if self._left else ""
        lost = f" Its last checkpoint is of step {self._step:,}." if self._step < info.step else ""
        return f"“{info.name}” has trained {format_count(info.step, 'step')}{of}{took}.{lost} How much longer?"

    @property
    def _left(self) -> int:
        """The number of remaining planned steps; 0 if the run cannot be resumed."""
        return max(0, self._info.total_steps - self._step) if self._info.status in RESUMABLE else 0

    def _make_choices(self) -> QGridLayout:
        more = {times: times * self._step for times in _TIMES}
        words = dict(_TIMES)
        if self._left:
            more, words = {_REST: self._left, **more}, {_REST: "To the end of its plan", **words}
        lines = list[tuple[QWidget, ...]]()
        for choice, steps in more.items():
            radio = named(QRadioButton(words[choice]), f"{words[choice]}: {format_count(steps, 'step')} more")
            self.choices.addButton(radio, choice)
            radio.setChecked(not lines)
            seconds = measured_seconds(self._info, steps)
            time = label("" if seconds is None else format_about(seconds), "mono")
            lines.append((radio, label(f"{format_count(steps, 'step')} more", "muted"), time))
        own = QRadioButton("Another number of steps:")
        self.choices.addButton(own, _OWN)
        self._own_time = label("", "mono")
        return grid(*lines, (own, self.steps, self._own_time), grows=0, spacing=(3 * SPACE, SPACE // 2))

    @property
    def _resumes(self) -> bool:
        """Whether to resume the run itself; not after early stopping, which would immediately end it again."""
        return self.choices.checkedId() == _REST and not self._info.early_stop

    @property
    def n_more(self) -> int:
        """The chosen number of additional steps."""
        choice = self.choices.checkedId()
        return self.steps.value() if choice == _OWN else self._left if choice == _REST else choice * self._step

    @Slot()
    def _on_steps(self) -> None:
        self.choices.button(_OWN).setChecked(True)
        self._show()

    @Slot()
    def _show(self) -> None:
        seconds = measured_seconds(self._info, self.steps.value())
        self._own_time.setText("" if seconds is None else format_about(seconds))
        resumes, to = self._resumes, self._step + self.n_more
        for widget in self._name:
            widget.setVisible(not resumes)
        if self.name.text() == self._was_proposed:
            self._was_proposed = self._session.runs.free_name(longer_name(self._info.name, to))
            self.name.setText(self._was_proposed)
        self.about.setText(self._what_happens(to, resumes=resumes))
        busy = "Another run is training: add this one to the queue." if self._session.training.active else ""
        set_enabled(self.start, busy)
        default = self.wait if busy else self.start
        default.setDefault(True)  # otherwise Enter in the number field would press Cancel, the first button

    def _what_happens(self, to: int, *, resumes: bool) -> str:
        spec = self._info.spec
        sentences = ["The run continues from its last checkpoint." if resumes else ""]
        if not resumes:
            sentences = [
                "A new run continues from there, with the curves so far; the one that you have stays as it is."
            ]
            if spec is not None and rate_rises(spec.train, self._step, to):
                sentences.append(_RATE_RISES)
        if not self._info.elapsed_s:
            sentences.append(_NO_SPEED)
        return " ".join(sentences)

    def _on_start(self) -> None:
        self._go_on(start=True)

    def _on_wait(self) -> None:
        self._go_on(start=False)

    def _go_on(self, *, start: bool) -> None:
        session, info = self._session, self._info
        if self._resumes:
            done = session.training.resume_run(info.id) if start else session.queue.add_run(info.id)
        else:
            assert info.spec is not None
            steps = self._step + self.n_more
            name = self.name.text().strip() or self._was_proposed
            train = longer(info.spec.train, self._step, steps)
            done = self._forks.fork(info.id, self._step, name=name, train=train, start=start)
        if done:
            self.accept()

    def _on_tune(self) -> None:
        self.accept()
        self.tune_asked.emit()
