"""`terrarium export`: write a model, or a run's curves or settings, in a format that other programs read."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, add_common, find_model, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size
from terrarium.models.settings.gguf_formats import GGUF_FORMATS, USUAL_FORMAT

if TYPE_CHECKING:
    from collections.abc import Generator

    from terrarium.models.events import Event

FORMATS = ("hf", "gguf", "onnx", "peft", "gguf-adapter", "tensorboard", "toml")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "export", help="export a model for other programs", description=__doc__
    )
    parser.add_argument("model", metavar="MODEL", help="a path, or a run's id or name")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="hf",
        help="hf: a folder for transformers, with LoRA merged; gguf: a file for llama.cpp, Ollama and LM Studio, "
        "named DIR, with a Modelfile beside it; onnx: a file for onnxruntime, named DIR, of an encoder, or of a "
        "decoder without cache, compared with the model when it is written (needs pip install 'llm-terrarium[onnx]'); "
        "peft: a run's LoRA adapter alone, as a folder for PEFT; gguf-adapter: the same as a file for llama.cpp; "
        "tensorboard: a run's curves as event files, in a subfolder of DIR; "
        "toml: a run's settings for `terrarium train`, in the file DIR",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder (gguf, gguf-adapter, onnx, toml: the file) to write"
    )
    target.add_argument(
        "--push",
        metavar="NAME",
        help="hf: upload the folder to the Hugging Face hub instead, as the new model NAME or OWNER/NAME, private; the "
        "token is HF_TOKEN, or asked for once and kept in the system keyring (to see what would be uploaded: --out)",
    )
    parser.add_argument("--public", action="store_true", help="--push: everybody may see the model")
    parser.add_argument(
        "--quantisation",
        choices=GGUF_FORMATS,
        help="gguf: what matrices are stored as; the file is read back to measure what that costs "
        f"(default: {USUAL_FORMAT})",
    )
    parser.add_argument("--licence", default="", metavar="ID", help="gguf, hf, onnx: the model's licence, such as mit")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Export, and print the path or the address."""
    if args.push is not None and args.format != "hf":
        raise UsageError(f"--push uploads a Hugging Face folder, not {args.format}: use --format hf.")
    if args.public and args.push is None:
        raise UsageError("--public goes with --push NAME.")
    if args.quantisation is not None and args.format != "gguf":
        raise UsageError(f"--quantisation is for --format gguf, not {args.format}: omit it.")
    if args.licence and args.format not in ("gguf", "hf", "onnx"):
        raise UsageError(f"--licence is for the formats gguf, hf and onnx, not {args.format}: omit it.")
    if args.push is not None:
        return _push(args)
    if args.format == "gguf":
        return _share_gguf(args)
    if args.format == "onnx":
        return _share_onnx(args)
    if args.format in ("hf", "peft", "gguf-adapter"):
        with ProgressLine(as_json=args.json) as line:
            out = drive(_export(args), line)
    else:
        out = _export_run(args)
    if args.json:
        print_json({"out": str(out), "format": args.format})
    else:
        print(out)
    return 0


def _share_gguf(args: argparse.Namespace) -> int:
    """Write a GGUF file; print its path, what the format costs, and Ollama's commands."""
    from terrarium.models.interop.publish.share import share_gguf

    with ProgressLine(as_json=args.json) as line:
        sharing = share_gguf(
            find_model(args.model),
            _out(args),
            Library(),
            quantisation=args.quantisation or USUAL_FORMAT,
            licence=args.licence,
        )
        shared = drive(sharing, line)
    if args.json:
        before, after = shared.perplexity or (None, None)
        print_json(
            {
                "out": str(shared.path),
                "format": args.format,
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


def _share_onnx(args: argparse.Namespace) -> int:
    """Write an ONNX file; print its path, its inputs and output, and its largest difference from the model."""
    from terrarium.models.interop.publish.onnx_export import share_onnx

    with ProgressLine(as_json=args.json) as line:
        shared = drive(share_onnx(find_model(args.model), _out(args), licence=args.licence), line)
    if args.json:
        print_json(
            {
                "out": str(shared.path),
                "format": args.format,
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


def _push(args: argparse.Namespace) -> int:
    """Upload a Hugging Face folder; print the address of its page."""
    from terrarium.models.interop.publish.hub_token import find_token
    from terrarium.models.interop.publish.upload import check_hub_name, hub_endpoint, push_hf

    source, name = find_model(args.model), check_hub_name(args.push)
    licence = args.licence or _ask("Licence, such as mit or cc-by-4.0 (empty: none is named): ", secret=False)
    found = find_token(hub_endpoint())
    token = found or _ask("Hugging Face token with write access: ", secret=True)
    with ProgressLine(as_json=args.json) as line:
        address = drive(push_hf(source, name, token, licence=licence, public=args.public, keep=not found), line)
    if args.json:
        print_json({"address": address, "format": args.format, "public": args.public})
    else:
        print(f"{address} ({'public' if args.public else 'private'})")
    return 0


def _ask(question: str, *, secret: bool) -> str:
    """Ask the user at the terminal; "" without a terminal."""
    if not sys.stdin.isatty():
        return ""
    if secret:
        return getpass.getpass(question).strip()
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _export_run(args: argparse.Namespace) -> Path:
    from terrarium.models.runs.run_folder import RunFolder

    run = RunFolder.open(Library().find_run(args.model))
    out = _out(args)
    if args.format == "toml":
        from terrarium.models.settings.spec_file import write_spec

        if out.is_file():
            raise ValueError(f"{out} exists already: delete it, or choose another name.")
        write_spec(out, run.spec)
        return out
    from terrarium.models.runs.tensorboard import write_tensorboard

    return write_tensorboard(run, out)


def _export(args: argparse.Namespace) -> Generator[Event, None, Path]:
    from terrarium.models.interop.publish.share import share_hf
    from terrarium.models.runs.run_folder import RunFolder

    if args.format == "peft":
        from terrarium.models.interop.adapters.peft import export_peft

        return (yield from export_peft(RunFolder.open(Library().find_run(args.model)), _out(args)))
    if args.format == "gguf-adapter":
        from terrarium.models.interop.adapters.gguf import export_gguf_adapter

        return (yield from export_gguf_adapter(RunFolder.open(Library().find_run(args.model)), _out(args)))
    return (yield from share_hf(find_model(args.model), _out(args), licence=args.licence))


def _out(args: argparse.Namespace) -> Path:
    out: Path = args.out.expanduser().absolute()
    return out
