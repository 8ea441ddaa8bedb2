"""The picker of what a fine-tuned run learns from: texts to imitate, rewards for its replies, or pairs of replies."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import column, label
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.align_spec import REWARD_MODELS, AlignSpec, usual_align
from terrarium.models.settings.stage_kinds import STAGE_KINDS

_STAGES = {
    "": ("Learn from texts", "It imitates texts, conversations, or the answers of a task."),
    **{name: (kind.words.offer, kind.words.does) for name, kind in STAGE_KINDS.items()},
}
"""AlignSpec.stage, "" for none -> its title and description."""


_SIMPLE = ("beta", "n_replies")
"""The settings shown at the simple detail level."""


class AlignPicker(QWidget):
    """Chooses an AlignSpec, or none. The form of its settings, `form`, is placed by the owner.

    Signals:
        changed(): `spec` or `problem` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.choice = choice(
            "Learn from",
            "What the run learns from",
            {stage: title for stage, (title, _) in _STAGES.items()},
            tips={stage: tip for stage, (_, tip) in _STAGES.items()},
            width=18,
        )
        self.rewarder = choice(
            "Rewarded by",
            "What decides how much a reply earns: the judge of the wish, or a reward model of yours",
            width=18,
        )
        self.second = choice(
            "Second reward model",
            "One that learned from other pairs: if the two disagree more and more, the first is being gamed",
            width=18,
        )
        self._about = label("", "caption", wrap=True)
        self.form = ConfigForm(AlignSpec(), theme, hidden={"stage", *REWARD_MODELS})
        self.form.keep_simple(session.detail, _SIMPLE, lambda: AlignSpec(**usual_align(self.form.config.stage)))
        self.setLayout(column(self.choice, self._about, self.rewarder, self.second))
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.rewarder.activated.connect(self._on_rewarder)
        self.second.activated.connect(lambda _: self.changed.emit())
        session.runs.changed.connect(self._list_rewarders)
        self.form.changed.connect(lambda _: self.changed.emit())
        self.form.problem_changed.connect(lambda _: self.changed.emit())
        self._list_rewarders()
        self._show()

    @property
    def stage(self) -> str:
        """The chosen stage, "" for none."""
        return str(self.choice.currentData() or "")

    @property
    def spec(self) -> AlignSpec | None:
        """The chosen stage with its settings, None for none."""
        if not self.stage:
            return None
        chosen: AlignSpec = self.form.config
        model = str(self.rewarder.currentData() or "") if chosen.task == "prompts" else ""
        second = str(self.second.currentData() or "") if model else ""
        return dataclasses.replace(chosen, reward_model=model, second_reward_model=second)

    @property
    def problem(self) -> str:
        """The problem with the settings of the stage, in sentences; '' if they are valid."""
        return self.form.problem if self.stage else ""

    def set_spec(self, spec: AlignSpec | None) -> None:
        """Choose the stage and settings of `spec`, or no stage."""
        with QSignalBlocker(self), QSignalBlocker(self.choice):
            self.choice.setCurrentIndex(max(0, self.choice.findData(spec.stage if spec is not None else "")))
            if spec is not None:
                self.form.set_config(spec)
            self._list_rewarders(*(("", "") if spec is None else (spec.reward_model, spec.second_reward_model)))
        self.changed.emit()

    @Slot()
    def _on_choice(self) -> None:
        if self.stage:
            with QSignalBlocker(self.form):
                self.form.set_config(AlignSpec(**usual_align(self.stage)))
        self._show()
        self.changed.emit()

    @Slot()
    def _on_rewarder(self) -> None:
        self._show()
        self.changed.emit()

    @Slot()
    def _list_rewarders(self, wanted: str | None = None, second: str | None = None) -> None:
        """List the reward models of the library and choose `wanted` and `second`, which are listed even if deleted.

        "" chooses none, and None retains the current choice.
        """
        models = []
        for info in self._session.runs.known():
            spec = None if info.problem or not info.step else info.spec
            if spec is not None and spec.align is not None and spec.align.kind.head == "regression":
                models.append((f"“{info.name}”", info.id))
        for box, none, verb, chosen in (
            (self.rewarder, "Rewarded by the judge of the wish", "Rewarded by", wanted),
            (self.second, "No second reward model", "Questioned by", second),
        ):
            chosen = str(box.currentData() or "") if chosen is None else chosen
            with QSignalBlocker(box):
                box.clear()
                box.addItem(none, "")
                for name, run_id in models:
                    box.addItem(f"{verb} {name}", run_id)
                run_id = chosen.partition("@")[0]
                if run_id and box.findData(run_id) < 0:
                    box.addItem(f"{verb} {chosen}", chosen)
                box.setCurrentIndex(max(0, box.findData(run_id), box.findData(chosen)))
        self._show()

    def _show(self) -> None:
        spec = self.spec
        is_rewarded = spec is not None and spec.task == "prompts" and self.rewarder.count() > 1
        self.rewarder.setVisible(is_rewarded)
        self.second.setVisible(is_rewarded and bool(self.rewarder.currentData()) and self.second.count() > 2)
        self._about.setText(_STAGES[self.stage][1])
        self.form.setVisible(bool(self.stage))
