"""`terrarium tokenizer import`: bring a tokenizer from elsewhere into the library, with the same ids, or not at all."""

from __future__ import annotations

import argparse
from typing import Any

from app.commands.common import print_json
from models.library.library import Library
from models.tokenizers.foreign.patterns import PATTERNS
from models.tokenizers.foreign.reading import FORMS


def add_parser(actions: Any) -> argparse.ArgumentParser:
    """Add this action's options."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "import", help="bring a tokenizer from elsewhere into the library"
    )
    parser.add_argument(
        "source", metavar="SRC", help=f"{FORMS}; a folder with one of them; or a name on the Hugging Face hub"
    )
    parser.add_argument("--name", default="", help="what to call it (default: as the source is called)")
    parser.add_argument(
        "--pattern",
        choices=PATTERNS,
        default="",
        help="how texts are cut into words before merging, where the file does not say: as "
        + "; ".join(f"{name} ({pattern.used_by})" for name, pattern in PATTERNS.items()),
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Import, and print the tokenizer's name and what was assumed."""
    from models.tokenizers import read_about
    from models.tokenizers.importing import import_tokenizer

    library = Library()
    name = import_tokenizer(args.source, library, args.name, pattern=args.pattern)
    folder = library.tokenizers / name
    about = read_about(folder)
    if args.json:
        print_json({"folder": str(folder), **about})
        return
    print(f"{name}: kind {about['kind']}, {about['vocab_size']:,} tokens, from {about['form']}")
    for sentence in about["assumptions"]:
        print(sentence)
