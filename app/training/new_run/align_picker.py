"""What a run that starts from a model learns from: texts to imitate, rewards for its replies, or pairs of replies."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from app.kit.basics import column, label
from app.kit.forms.config_form import ConfigForm
from app.kit.forms.editors import keep_wheel_for_scrolling
from app.kit.labels import ElidedCombo
from app.kit.theme import ThemeProvider
from app.session.session import Session
from models.settings.align_spec import AlignSpec, usual_align

_STAGES = {
    "": ("Learn from texts", "It imitates texts, conversations, or the answers of a task."),
    "grpo": (
        "Learn from rewards: GRPO",
        "It draws several replies to each prompt, and makes those likelier that earn more than the others.",
    ),
    "ppo": (
        "Learn from rewards: PPO",
        "It draws replies, and makes those likelier that earn more than its critic, a second model, expected.",
    ),
    "dpo": ("Learn from pairs: DPO", "Of two replies to a prompt, the preferred one becomes likelier than the other."),
    "kto": (
        "Learn from pairs or thumbs: KTO",
        "Replies become likelier or less likely, as good or bad ones, each by itself: of pairs, or rated ones alone.",
    ),
    "reward": (
        "Learn from pairs: a reward model",
        "The model learns to score replies as in the pairs; PPO and GRPO can learn from its scores.",
    ),
}
"""Stage of AlignSpec, "" for none -> its name and what it does."""


class AlignPicker(QWidget):
    """Chooses an AlignSpec, or none. `form`, its settings, stands elsewhere.

    Signals:
        changed(): `spec` or `problem` is new.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.choice: QComboBox = ElidedCombo()
        self.choice.setAccessibleName("Learn from")
        self.choice.setToolTip("What the run learns from")
        self.rewarder: QComboBox = ElidedCombo()
        self.rewarder.setAccessibleName("Rewarded by")
        self.rewarder.setToolTip("What says how much a reply earns: the judge of the wish, or a reward model of yours")
        for box in (self.choice, self.rewarder):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(18)
            keep_wheel_for_scrolling(box)
        for stage, (title, tip) in _STAGES.items():
            self.choice.addItem(title, stage)
            self.choice.setItemData(self.choice.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self._about = label("", "caption", wrap=True)
        self.form = ConfigForm(AlignSpec(), theme, hidden={"stage", "reward_model"})
        self.setLayout(column(self.choice, self._about, self.rewarder))
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.rewarder.activated.connect(lambda _: self.changed.emit())
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
        return dataclasses.replace(chosen, reward_model=model)

    @property
    def problem(self) -> str:
        """What is wrong with the settings of the stage, in sentences; '' for nothing."""
        return self.form.problem if self.stage else ""

    def set_spec(self, spec: AlignSpec | None) -> None:
        """Choose `spec`."""
        with QSignalBlocker(self), QSignalBlocker(self.choice):
            self.choice.setCurrentIndex(max(0, self.choice.findData(spec.stage if spec is not None else "")))
            if spec is not None:
                self.form.set_config(spec)
                self._list_rewarders(spec.reward_model)
            self._show()
        self.changed.emit()

    @Slot()
    def _on_choice(self) -> None:
        if self.stage:
            with QSignalBlocker(self.form):
                self.form.set_config(AlignSpec(**usual_align(self.stage)))
        self._show()
        self.changed.emit()

    @Slot()
    def _list_rewarders(self, wanted: str = "") -> None:
        """List the reward models of the library, keeping the choice; `wanted` is listed even if it is gone."""
        wanted = wanted or str(self.rewarder.currentData() or "")
        with QSignalBlocker(self.rewarder):
            self.rewarder.clear()
            self.rewarder.addItem("Rewarded by the judge of the wish", "")
            for info in self._session.runs.list():
                spec = None if info.problem or not info.step else self._session.runs.spec(info.id)
                if spec is not None and spec.align is not None and spec.align.stage == "reward":
                    self.rewarder.addItem(f"Rewarded by “{info.name}”", info.id)
            run_id = wanted.partition("@")[0]
            if run_id and self.rewarder.findData(run_id) < 0:
                self.rewarder.addItem(f"Rewarded by {wanted}", wanted)
            self.rewarder.setCurrentIndex(max(0, self.rewarder.findData(run_id), self.rewarder.findData(wanted)))
        self._show()

    def _show(self) -> None:
        spec = self.spec
        self.rewarder.setVisible(spec is not None and spec.task == "prompts" and self.rewarder.count() > 1)
        self._about.setText(_STAGES[self.stage][1])
        self.form.setVisible(bool(self.stage))
