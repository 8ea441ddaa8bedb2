"""`terrarium import`: import a model from a Hugging Face folder or .gguf file as a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.commands.common import add_common, print_json
from app.commands.progress import ProgressLine, drive
from models.library.library import Library


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "import", help="import a Hugging Face folder or .gguf file as a run", description=__doc__
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="a Hugging Face folder, or a .gguf file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: a new one in the library)")
    parser.add_argument("--name", help="the run's name (default: the source's name)")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Import, and print the path of the run."""
    from models.interop.importing import import_model

    with ProgressLine(as_json=args.json) as line:
        out = args.out.expanduser() if args.out is not None else None
        folder = drive(import_model(args.source.expanduser(), Library(), out, args.name), line)
    if args.json:
        print_json({"run": str(folder.folder), "id": folder.id, "config": folder.spec.model.to_dict()})
    else:
        print(folder.folder)
    return 0
