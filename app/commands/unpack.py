"""`terrarium unpack`: add a run to the library from a file that `terrarium pack` wrote, here or elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import add_common, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "unpack",
        help="make a run of a .terrarium file",
        description=__doc__,
        epilog="Nothing in the file is run, and each part of it is checked against its SHA-256 sum.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .terrarium file")
    parser.add_argument("--name", help="the run's name (default: the one it had)")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Unpack, and print the path of the run."""
    from terrarium.models.runs.run_file.unpacking import unpack_run

    with ProgressLine(as_json=args.json) as line:
        made = drive(unpack_run(args.file.expanduser().absolute(), Library(), args.name), line)
    if args.json:
        print_json({"run": str(made.folder), "id": made.id, "name": made.name})
    else:
        print(made.folder)
    return 0
