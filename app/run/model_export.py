"""Exports the model of a run for other programs, in the background."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, SignalInstance, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event
from terrarium.models.interop.graphs.graphs import NoGraphError
from terrarium.models.library.library import Library

if TYPE_CHECKING:
    from terrarium.models.interop.publish.onnx_export import OnnxShared
    from terrarium.models.interop.publish.share import GgufShared


class ModelExport(QObject):
    """Exports one model at a time; finds beforehand the sizes of its GGUF files and a token for the hub.

    Signals:
        changed(): `busy` has changed.
        sizes_found(sizes): the size of the GGUF file in bytes, by format, without formats that do not fit the model.
        sizes_refused(sentence, details): the model cannot be a GGUF file; why, in a sentence and for experts (or "").
        events_received(events): Phase, Progress (bytes) and Notice.
        token_looked_up(is_known, has_keyring): whether a token for the hub was found, and whether there is a keyring
            that would save another.
        gguf_written(shared), onnx_written(shared), folder_written(path), adapter_written(path), uploaded(address): the
            export has succeeded.
        failed(sentence): the export or upload has failed.
    """

    changed = Signal()
    sizes_found = Signal(object)
    sizes_refused = Signal(str, str)
    events_received = Signal(object)
    gguf_written = Signal(object)
    folder_written = Signal(object)
    uploaded = Signal(str)
    onnx_written = Signal(object)
    adapter_written = Signal(object)
    token_looked_up = Signal(bool, bool)
    failed = Signal(str)

    def __init__(self, library: Library, parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._written = self.gguf_written
        self._sizes, self._token, self._task = LatestTask(self), LatestTask(self), LatestTask(self)
        self._token.done.connect(self._on_token)
        self._sizes.done.connect(self._on_sizes)
        self._sizes.failed.connect(self._on_refused)
        self._task.busy_changed.connect(self.changed)
        self._task.events_received.connect(self.events_received)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether an export is running."""
        return self._task.busy

    def look_up(self, source: Path) -> None:
        """Find the sizes of the GGUF files of the model in `source`, a run's folder."""

        def work() -> dict[str, int] | NoGraphError:
            from terrarium.models.interop.publish.share import gguf_sizes

            try:
                return gguf_sizes(source)
            except NoGraphError as refusal:
                return refusal

        self._sizes.ask(work)

    def write_gguf(self, source: Path, out: Path, quantisation: str, licence: str) -> None:
        """Write a GGUF file, and measure its perplexity against that of the model."""

        def work() -> Generator[Event, None, GgufShared]:
            from terrarium.models.interop.publish.share import share_gguf

            return (yield from share_gguf(source, out, self._library, quantisation=quantisation, licence=licence))

        self._drive(work, self.gguf_written)

    def write_folder(self, source: Path, out: Path, licence: str) -> None:
        """Write a Hugging Face folder."""

        def work() -> Generator[Event, None, Path]:
            from terrarium.models.interop.publish.share import share_hf

            return (yield from share_hf(source, out, licence=licence))

        self._drive(work, self.folder_written)

    def write_onnx(self, source: Path, out: Path, licence: str) -> None:
        """Write an ONNX file, and compare its outputs with the model's."""

        def work() -> Generator[Event, None, OnnxShared]:
            from terrarium.models.interop.publish.onnx_export import share_onnx

            return (yield from share_onnx(source, out, licence=licence))

        self._drive(work, self.onnx_written)

    def write_adapter(self, source: Path, out: Path, *, as_gguf: bool) -> None:
        """Write only the LoRA adapter of a run, as a GGUF file for llama.cpp or as a folder for PEFT."""

        def work() -> Generator[Event, None, Path]:
            from terrarium.models.interop.adapters.gguf import export_gguf_adapter
            from terrarium.models.interop.adapters.peft import export_peft
            from terrarium.models.runs.run_folder import RunFolder

            write = export_gguf_adapter if as_gguf else export_peft
            return (yield from write(RunFolder.open(source), out))

        self._drive(work, self.adapter_written)

    def look_up_token(self) -> None:
        """Look for a token for the hub, in the background: a keyring may ask the user to unlock it."""

        def work() -> tuple[bool, bool]:
            from terrarium.models.interop.publish.hub_token import find_token, has_keyring
            from terrarium.models.interop.publish.upload import hub_endpoint

            return bool(find_token(hub_endpoint())), has_keyring()

        self._token.ask(work)

    def upload(self, source: Path, name: str, token: str, licence: str, *, public: bool) -> None:
        """Upload the model to the hub as `name`, in the format of a Hugging Face folder.

        token: a pasted token, which is saved in the keyring if there is one; "" to use the one that was found.
        """

        def work() -> Generator[Event, None, str]:
            from terrarium.models.interop.publish.hub_token import find_token
            from terrarium.models.interop.publish.upload import hub_endpoint, push_hf

            found = token or find_token(hub_endpoint())
            return (yield from push_hf(source, name, found, licence=licence, public=public, keep=bool(token)))

        self._drive(work, self.uploaded)

    def _drive(self, work: Callable[[], Generator[Event, None, Any]], written: SignalInstance) -> None:
        """Run an export in the background; `written` is emitted with its result."""
        self._written = written
        self._task.drive(work)

    def cancel(self) -> None:
        """Cancel all work; incomplete files are deleted in the background."""
        self._sizes.cancel()
        self._token.cancel()
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """Cancel all work, and wait until incomplete files are deleted."""
        self.cancel()
        self._task.wait()

    @Slot(object)
    def _on_token(self, found: tuple[bool, bool]) -> None:
        self.token_looked_up.emit(*found)

    @Slot(object)
    def _on_sizes(self, found: dict[str, int] | NoGraphError) -> None:
        if isinstance(found, NoGraphError):
            self.sizes_refused.emit(found.plain, found.details)
        else:
            self.sizes_found.emit(found)

    @Slot(object)
    def _on_refused(self, failure: Failure) -> None:
        self.sizes_refused.emit(failure.sentence, "")

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.failed.emit(failure.sentence)

    @Slot(object)
    def _on_done(self, result: object) -> None:
        self._written.emit(result)
