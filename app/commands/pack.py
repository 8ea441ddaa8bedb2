"""`terrarium pack`: save a run as one file, which another Terrarium can open and show like the original."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pack",
        help="save a run as one file (.terrarium)",
        description=__doc__,
        epilog="The file holds the run's settings, tokenizer, curves, samples, scores and last checkpoint. Your notes, "
        "the folders of your files and the training text stay here.",
    )
    parser.add_argument("model", metavar="RUN", help="a run's id, name or folder")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="the file (default: the run's name, in this folder)"
    )
    parser.add_argument("--all-checkpoints", action="store_true", help="with the earlier checkpoints, too")
    parser.add_argument("--chats", action="store_true", help="with your conversations with it")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file, and print its path and size."""
    from terrarium.models.runs.run_file.packing import pack_run
    from terrarium.models.runs.run_folder import RunFolder

    library = Library()
    packed = RunFolder.open(library.find_run(args.model))
    file = args.file or Path(library.free_name(Path(), packed.name, suffix=".terrarium", has_spaces=True))
    with ProgressLine(as_json=args.json) as line:
        events = pack_run(
            packed, file.expanduser().absolute(), library, all_checkpoints=args.all_checkpoints, chats=args.chats
        )
        path = drive(events, line)
    if args.json:
        print_json({"file": str(path), "bytes": path.stat().st_size})
    else:
        print(f"{path} ({format_size(path.stat().st_size)})")
    return 0
