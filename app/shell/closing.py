"""Closing the window while a model is trained: asked about first, and offered to be gone on with at the next launch."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QMessageBox, QWidget

from app.session.session import Session

_SETTING = "training at the end"


class ClosingQuestion(QObject):
    """Asks what shall become of the training.

    Signals:
        agreed(): the window may close now.
    """

    agreed = Signal()

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._window = session, window
        self.box: QMessageBox | None = None

    def ask(self) -> None:
        """Show the question, unless it is there already."""
        state = self._session.training.state
        if self.box is not None or state is None:
            return
        box = self.box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Quit Terrarium?")
        box.setText(f"“{state.name}” is being trained.")
        if state.run_id:
            box.setInformativeText(
                f"It is at step {state.step:,} of {state.total_steps:,}. Saved now, it can go on from there at the "
                "next launch."
            )
        else:
            box.setInformativeText("It is still being prepared, so there is nothing to save yet.")
        leave = box.addButton("Save and quit" if state.run_id else "Quit", QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton("Keep training", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(leave)
        box.setEscapeButton(stay)
        box.buttonClicked.connect(lambda clicked: self._on_answer(clicked is leave))
        box.finished.connect(self._on_closed)
        box.open()

    def _on_answer(self, leaves: bool) -> None:
        if leaves:
            self.agreed.emit()

    def _on_closed(self) -> None:
        self.box = None


def remember_training(session: Session) -> None:
    """Keep which run is trained now, right before everything is closed."""
    state = session.training.state
    session.remembered.set(_SETTING, state.run_id if state is not None and session.training.active else "")


def take_remembered(session: Session) -> str:
    """The id of the run that was trained when the window was last closed, '' for none; it is told once."""
    run_id = str(session.remembered.get(_SETTING, ""))
    if run_id:
        session.remembered.set(_SETTING, "")
    return run_id
