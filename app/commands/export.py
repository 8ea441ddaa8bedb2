"""`terrarium export`: write a model in a form that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.common import add_common, find_model, print_json
from app.commands.progress import ProgressLine, drive

if TYPE_CHECKING:
    from collections.abc import Generator

    from models.events import Event

FORMATS = ("hf",)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "export", help="write a model for other programs", description=__doc__
    )
    parser.add_argument("model", metavar="MODEL", help="a path, or a run's id or name")
    parser.add_argument("--format", choices=FORMATS, default="hf", help="hf: a folder that transformers loads")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Export, and print where to."""
    with ProgressLine(as_json=args.json) as line:
        out = drive(_export(args), line)
    if args.json:
        print_json({"out": str(out), "format": args.format})
    else:
        print(out)
    return 0


def _export(args: argparse.Namespace) -> Generator[Event, None, Path]:
    from models.interop.export import export_hf
    from models.loading import load_model_events

    model, tokenizer = yield from load_model_events(find_model(args.model))
    return (yield from export_hf(model, tokenizer, args.out.expanduser().absolute()))
