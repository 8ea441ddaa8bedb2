"""A dialog for the notes and tags of a run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.session import Session
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_notes import clean_tags, read_notes


class NotesDialog(Dialog):
    """Edits a run's notes and tags; Save writes them to its folder.

    Args:
        known_tags: tags of other runs, listed as a hint.
    """

    def __init__(
        self, session: Session, run: RunInfo, known_tags: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._run_id = session, run.id
        self.setWindowTitle(f"Notes and tags of {run.name}")
        self.resize(520, 380)
        written = read_notes(run.folder)
        self.tags = QLineEdit(", ".join(written.tags))
        self.tags.setPlaceholderText("sweep, baseline")
        self.tags.setAccessibleName("Tags")
        self.notes = QPlainTextEdit(written.notes)
        self.notes.setPlaceholderText("What you tried, and the result")
        self.notes.setAccessibleName("Notes")
        self.notes.setTabChangesFocus(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        used = f" Used so far: {', '.join(known_tags)}." if known_tags else ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)
        layout.setSpacing(SPACE)
        layout.addWidget(label("Tags", "subheading"))
        layout.addWidget(self.tags)
        layout.addWidget(label(f"Separate with commas; search for tag:sweep to find them.{used}", "caption", wrap=True))
        layout.addSpacing(SPACE)
        layout.addWidget(label("Notes", "subheading"))
        layout.addWidget(self.notes, 1)
        if written.problem is not None:
            layout.addWidget(label(written.problem, "error", wrap=True))
            for widget in (self.tags, self.notes, self.buttons.button(QDialogButtonBox.StandardButton.Save)):
                set_enabled(widget, written.problem)
        layout.addWidget(self.buttons)

    def accept(self) -> None:
        """Save and close; stay open if saving fails."""
        tags = clean_tags(self.tags.text().split(","))
        if self._session.runs.set_notes(self._run_id, self.notes.toPlainText().strip(), tags):
            super().accept()
