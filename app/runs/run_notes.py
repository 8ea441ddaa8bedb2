"""A dialog for the notes and tags of a run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QDialogButtonBox, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import Content, label, set_enabled
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.inputs import line_edit, named
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
        self.tags = line_edit("Tags", placeholder="sweep, baseline")
        self.tags.setText(", ".join(written.tags))
        self.notes = named(QPlainTextEdit(written.notes), "Notes")
        self.notes.setPlaceholderText("What you tried, and the result")
        self.notes.setTabChangesFocus(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        used = f" Used so far: {', '.join(known_tags)}." if known_tags else ""
        lines: list[Content] = [
            label("Tags", "subheading"),
            self.tags,
            label(f"Separate with commas; search for tag:sweep to find them.{used}", "caption", wrap=True),
            SPACE,
            label("Notes", "subheading"),
            self.notes,
        ]
        if written.problem is not None:
            lines.append(label(written.problem, "error", wrap=True))
            for widget in (self.tags, self.notes, self.buttons.button(QDialogButtonBox.StandardButton.Save)):
                set_enabled(widget, written.problem)
        self.lay_out(*lines, self.buttons, grows=self.notes)

    def accept(self) -> None:
        """Save and close; stay open if saving fails."""
        tags = clean_tags(self.tags.text().split(","))
        if self._session.runs.set_notes(self._run_id, self.notes.toPlainText().strip(), tags):
            super().accept()
