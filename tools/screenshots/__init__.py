"""`terrarium screenshots`: pictures of every screen, light and dark, in two sizes, of a small run trained for them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError, add_common, print_json
from terrarium.app.commands.progress import ProgressLine
from terrarium.models.library.library import Library
from tools.screenshots.contents import copy_run
from tools.screenshots.custom_blocks import library_at
from tools.screenshots.photographer import Photographer


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "screenshots", help="save screenshots of every screen as PNG files", description=__doc__
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write the files")
    parser.add_argument(
        "--run", dest="shown_run", metavar="RUN", help="show this run of the library (path, id or name)"
    )
    parser.add_argument(
        "--minutes", type=float, default=0.5, metavar="M", help="otherwise, how long to train one (default: 0.5)"
    )
    parser.add_argument(
        "--task-minutes",
        type=float,
        default=0.5,
        metavar="M",
        help="how long to learn each of the tasks whose pages are shown (default: 0.5; 0: without them)",
    )
    parser.add_argument(
        "--names",
        action="store_true",
        help="beside each picture, write what a screen reader is told: roles, names, states and tab order",
    )
    parser.add_argument(
        "--text-size",
        type=float,
        default=1.0,
        metavar="F",
        help="the size of the text, as a factor (default: 1)",
    )
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Take the screenshots and print their paths. The user's own library is only read."""
    from terrarium.app.shell.offscreen import opened_window

    if args.task_minutes < 0:
        raise UsageError("--task-minutes must be at least 0.")
    with tempfile.TemporaryDirectory(prefix="terrarium-screenshots-", ignore_cleanup_errors=True) as home:
        library = Library(Path(home))
        if args.shown_run:
            copy_run(Library(), args.shown_run, library)
        args.folder.mkdir(parents=True, exist_ok=True)
        with (
            library_at(library.home),
            opened_window(library, args.device) as window,
            ProgressLine(as_json=args.json) as line,
        ):
            window.theme.set_text_scale(args.text_size)
            photographer = Photographer(window, args.folder, line, names=args.names)
            photographer.shoot_all(None if args.shown_run else args.minutes, args.task_minutes)
    if args.json:
        print_json({"pictures": [str(path) for path in photographer.pictures]})
    else:
        print("\n".join(map(str, photographer.pictures)))
    return 0
