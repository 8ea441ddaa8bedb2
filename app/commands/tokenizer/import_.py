"""`terrarium tokenizer import`: imports a tokenizer into the library, with exactly the same ids."""

from __future__ import annotations

import argparse
from typing import Any

from terrarium.app.commands.common import print_json
from terrarium.models.library.library import Library
from terrarium.models.tokenizers.foreign.foreign_files import FORMS
from terrarium.models.tokenizers.foreign.patterns import PATTERNS


def add_parser(actions: Any) -> argparse.ArgumentParser:
    """Add the parser of this action."""
    parser: argparse.ArgumentParser = actions.add_parser("import", help="import a tokenizer into the library")
    parser.add_argument(
        "source", metavar="SRC", help=f"{FORMS}; a folder with one of them; or a name on the Hugging Face hub"
    )
    parser.add_argument("--name", default="", help="its name in the library (default: that of the source)")
    parser.add_argument(
        "--pattern",
        choices=PATTERNS,
        default="",
        help="the pattern that splits text into words, for files that do not define it: "
        + "; ".join(f"{name} ({pattern.used_by})" for name, pattern in PATTERNS.items()),
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Import, and print the name and the assumptions."""
    from terrarium.models.tokenizers import read_about
    from terrarium.models.tokenizers.importing import import_tokenizer

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
