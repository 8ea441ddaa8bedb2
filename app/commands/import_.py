"""`terrarium import`: import a model from a Hugging Face folder or .gguf file, or a LoRA adapter, as a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, add_common, print_json, refuse_run_file
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "import", help="import a Hugging Face folder, .gguf file or LoRA adapter as a run", description=__doc__
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help="a Hugging Face folder, a .gguf file, or an adapter: PEFT's folder, or llama.cpp's .gguf file",
    )
    parser.add_argument(
        "--base", metavar="MODEL", help="of an adapter: the model that it belongs to, a path or a run's id or name"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: a new one in the library)")
    parser.add_argument("--name", help="the run's name (default: the source's name)")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Import, and print the path of the run."""
    from terrarium.models.interop.adapters.gguf import import_gguf_adapter, is_gguf_adapter
    from terrarium.models.interop.adapters.peft import import_peft, is_peft
    from terrarium.models.interop.importing import import_model

    source, library = args.source.expanduser(), Library()
    refuse_run_file(source)
    out = args.out.expanduser() if args.out is not None else None
    is_adapter = is_peft(source) or is_gguf_adapter(source)
    if is_adapter and args.base is None:
        raise UsageError(f"{source} is an adapter: name the model that it belongs to with --base.")
    if args.base is not None and not is_adapter:
        raise UsageError(f"{source} is not an adapter, so omit --base.")
    with ProgressLine(as_json=args.json) as line:
        if args.base is not None:
            read = import_peft if is_peft(source) else import_gguf_adapter
            folder = drive(read(source, args.base, library, out, args.name), line)
        else:
            folder = drive(import_model(source, library, out, args.name), line)
    if args.json:
        print_json({"run": str(folder.folder), "id": folder.id, "config": folder.spec.model.to_dict()})
    else:
        print(folder.folder)
    return 0
