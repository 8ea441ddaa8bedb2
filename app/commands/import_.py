"""`terrarium import`: import a model from a Hugging Face folder or .gguf file, or a LoRA adapter, as a run."""

from __future__ import annotations

from pathlib import Path

from terrarium.app.commands.common import UsageError, refuse_run_file
from terrarium.app.commands.options import Command, argument, option
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library


class Import(Command, description=__doc__):
    """Import a Hugging Face folder, .gguf file or LoRA adapter as a run."""

    source: Path = argument(
        "SRC", "a Hugging Face folder, a .gguf file, or an adapter: PEFT's folder, or llama.cpp's .gguf file"
    )
    base: str | None = option(
        "of an adapter: the model that it belongs to, a path or a run's id or name", metavar="MODEL", complete="model"
    )
    out: Path | None = option("the run's folder (default: a new one in the library)", metavar="DIR")
    name: str | None = option("the run's name (default: the source's name)")

    def run(self) -> None:
        """Import, and print the path of the run."""
        from terrarium.models.interop.adapters.gguf import import_gguf_adapter, is_gguf_adapter
        from terrarium.models.interop.adapters.peft import import_peft, is_peft
        from terrarium.models.interop.importing import import_model

        source, library = self.source.expanduser(), Library()
        refuse_run_file(source)
        out = self.out.expanduser() if self.out is not None else None
        is_adapter = is_peft(source) or is_gguf_adapter(source)
        if is_adapter and self.base is None:
            raise UsageError(f"{source} is an adapter: name the model that it belongs to with --base.")
        if self.base is not None and not is_adapter:
            raise UsageError(f"{source} is not an adapter, so omit --base.")
        with ProgressLine(as_json=self.as_json) as line:
            if self.base is not None:
                read = import_peft if is_peft(source) else import_gguf_adapter
                folder = drive(read(source, self.base, library, out, self.name), line)
            else:
                folder = drive(import_model(source, library, out, self.name), line)
        self.show({"run": str(folder.folder), "id": folder.id, "config": folder.spec.model.to_dict()}, folder.folder)
