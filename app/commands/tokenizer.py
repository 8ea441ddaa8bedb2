"""`terrarium tokenizer`: train, encode, decode, compare and inspect tokenizers without a window."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.commands import tokenizer_compare, tokenizer_inspect, tokenizer_train
from app.commands.common import add_common, print_json, read_argument
from models.library import Library
from models.tokenizers import (
    encode_prompt,
    encode_text,
    find_tokenizer,
    pieces_of,
    read_tokenizer,
)
from models.tokenizers.decoding import decode_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PROBLEMS_NAMED = 3  # of what is no id; how many more there are is said


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "tokenizer", help="train, use, compare and inspect tokenizers", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    train = tokenizer_train.add_parser(actions)

    encode = actions.add_parser("encode", help="print the ids of a text")
    encode.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    encode.add_argument("--text", required=True, metavar="T", help="the text; - reads stdin")
    encode.add_argument("--special", action="store_true", help="let <|end|> and the like stand for themselves")

    decoding = actions.add_parser("decode", help="print the text of ids")
    decoding.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    decoding.add_argument("ids", nargs="+", metavar="ID", help="ids, or a list as «[1, 2, 3]»; - reads stdin")
    decoding.add_argument("--skip-special", action="store_true", help="leave special tokens out of the text")

    compare = tokenizer_compare.add_parser(actions)

    inspect = tokenizer_inspect.add_parser(actions)

    for action in (train, encode, decoding, compare, inspect):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    actions = {
        "train": tokenizer_train.run,
        "encode": _encode,
        "decode": _decode,
        "compare": tokenizer_compare.run,
        "inspect": tokenizer_inspect.run,
    }
    actions[args.action](args)
    return 0


def _encode(args: argparse.Namespace) -> None:
    tokenizer, text = _load(args.tokenizer), read_argument(args.text)
    ids = encode_prompt(tokenizer, text) if args.special else encode_text(tokenizer, text)
    if args.json:
        print_json({"ids": ids, "tokens": [piece.display for piece in pieces_of(tokenizer, ids)]})
    else:
        print(*ids)


def _decode(args: argparse.Namespace) -> None:
    written = read_argument("-") if args.ids == ["-"] else " ".join(args.ids)
    decoded = decode_ids(_load(args.tokenizer), written, skip_special=args.skip_special)
    if decoded.problems:
        more = decoded.n_problems - _PROBLEMS_NAMED
        named = " ".join(problem.sentence for problem in decoded.problems[:_PROBLEMS_NAMED])
        raise ValueError(named + (f" {more:,} more are no ids either." if more > 0 else ""))
    if args.json:
        print_json({"text": decoded.text, "tokens": [piece.display for piece in decoded.tokens]})
    else:
        print(decoded.text)


def _load(where: str) -> Tokenizer:
    return read_tokenizer(find_tokenizer(where, Library()))
