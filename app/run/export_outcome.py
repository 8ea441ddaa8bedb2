"""The result of an export: its location, its cost in perplexity, and commands to use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QPushButton, QWidget

from terrarium.app.kit.basics import button, column, frame, label, row, show_only, show_words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_signed, format_size

if TYPE_CHECKING:
    from terrarium.models.interop.publish.onnx_export import OnnxShared
    from terrarium.models.interop.publish.share import GgufShared

_COPIED_MS = 1500


class ExportOutcome(QWidget):
    """The exported file, folder or hub model, with its cost and the next steps; hidden until there is one."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self._place = QUrl()
        self.title = label("", "subheading", wrap=True, selectable=True)
        self.cost = label("", wrap=True)
        self.notes = label("", "caption", wrap=True)
        self.commands = label("", "mono-small", wrap=True, selectable=True)
        self.copy = button("Copy", theme, self._on_copy, icon="copy", tip="Copy this text")
        self.open = button("Show in folder", theme, self._on_open, icon="folder-open", role="quiet")
        self._box = frame("sunken", row(self.commands, self.copy, grows=self.commands), margin=SPACE)
        head = row(self.title, self.open, grows=self.title)
        self._card = frame("banner", head, self.cost, self.notes, self._box, margin=SPACE + SPACE // 2)
        self.setLayout(column(self._card))
        self.hide()

    def show_gguf(self, shared: GgufShared) -> None:
        """Show an exported GGUF file, with the perplexity before and after if it was measured."""
        self._show_folder_of(shared.path)
        self.title.setText(f"{shared.path} ({format_size(shared.n_bytes)})")
        self.cost.setText(_cost_words(shared))
        self._set("\n".join(shared.notes), "\n".join(shared.commands))

    def show_folder(self, path: Path) -> None:
        """Show an exported Hugging Face folder."""
        self._show_folder_of(path)
        self.title.setText(str(path))
        self.cost.setText("The weights, the tokenizer and a model card (README.md) are in it.")
        self._set("", "")

    def show_onnx(self, shared: OnnxShared) -> None:
        """Show an exported ONNX file, with its largest difference from the model."""
        self._show_folder_of(shared.path)
        self.title.setText(f"{shared.path} ({format_size(shared.n_bytes)})")
        self.cost.setText(
            f"onnxruntime computes the same from it: its numbers, of up to {shared.largest:.3g}, differ by at most "
            f"{shared.difference:.2g}."
        )
        self._set(f"It takes {', '.join(shared.inputs)} (texts × tokens), and returns {shared.output}.", "")

    def show_adapter(self, path: Path, base: str) -> None:
        """Show an exported LoRA adapter, a llama.cpp file or a PEFT folder. base: the name of its base model, or ""."""
        self._show_folder_of(path)
        self.title.setText(f"{path} ({format_size(_n_bytes(path))})")
        of = f"“{base}”" if base else "the model that it was trained on"
        if path.is_file():
            self.cost.setText(f"It goes with the GGUF file of {of}.")
            self._set("", f'llama-cli -m MODEL.gguf --lora "{path}"')
        else:
            self.cost.setText(f"It goes with the Hugging Face folder of {of}.")
            self._set("", f'PeftModel.from_pretrained(model, "{path}")')

    def show_page(self, address: str, *, public: bool) -> None:
        """Show a model that was uploaded to the hub. address: its page."""
        self._place = QUrl(address)
        self.open.setText("Open the page")
        self.title.setText(address)
        seen = "Everybody may see it." if public else "It is private: only you, or its organisation, may see it."
        self.cost.setText(f"The weights, the tokenizer and a model card are there. {seen}")
        self._set("", "")

    def _show_folder_of(self, path: Path) -> None:
        self._place = QUrl.fromLocalFile(str(path.parent))
        self.open.setText("Show in folder")

    def _set(self, notes: str, commands: str) -> None:
        show_words(self.notes, notes)
        self.commands.setText(commands)
        show_only({self._box: commands, self.cost: self.cost.text(), self: True})

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.commands.text())
        self._mark(self.copy)

    def _mark(self, pressed: QPushButton) -> None:
        """Replace the icon of a button by a check mark for a moment."""
        self._theme.set_icon(pressed, "check", "accent")
        QTimer.singleShot(_COPIED_MS, pressed, lambda: self._theme.set_icon(pressed, "copy"))

    def _on_open(self) -> None:
        QDesktopServices.openUrl(self._place)


def _n_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def _cost_words(shared: GgufShared) -> str:
    if shared.perplexity is None:
        return ""
    before, after = shared.perplexity
    words = f"{before:.4g} before, {after:.4g} in the file ({format_signed(100 * (after / before - 1), 2)} %)"
    if f"{before:.4g}" == f"{after:.4g}":
        words = f"{after:.4g}, as before"
    return f"Perplexity, read back from the file: {words}, on {shared.n_predicted:,} tokens of {shared.text}."
