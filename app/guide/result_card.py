"""The result of a chapter with the user's own numbers, as a card that can be saved as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from terrarium.app.kit.basics import button, label, row
from terrarium.app.kit.chart_export import write_png
from terrarium.app.kit.file_dialogs import ask_save_path
from terrarium.app.kit.logo import program_mark
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.worker.notices import Notices


class ResultCard(QFrame):
    """A title, what the user has now, and a line for each completed step. `export` saves it as a picture."""

    def __init__(self, notices: Notices, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices, self._theme = notices, theme
        self.setProperty("role", "sunken")
        mark = QLabel()
        mark.setPixmap(program_mark(24))
        mark.setAccessibleName("Terrarium's mark")
        self.title, self.makes = label("", "heading", wrap=True), label("", "muted", wrap=True)
        self.lines: list[QLabel] = []
        self.note = label("", "caption", wrap=True)
        self.export = button("Save as a picture…", theme, self._on_export, icon="export", role="quiet")
        self._rows = QVBoxLayout()
        self._rows.setSpacing(SPACE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[2 * SPACE] * 4)
        layout.setSpacing(SPACE)
        layout.addLayout(row(mark, label("Terrarium", "caption"), None))
        for widget in (self.title, self.makes):
            layout.addWidget(widget)
        layout.addSpacing(SPACE)
        layout.addLayout(self._rows)
        layout.addWidget(self.note)

    def show_results(self, title: str, makes: str, results: Sequence[str], n_steps: int) -> None:
        """Show the result lines of the completed steps, out of `n_steps`."""
        self.title.setText(title)
        self.makes.setText(makes)
        while len(self.lines) < len(results):
            line = label("", wrap=True, selectable=True)
            line.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._rows.addWidget(line)
            self.lines.append(line)
        for i, line in enumerate(self.lines):
            line.setVisible(i < len(results))
            line.setText(f"✓  {results[i]}" if i < len(results) else "")
        skipped = n_steps - len(results)
        self.note.setText("" if not skipped else f"{skipped} of {n_steps} steps were skipped.")
        self.note.setVisible(bool(skipped))
        self.export.setEnabled(bool(results))

    @Slot()
    def _on_export(self) -> None:
        path = ask_save_path(self, "Save the result", self.title.text(), "png", "PNG pictures (*.png)")
        if path is None:
            return
        ground = self._theme.theme.color("window")
        if self._notices.attempt(lambda: write_png(self, ground, path)):
            self._notices.say(f"{path.name} was saved to {path.parent}.")
