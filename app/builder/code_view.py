"""The code view: the design as a PyTorch module, to read, copy and save."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QCheckBox, QFileDialog, QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled, set_role
from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text.code_editor import CodeEditor
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.worker.failures import describe
from terrarium.models.code_view import module_source
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.settings.model_config import ModelConfig

_HINT = "Needs only torch: save it and run it with Python."


class CodeView(QWidget):
    """Shows the PyTorch module that models.code_view generates for a design."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ""
        self._shown: tuple[ModelConfig, str] | None = None
        self.editor = named(CodeEditor(theme), "The design as a PyTorch module")
        self.counts = ElidedLabel()
        set_role(self.counts, "caption")
        self.message = label(_HINT, "caption", wrap=True)
        self.numbers = QCheckBox("Line numbers")
        self.numbers.setToolTip("Show line numbers (not part of the code)")
        self.numbers.setChecked(True)
        self.numbers.toggled.connect(self.editor.set_numbers_shown)
        self.copy = button("Copy", theme, self.copy_code, icon="copy", tip="Copy the whole module")
        self.save = button("Save as…", theme, self.choose_file, icon="floppy-disk", tip="Save it to a file")
        head = row(self.counts, self.numbers, self.copy, self.save)
        self.setLayout(column(head, self.editor, self.message, grows=self.editor))
        QShortcut(QKeySequence(QKeySequence.StandardKey.SaveAs), self, self.choose_file)

    def set_design(self, config: ModelConfig, name: str = "This design") -> None:
        """Show the code of `config`; its first line contains `name`."""
        if (config, name) == self._shown:
            return
        self._shown, self._name = (config, name), name
        code, problem = "", ""
        try:
            code = module_source(config, name)
        except ValueError as error:
            problem = str(error)
        self.editor.show_code(code)
        self.counts.setText(f"{code.count(chr(10)):,} lines, {len(code):,} characters" if code else "")
        for each in (self.copy, self.save):
            set_enabled(each, problem)
        self._say(problem or _HINT, failed=bool(problem))

    def refresh(self) -> None:
        """Make the code again: a custom block of the design was allowed, or its text is there now."""
        if self._shown is not None:
            shown, self._shown = self._shown, None
            self.set_design(*shown)

    @property
    def code(self) -> str:
        """The source of the module."""
        return self.editor.toPlainText()

    @Slot()
    def copy_code(self) -> None:
        """Copy the module to the clipboard."""
        QGuiApplication.clipboard().setText(self.code)
        self._say("Copied.")

    @Slot()
    def choose_file(self) -> None:
        """Ask for a file and write the module to it."""
        path, _ = QFileDialog.getSaveFileName(self, "Save the code", file_name(self._name), "Python (*.py)")
        if path:
            self.save_to(Path(path))

    def save_to(self, path: Path) -> None:
        """Write the module to a file atomically and show the outcome in the message below the code."""
        try:
            atomic_write_text(path, self.code)
        except (OSError, ValueError) as error:
            self._say(describe(error).sentence, failed=True)
            return
        self._say(f"Saved to {path}")

    def _say(self, words: str, *, failed: bool = False) -> None:
        self.message.setText(words)
        set_role(self.message, "error" if failed else "caption")


def file_name(name: str) -> str:
    """Return an importable Python file name derived from a design's name."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.lower()).strip("_")
    words = "_".join(part for part in plain.split("_") if part)
    return f"{'model_' if not words or words[0].isdigit() else ''}{words or 'design'}.py"
