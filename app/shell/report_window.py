"""The log and diagnostics for a bug report, shown as they would be saved, with private data masked."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.diagnostics import diagnostics
from terrarium.app.worker.background import LatestTask
from terrarium.models.files.atomic import atomic_write_text

_ABOUT = (
    "Terrarium sends nothing: save this as a file and attach it to your report. Paths, names and texts of yours are "
    "replaced by <path>, <user>, <name> and <text>, as far as they are recognised. Read it, and change what you like."
)


class ReportWindow(Dialog):
    """Shows the report. Saving and copying use the text as shown, including the user's edits.

    Args:
        failure: the reported failure, with its traceback; "" for none.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget, failure: str = "") -> None:
        super().__init__(parent)
        self._session, self._failure = session, failure
        self.setWindowTitle("Log and diagnostics to send")
        self.resize(900, 600)
        self.paths = QCheckBox("With paths and the names of user and computer")
        self.texts = QCheckBox("With names and texts of mine")
        self.paths.setToolTip("Where files are, and how you and this computer are called")
        self.texts.setToolTip("Names of runs, chats and the like, and what stands in quotation marks")
        for box in (self.paths, self.texts):
            box.toggled.connect(self.collect)
        self.text = QPlainTextEdit()
        self.text.setFont(theme.mono_font(0.9))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("The report")
        self.save_button = button("Save…", theme, self.save, role="primary", tip="Save what is shown, to send it")
        self.copy_button = button("Copy", theme, self.copy, icon="copy", tip="Copy what is shown")
        close = button("Close", theme, self.close)
        for each in (self.save_button, self.copy_button, close):
            each.setAutoDefault(False)
        heading, about = label("Log and diagnostics to send", "heading"), label(_ABOUT, "muted", wrap=True)
        choices = row(self.paths, self.texts, None, spacing=3 * SPACE)
        buttons = row(self.save_button, self.copy_button, None, close)
        margin = (3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        self.setLayout(column(heading, about, choices, self.text, buttons, grows=self.text, margin=margin))
        self._task = LatestTask(self)
        self._task.done.connect(self.text.setPlainText)
        self._task.done.connect(self._allow)
        self._task.failed.connect(session.notices.fail)
        self.collect()

    @Slot()
    def collect(self) -> None:
        """Generate the report again, in the background."""
        self.text.setPlainText("Collecting…")
        self._allow(False)
        report = diagnostics(
            self._session,
            failure=self._failure,
            keep_paths=self.paths.isChecked(),
            keep_texts=self.texts.isChecked(),
        )
        self._task.ask(report)

    @Slot()
    def save(self) -> None:
        """Ask for a file, and save the shown text to it."""
        path = ask_save_path(self, "Save the report", "terrarium-report", "txt", "Text (*.txt)")
        if path is not None and self._session.notices.attempt(lambda: atomic_write_text(path, self.text.toPlainText())):
            self._session.notices.say(f"Saved {path.name}. Attach it to your report.")

    @Slot()
    def copy(self) -> None:
        """Copy the shown text."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self._session.notices.say("Copied: paste it into your report.")

    def _allow(self, allowed: object) -> None:
        """Enable saving and copying once there is a report."""
        for each in (self.save_button, self.copy_button, self.text):
            set_enabled(each, "" if allowed else "The report is being collected.")
