"""A dialog that exports the model or adapter of a run for other programs, as a file, folder or model on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QRadioButton,
    QWidget,
)

from terrarium.app.kit.basics import button, group, label, plain_tip, row, set_enabled, show_only
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import ask_save_path, safe_file_name
from terrarium.app.kit.help_mark import set_term
from terrarium.app.kit.inputs import caption, grid, line_edit, named, progress_bar, show_progress
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run.export_outcome import ExportOutcome
from terrarium.app.run.hub_target import HubTarget
from terrarium.app.run.model_export import ModelExport
from terrarium.app.session.session import Session
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.weight_kinds import GGUF_FORMATS, USUAL_GGUF_FORMAT
from terrarium.models.interop.graphs.graphs import portable
from terrarium.models.interop.publish.onnx_fit import onnx_misfit, onnx_packages_missing
from terrarium.models.library.library import RunInfo
from terrarium.models.number_words import format_size
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:
    from terrarium.models.interop.publish.onnx_export import OnnxShared
    from terrarium.models.interop.publish.share import GgufShared

_TOO_NARROW = "This format stores 32 weights of a row together, and no matrix of this model has rows that fit."
_KINDS = {
    "gguf": "GGUF",
    "hf": "Hugging Face folder",
    "hub": "Hugging Face hub",
    "onnx": "ONNX",
    "adapter": "LoRA adapter",
}


class ExportDialog(Dialog):
    """Asks for a format, a destination and a licence, exports in the background, and shows the result.

    Args:
        config: the design of the run.

    Signals:
        same_asked(design): set up a run like this one with `design`, a ModelConfig that can be exported as GGUF.
    """

    same_asked = Signal(object)

    def __init__(
        self, session: Session, theme: ThemeProvider, run: RunInfo, config: ModelConfig, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        set_term(self, "Safetensors")
        self._session, self._theme, self._run = session, theme, run
        self.setWindowTitle(f"Export {run.name}")
        self.setMinimumWidth(640)
        self.export = ModelExport(session.library, self)
        session.closing.connect(self.export.close)
        has_adapter = run.spec is not None and run.spec.tune is not None and run.spec.tune.mode == "lora"
        self.kind = Segments("Format", _KINDS if has_adapter else {k: v for k, v in _KINDS.items() if k != "adapter"})
        self.about = label("", "muted", wrap=True)
        self.formats = _Formats()
        self.refusal = label("", "warning", wrap=True)
        self._gguf_refusal = ("", "")  # (sentence, details)
        is_from_scratch = run.spec is not None and run.spec.tune is None and run.spec.align is None
        self._portable = portable(config) if is_from_scratch else None
        self.same = button(
            "Grow one for Ollama, LM Studio…",
            theme,
            self._on_same,
            icon="copy",
            tip="A new run with a design that llama.cpp computes, and otherwise the data and settings of this one",
        )
        self._about = {
            "gguf": "One file, which Ollama, LM Studio and llama.cpp run.",
            "hf": about_folder(config),
            "hub": about_folder(config),
            "onnx": _about_onnx(config),
            "adapter": "Only what fine-tuning has added. To use it, one also needs the model it was trained on.",
        }
        self._onnx_refusal = onnx_misfit(config) or onnx_packages_missing()
        self.adapter_as = Segments("Adapter", {"peft": "Folder for PEFT", "gguf": "GGUF file for llama.cpp"})
        self.place = line_edit("Where to write")
        self.licence = line_edit(
            "Licence",
            "What others may use the model under; written into the file, or on the model card",
            "for example mit, apache-2.0 or cc-by-4.0; empty: none is named",
        )
        self.choose = button("Choose…", theme, self._on_choose, icon="folder-open", tip="Choose where to write")
        self.hub = HubTarget(safe_file_name(run.name))
        self.phase = label("", "caption")
        self.bar = progress_bar("Progress of the export")
        self.problem = label("", "error", wrap=True)
        self.outcome = ExportOutcome(theme)
        self.start = button("Export", theme, self._on_start, icon="export", role="primary", tip="Export it there")
        self.start.setDefault(True)
        self.cancel = button("Close", theme, self.reject)
        self._build()
        self.kind.changed.connect(self._on_kind)
        self.adapter_as.changed.connect(self._on_kind)
        self.place.textChanged.connect(self._check)
        self.hub.changed.connect(self._check)
        self.export.changed.connect(self._check)
        self.export.sizes_found.connect(self._on_sizes)
        self.export.sizes_refused.connect(self._on_refused)
        self.export.events_received.connect(self._on_events)
        self.export.gguf_written.connect(self._on_gguf)
        self.export.folder_written.connect(self._on_folder)
        self.export.uploaded.connect(self._on_uploaded)
        self.export.onnx_written.connect(self._on_onnx)
        self.export.adapter_written.connect(self._on_adapter)
        self.export.token_looked_up.connect(self.hub.set_known)
        self.export.failed.connect(self._on_failed)
        self._refit = RelayoutOnResize(self, self._grow)
        self._on_kind()
        self.export.look_up(run.folder)

    def _build(self) -> None:
        self._where = group(caption("Write to", self.place), row(self.place, self.choose), spacing=SPACE // 2)
        self._under = group(caption("Licence", self.licence), self.licence, spacing=SPACE // 2)
        self.lay_out(
            row(self.kind, None),
            self.about,
            self.formats,
            row(self.adapter_as, None),
            self.refusal,
            row(self.same, None),
            self._where,
            self.hub,
            self._under,
            self.phase,
            self.bar,
            self.problem,
            self.outcome,
            None,
            row(None, self.cancel, self.start),
            spacing=2 * SPACE,
        )

    @property
    def quantisation(self) -> str:
        """The chosen quantisation format of a GGUF file."""
        return self.formats.value

    def _grow(self) -> None:
        """Increase the height of the window if its contents need more."""
        layout = self.layout()
        assert layout is not None
        needed = max(layout.totalHeightForWidth(self.width()), layout.totalMinimumSize().height())
        if needed > self.height():
            self.resize(self.width(), needed)

    @property
    def _ending(self) -> str:
        """The suffix of the exported file, without a dot; "" for a folder or the hub."""
        if self.kind.value == "adapter":
            return "gguf" if self.adapter_as.value == "gguf" else ""
        return self.kind.value if self.kind.value in ("gguf", "onnx") else ""

    @property
    def _refusal(self) -> tuple[str, str]:
        """Why the chosen format does not support this model, as a sentence and in detail; both "" if it does."""
        if self.kind.value == "onnx":
            return self._onnx_refusal, ""
        return self._gguf_refusal if self._ending == "gguf" else ("", "")

    # -- Options --------------------------------------------------------------------------------------------

    @Slot()
    def _on_kind(self) -> None:
        name = safe_file_name(self._run.name) + ("-adapter" if self.kind.value == "adapter" else "")
        folder = Path(self.place.text().strip() or Path.home() / name).parent
        self.place.setText(str(folder / (f"{name}.{self._ending}" if self._ending else name)))
        self.problem.clear()
        self.outcome.hide()
        if self.kind.value == "hub":
            self.export.look_up_token()
        self._check()

    @Slot(object)
    def _on_sizes(self, sizes: dict[str, int]) -> None:
        self.formats.set_sizes(sizes)
        self._check()

    @Slot(str, str)
    def _on_refused(self, sentence: str, details: str) -> None:
        self._gguf_refusal = sentence, details
        self._check()

    @Slot()
    def _on_same(self) -> None:
        self.close()
        self.same_asked.emit(self._portable)

    @Slot()
    def _on_choose(self) -> None:
        if self._ending:
            name = Path(self.place.text()).stem
            path = ask_save_path(self, "Write the file", name, self._ending, f"Models (*.{self._ending})")
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Choose the folder to put the model's folder in")
            path = Path(chosen) / Path(self.place.text()).name if chosen else None
        if path is not None:
            self.place.setText(str(path))

    @Slot()
    def _check(self) -> None:
        """Show the options of the chosen format, and enable the available controls."""
        busy, (refusal, details) = self.export.busy, self._refusal
        is_gguf, is_hub, is_adapter = (self.kind.value == kind for kind in ("gguf", "hub", "adapter"))
        self.about.setText(self._about[self.kind.value])
        self.formats.setVisible(is_gguf and not refusal)
        self.refusal.setText(refusal)
        self.refusal.setToolTip(plain_tip(details))
        show_only(
            {
                self.refusal: refusal,
                self.same: is_gguf and bool(refusal and self._portable),
                self.adapter_as: is_adapter,
                self._where: not is_hub and not refusal,
                self._under: not is_adapter and not refusal,
                self.hub: is_hub,
            }
        )
        missing = self.hub.missing if is_hub else refusal
        if not is_hub and not refusal and not self.place.text().strip():
            missing = "Choose where to write."
        self.start.setText("Upload" if is_hub else "Export")
        tip = "Upload it to the hub" if is_hub else "Export it there"
        set_enabled(self.start, "It is being exported." if busy else missing, tip)
        for widget in (
            self.kind, self.formats, self.adapter_as, self.place, self.choose, self.hub, self.licence,
        ):  # fmt: skip
            set_enabled(widget, "It is being exported." if busy else "")
        self.cancel.setText("Cancel" if busy else "Close")
        show_only({self.phase: busy, self.bar: busy, self.problem: self.problem.text()})

    # -- Writing --------------------------------------------------------------------------------------------

    @Slot()
    def _on_start(self) -> None:
        self.problem.clear()
        self.outcome.hide()
        self.phase.setText("Reading the model")
        show_progress(self.bar, 0, 1)
        out, licence = Path(self.place.text().strip()).expanduser(), self.licence.text().strip()
        if self.kind.value == "gguf":
            self.export.write_gguf(self._run.folder, out, self.quantisation, licence)
        elif self.kind.value == "hub":
            hub = self.hub
            self.export.upload(self._run.folder, hub.repository, hub.token, licence, public=hub.is_public)
        elif self.kind.value == "onnx":
            self.export.write_onnx(self._run.folder, out, licence)
        elif self.kind.value == "adapter":
            self.export.write_adapter(self._run.folder, out, as_gguf=self.adapter_as.value == "gguf")
        else:
            self.export.write_folder(self._run.folder, out, licence)
        self._check()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.phase.setText(event.name)
                show_progress(self.bar, 0, 1)
            elif isinstance(event, Progress) and event.total:
                show_progress(self.bar, event.done, event.total)

    @Slot(object)
    def _on_gguf(self, shared: GgufShared) -> None:
        self.outcome.show_gguf(shared)

    @Slot(object)
    def _on_folder(self, path: Path) -> None:
        self.outcome.show_folder(path)

    @Slot(object)
    def _on_onnx(self, shared: OnnxShared) -> None:
        self.outcome.show_onnx(shared)

    @Slot(object)
    def _on_adapter(self, path: Path) -> None:
        base = None if self._run.parent is None else self._session.runs.look_up(self._run.parent[0])
        self.outcome.show_adapter(path, "" if base is None else base.name)

    @Slot(str)
    def _on_uploaded(self, address: str) -> None:
        self.outcome.show_page(address, public=self.hub.is_public)
        self.hub.clear_token()
        self.export.look_up_token()

    @Slot(str)
    def _on_failed(self, sentence: str) -> None:
        self.problem.setText(sentence)
        if self.kind.value == "hub":
            self.export.look_up_token()  # a rejected token has been deleted
        self._check()

    def reject(self) -> None:
        """Cancel a running export; if there is none, close the dialog."""
        if self.export.busy:
            self.export.cancel()
            self._check()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.export.cancel()
        super().closeEvent(event)


def about_folder(config: ModelConfig) -> str:
    """Describe which programs load the Hugging Face folder of a design."""
    from terrarium.models.interop.families import family_for_export
    from terrarium.models.interop.terrarium import CODE

    about = family_for_export(config).write_config(config)
    if "auto_map" in about:
        return (
            f"Hugging Face's transformers does not know this design, so the folder contains its code ({CODE}): load it "
            "with trust_remote_code=True. A model card says how the model was made."
        )
    return f"For {about['architectures'][0]} of transformers. A model card says how the model was made."


def _about_onnx(config: ModelConfig) -> str:
    """Describe which programs run the ONNX file of a design."""
    about = "One file for onnxruntime, also in a browser or on a phone; compared with the model when it is written."
    if config.topology == "decoder-only":
        about += " It has no cache, so it reads the whole text again for each token."
    return about


class _Formats(QWidget):
    """Radio buttons for the quantisation formats of a GGUF file, with their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        self._sizes = {name: label("…", "mono-small") for name in GGUF_FORMATS}
        lines = list[tuple[QWidget, ...]]()
        for i, (name, words) in enumerate(GGUF_FORMATS.items()):
            choice = named(QRadioButton(name), f"{name}: {words}")
            choice.setChecked(name == USUAL_GGUF_FORMAT)
            self._group.addButton(choice, i)
            self._sizes[name].setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            lines.append((choice, self._sizes[name], label(words, "muted")))
        self.setLayout(grid(*lines, grows=2))

    @property
    def value(self) -> str:
        """The chosen format."""
        chosen = self._group.checkedButton()
        assert chosen is not None
        return chosen.text()

    def size_of(self, name: str) -> str:
        """Return the displayed size of a format."""
        return self._sizes[name].text()

    def set_sizes(self, sizes: dict[str, int]) -> None:
        """Show the size of each format, and disable formats without one."""
        for choice in self._group.buttons():
            name = choice.text()
            set_enabled(choice, "" if name in sizes else _TOO_NARROW)
            self._sizes[name].setText(format_size(sizes[name]) if name in sizes else "rows too narrow")
            if name not in sizes and choice.isChecked():
                self._group.buttons()[list(GGUF_FORMATS).index("F16")].setChecked(True)
