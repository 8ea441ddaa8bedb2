"""`terrarium export`: write a model, or a run's curves or settings, in a format that other programs read."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from terrarium.app.commands.common import UsageError, find_model, model_argument
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.inference.weight_kinds import GGUF_FORMATS, USUAL_GGUF_FORMAT
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size

if TYPE_CHECKING:
    from collections.abc import Generator

    from terrarium.models.events import Event

FORMATS = ("hf", "gguf", "onnx", "peft", "gguf-adapter", "tensorboard", "toml")


class Export(Command, description=__doc__):
    """Export a model for other programs."""

    model: str = model_argument()
    format: str = option(
        "hf: a folder for transformers, with LoRA merged; gguf: a file for llama.cpp, Ollama and LM Studio, "
        "named DIR, with a Modelfile beside it; onnx: a file for onnxruntime, named DIR, of an encoder, or of a "
        "decoder without cache, compared with the model when it is written (needs pip install 'llm-terrarium[onnx]'); "
        "peft: a run's LoRA adapter alone, as a folder for PEFT; gguf-adapter: the same as a file for llama.cpp; "
        "tensorboard: a run's curves as event files, in a subfolder of DIR; "
        "toml: a run's settings for `terrarium train`, in the file DIR",
        default="hf",
        choices=FORMATS,
    )
    out: Path | None = option(
        "the folder (gguf, gguf-adapter, onnx, toml: the file) to write", metavar="DIR", one_of="target", required=True
    )
    push: str | None = option(
        "hf: upload the folder to the Hugging Face hub instead, as the new model NAME or OWNER/NAME, private; the "
        "token is HF_TOKEN, or asked for once and kept in the system keyring (to see what would be uploaded: --out)",
        metavar="NAME",
        one_of="target",
    )
    public: bool = option("--push: everybody may see the model")
    quantisation: str | None = option(
        "gguf: what matrices are stored as; the file is read back to measure what that costs "
        f"(default: {USUAL_GGUF_FORMAT})",
        choices=GGUF_FORMATS,
    )
    licence: str = option("gguf, hf, onnx: the model's licence, such as mit", default="", metavar="ID")

    def run(self) -> int:
        """Export, and print the path or the address."""
        if self.push is not None and self.format != "hf":
            raise UsageError(f"--push uploads a Hugging Face folder, not {self.format}: use --format hf.")
        if self.public and self.push is None:
            raise UsageError("--public goes with --push NAME.")
        if self.quantisation is not None and self.format != "gguf":
            raise UsageError(f"--quantisation is for --format gguf, not {self.format}: omit it.")
        if self.licence and self.format not in ("gguf", "hf", "onnx"):
            raise UsageError(f"--licence is for the formats gguf, hf and onnx, not {self.format}: omit it.")
        if self.push is not None:
            return self._push(self.push)
        if self.format == "gguf":
            return self._share_gguf()
        if self.format == "onnx":
            return self._share_onnx()
        if self.format in ("hf", "peft", "gguf-adapter"):
            with ProgressLine(as_json=self.as_json) as line:
                out = drive(self._export(), line)
        else:
            out = self._export_run()
        self.show({"out": str(out), "format": self.format}, out)
        return 0

    def _share_gguf(self) -> int:
        """Write a GGUF file; print its path, what the format costs, and Ollama's commands."""
        from terrarium.models.interop.publish.share import share_gguf

        with ProgressLine(as_json=self.as_json) as line:
            sharing = share_gguf(
                find_model(self.model),
                self._out(),
                Library(),
                quantisation=self.quantisation or USUAL_GGUF_FORMAT,
                licence=self.licence,
            )
            shared = drive(sharing, line)
        if self.as_json:
            before, after = shared.perplexity or (None, None)
            print_json(
                {
                    "out": str(shared.path),
                    "format": self.format,
                    "bytes": shared.n_bytes,
                    "modelfile": str(shared.modelfile) if shared.modelfile is not None else None,
                    "perplexity_before": before,
                    "perplexity_after": after,
                    "text": shared.text,
                }
            )
            return 0
        print(shared.path)
        print(f"{format_size(shared.n_bytes)} as {shared.quantisation}")
        if shared.perplexity is not None:
            before, after = shared.perplexity
            print(f"perplexity {before:.4g} before, {after:.4g} after ({shared.n_predicted:,} tokens of {shared.text})")
        for command in shared.commands:
            print(command)
        return 0

    def _share_onnx(self) -> int:
        """Write an ONNX file; print its path, its inputs and output, and its largest difference from the model."""
        from terrarium.models.interop.publish.onnx_export import share_onnx

        with ProgressLine(as_json=self.as_json) as line:
            shared = drive(share_onnx(find_model(self.model), self._out(), licence=self.licence), line)
        if self.as_json:
            print_json(
                {
                    "out": str(shared.path),
                    "format": self.format,
                    "bytes": shared.n_bytes,
                    "inputs": shared.inputs,
                    "output": shared.output,
                    "difference": shared.difference,
                    "largest": shared.largest,
                }
            )
            return 0
        print(shared.path)
        print(f"{format_size(shared.n_bytes)}: {', '.join(shared.inputs)} (texts × tokens) → {shared.output}")
        print(
            f"onnxruntime computes the same, with a difference of at most {shared.difference:.2g} in numbers of up to "
            f"{shared.largest:.3g}"
        )
        return 0

    def _push(self, wanted: str) -> int:
        """Upload a Hugging Face folder; print the address of its page."""
        from terrarium.models.interop.publish.hub_token import find_token
        from terrarium.models.interop.publish.upload import check_hub_name, hub_endpoint, push_hf

        source, name = find_model(self.model), check_hub_name(wanted)
        licence = self.licence or _ask("Licence, such as mit or cc-by-4.0 (empty: none is named): ", secret=False)
        found = find_token(hub_endpoint())
        token = found or _ask("Hugging Face token with write access: ", secret=True)
        with ProgressLine(as_json=self.as_json) as line:
            address = drive(push_hf(source, name, token, licence=licence, public=self.public, keep=not found), line)
        self.show(
            {"address": address, "format": self.format, "public": self.public},
            f"{address} ({'public' if self.public else 'private'})",
        )
        return 0

    def _export_run(self) -> Path:
        from terrarium.models.runs.run_folder import RunFolder

        run = RunFolder.open(Library().find_run(self.model))
        out = self._out()
        if self.format == "toml":
            from terrarium.models.settings.spec_file import write_spec

            if out.is_file():
                raise ValueError(f"{out} exists already: delete it, or choose another name.")
            write_spec(out, run.spec)
            return out
        from terrarium.models.runs.tensorboard import write_tensorboard

        return write_tensorboard(run, out)

    def _export(self) -> Generator[Event, None, Path]:
        from terrarium.models.interop.publish.share import share_hf
        from terrarium.models.runs.run_folder import RunFolder

        if self.format == "peft":
            from terrarium.models.interop.adapters.peft import export_peft

            return (yield from export_peft(RunFolder.open(Library().find_run(self.model)), self._out()))
        if self.format == "gguf-adapter":
            from terrarium.models.interop.adapters.gguf import export_gguf_adapter

            return (yield from export_gguf_adapter(RunFolder.open(Library().find_run(self.model)), self._out()))
        return (yield from share_hf(find_model(self.model), self._out(), licence=self.licence))

    def _out(self) -> Path:
        assert self.out is not None
        return self.out.expanduser().absolute()


def _ask(question: str, *, secret: bool) -> str:
    """Ask the user at the terminal; "" without a terminal."""
    if not sys.stdin.isatty():
        return ""
    if secret:
        return getpass.getpass(question).strip()
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
