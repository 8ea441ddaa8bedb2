"""A dialog that changes the learning rate of a run while it trains."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QDoubleSpinBox, QWidget

from terrarium.app.kit.basics import button, label, row
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import named
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.schedule import lr_factor


def lr_scale_now(session: Session, train: TrainConfig) -> float:
    """Return the multiplier of the scheduled learning rate at the last step, computed from the logged rate.

    It is 1 before the first step, and if the scheduled rate is 0.
    """
    rows = session.training.history.train
    if not len(rows):
        return 1.0
    scheduled = train.lr * lr_factor(int(rows["step"][-1]) - 1, train)
    return float(rows["lr"][-1]) / scheduled if scheduled > 0 else 1.0


class LrDialog(Dialog):
    """Asks for a multiplier of the learning rate schedule, which applies from the next step on."""

    def __init__(
        self, session: Session, theme: ThemeProvider, train: TrainConfig, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        set_term(self, "Learning rate")
        self._session, self._train = session, train
        self.setWindowTitle("Learning rate")
        self.scale = named(QDoubleSpinBox(), "Multiplier of the schedule", "1 is the schedule itself, 0.5 half of it")
        self.scale.setRange(0.0, 100.0)
        self.scale.setDecimals(3)
        self.scale.setSingleStep(0.1)
        self.scale.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.scale.setPrefix("× ")
        self.scale.setValue(lr_scale_now(session, train))
        self._words = label("", "muted", wrap=True)
        quick = [
            button(words, theme, partial(self._multiply, factor), tip=tip)
            for words, factor, tip in (
                ("÷ 10", 0.1, "A tenth of the current rate"),
                ("÷ 2", 0.5, "Half of the current rate"),
                ("× 2", 2.0, "Twice the current rate"),
                ("× 10", 10.0, "Ten times the current rate"),
            )
        ]
        self.apply = button(
            "Use from the next step", theme, self._on_apply, role="primary", tip="Training does not stop for this"
        )
        self.apply.setDefault(True)
        self.lay_out(
            label(
                "The scheduled learning rate is multiplied by this from the next step on. The chart marks it.",
                wrap=True,
            ),
            row(self.scale, *quick),
            self._words,
            SPACE,
            row(None, button("Cancel", theme, self.reject, tip="Leave it unchanged"), self.apply),
        )
        self.scale.valueChanged.connect(self._show)
        session.training.events_received.connect(self._show)
        session.training.ended.connect(self.reject)  # the next run has another schedule
        self._show()

    def _multiply(self, factor: float) -> None:
        self.scale.setValue(self.scale.value() * factor)

    @Slot()
    def _show(self) -> None:
        state = self._session.training.state
        step = state.step if state is not None else 0
        scheduled = self._train.lr * lr_factor(step, self._train)
        self._words.setText(
            f"At step {step + 1:,} the schedule says {scheduled:.3g}, so the learning rate will be "
            f"{scheduled * self.scale.value():.3g}."
        )

    def _on_apply(self) -> None:
        self._session.training.set_lr_scale(self.scale.value())
        self.accept()
