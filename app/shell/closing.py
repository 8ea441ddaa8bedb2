"""Closes the window during training: asks first, and remembers the run so that the next launch offers to resume it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QMessageBox, QWidget

from terrarium.app.session.session import Session
from terrarium.app.shell.preferences import Preferences

_SETTING = "training at the end"


class ClosingQuestion(QObject):
    """Asks whether to quit while a run is training.

    Signals:
        agreed(): the window may close now.
    """

    agreed = Signal()

    def __init__(self, session: Session, preferences: Preferences, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._preferences, self._window = session, preferences, window
        self.box: QMessageBox | None = None

    def ask(self) -> None:
        """Show the question, unless it is already open."""
        state = self._session.training.state
        if self.box is not None or state is None:
            return
        box = self.box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Quit Terrarium?")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"“{state.name}” is training.")
        if state.run_id:
            box.setInformativeText(
                f"It is at step {state.step:,} of {state.total_steps:,}. Save now to resume next time."
            )
        else:
            box.setInformativeText("It is still being prepared: there is nothing to save yet.")
        quit_button = box.addButton("Save and quit" if state.run_id else "Quit", QMessageBox.ButtonRole.AcceptRole)
        stay_button = box.addButton("Keep training", QMessageBox.ButtonRole.RejectRole)
        if state.run_id:
            always = QCheckBox("Always save and quit, without asking", box)
            always.setToolTip("Edit › Preferences changes it back")
            box.setCheckBox(always)
        box.setDefaultButton(quit_button)
        box.setEscapeButton(stay_button)
        box.buttonClicked.connect(lambda clicked: self._on_answer(clicked is quit_button))
        box.finished.connect(self._on_closed)
        box.open()

    def _on_answer(self, quits: bool) -> None:
        always = self.box.checkBox() if self.box is not None else None
        if quits:
            if always is not None and always.isChecked():
                self._preferences.on_quit.choose("save")
            self.agreed.emit()

    def _on_closed(self) -> None:
        self.box = None


def remember_training(session: Session) -> None:
    """Save the id of the run that is training, for the next launch."""
    state = session.training.state
    session.remembered.set(_SETTING, state.run_id if state is not None and session.training.active else "")


def take_saved_run(session: Session) -> str:
    """Return and clear the id of the run that was training when the window was last closed, “” for none."""
    run_id = str(session.remembered.get(_SETTING, ""))
    if run_id:
        session.remembered.set(_SETTING, "")
    return run_id
