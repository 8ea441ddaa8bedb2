"""The result of a chapter with the user's own numbers, as a card that can be saved as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QLabel, QWidget

from terrarium.app.kit.basics import button, column, label, row, show_words
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
        self._rows, head = column(), row(mark, label("Terrarium", "caption"), None)
        self.setLayout(column(head, self.title, self.makes, SPACE, self._rows, self.note, margin=2 * SPACE))

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
        show_words(self.note, f"{skipped} of {n_steps} steps were skipped." if skipped else "")
        self.export.setEnabled(bool(results))

    @Slot()
    def _on_export(self) -> None:
        path = ask_save_path(self, "Save the result", self.title.text(), "png", "PNG pictures (*.png)")
        if path is None:
            return
        ground = self._theme.theme.color("window")
        if self._notices.attempt(lambda: write_png(self, ground, path)):
            self._notices.say(f"{path.name} was saved to {path.parent}.")
