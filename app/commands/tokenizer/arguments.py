"""Options of the actions that need numpy, in a separate module, so that the training child process starts fast."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from terrarium.app.commands.tokenizer.corpora import BUILT_IN
from terrarium.models.tiny_world.parallel import LANGUAGE_NAMES
from terrarium.models.tokenizers.vocabulary.token_types import TYPES

LANGUAGES = "languages"
USES = ("produced", "once", "step", "never", "unreachable")
COLUMNS = ("id", "token", "bytes", "length", "type", "count", "made")
_LIMIT = 50


def add_compare(actions: Any) -> argparse.ArgumentParser:
    """Add the options of `terrarium tokenizer compare`."""
    parser: argparse.ArgumentParser = actions.add_parser("compare", help="compare tokenizers on the same texts")
    parser.add_argument("tokenizers", nargs="+", metavar="TOKENIZER", help="paths or names")
    parser.add_argument("--text", metavar="T", help="the text; - reads stdin")
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        default=[],
        type=Path,
        metavar="FILE",
        help="files, each measured separately",
    )
    parser.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="C",
        help=f"{', '.join(BUILT_IN)}, {LANGUAGES} (the same stories in {', '.join(LANGUAGE_NAMES)}), or a corpus of "
        "the library by its label or the digits of its SHA-256; repeatable, each is measured separately",
    )
    parser.add_argument(
        "--design",
        metavar="D",
        help="also show what each vocabulary costs this preset, design or run, and how much text fits into its context",
    )
    return parser


def add_inspect(actions: Any) -> argparse.ArgumentParser:
    """Add the options of `terrarium tokenizer inspect`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "inspect", help="describe a tokenizer, browse its vocabulary, and show the tokens of a text"
    )
    parser.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--text", metavar="T", help="show the tokens of this text; - reads stdin")
    group.add_argument("--data", type=Path, metavar="FILE", help="show the tokens of the text in this file")
    parser.add_argument(
        "--corpus",
        metavar="C",
        help=f"count on {', '.join(BUILT_IN)}, a text file, or a corpus of the library by label or SHA-256",
    )
    parser.add_argument("--find", metavar="Q", help="list the tokens with this text, /regular expression/ or #id")
    parser.add_argument("--type", choices=TYPES, help="list only tokens of this type")
    parser.add_argument("--use", choices=USES, help="list only tokens with this use in the corpus")
    parser.add_argument("--sort", choices=COLUMNS, help="list by this column (default: id)")
    parser.add_argument("--descending", action="store_true", help="sort in descending order")
    parser.add_argument(
        "--limit", type=int, default=_LIMIT, metavar="N", help=f"list at most N tokens (default: {_LIMIT}); 0: all"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all matching tokens to a file")
    return parser
