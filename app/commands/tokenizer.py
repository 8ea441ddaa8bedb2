"""`terrarium tokenizer`: train, encode, decode, compare and inspect tokenizers without a window."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands import tokenizer_compare, tokenizer_train
from app.commands.common import add_common, print_json, read_argument
from models.library import Library
from models.tokenizers import (
    encode_prompt,
    encode_text,
    find_tokenizer,
    pieces_of,
    read_texts,
    read_tokenizer,
    special_ids,
    token_pieces,
    tokenizer_kind,
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

    inspect = actions.add_parser("inspect", help="say what a tokenizer is, and show the tokens of a text")
    inspect.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    _add_text_options(inspect)

    for action in (train, encode, decoding, compare, inspect):
        add_common(action)
    return parser


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--text", metavar="T", help="the text; - reads stdin")
    group.add_argument("--data", type=Path, metavar="FILE", help="a file with the text")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    actions = {
        "train": tokenizer_train.run,
        "encode": _encode,
        "decode": _decode,
        "compare": tokenizer_compare.run,
        "inspect": _inspect,
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


def _inspect(args: argparse.Namespace) -> None:
    tokenizer = _load(args.tokenizer)
    facts = {
        "tokenizer": args.tokenizer,
        "kind": tokenizer_kind(tokenizer),
        "vocab_size": tokenizer.get_vocab_size(),
        "special_tokens": {token: id for id, token in sorted(special_ids(tokenizer).items())},
    }
    pieces = token_pieces(tokenizer, _text(args)) if args.text is not None or args.data is not None else []
    if args.json:
        shown = [{**piece._asdict(), "bytes": piece.bytes.hex()} for piece in pieces]
        print_json({**facts, "pieces": shown})
        return
    print(f"{facts['tokenizer']}: kind {facts['kind']}, {facts['vocab_size']:,} tokens")
    print("special:", ", ".join(f"{token} {id}" for token, id in facts["special_tokens"].items()) or "none")
    if pieces:
        print(f"{'id':>7}  {'bytes':>11}  token")
        for piece in pieces:
            print(f"{piece.id:>7}  {f'{piece.start}–{piece.end}':>11}  {piece.display}")
    else:
        longest = pieces_of(tokenizer, range(tokenizer.get_vocab_size()))
        longest = sorted((p for p in longest if not p.special), key=lambda piece: -len(piece.bytes))[:20]
        print("longest:", "  ".join(piece.display for piece in longest))


def _load(where: str) -> Tokenizer:
    return read_tokenizer(find_tokenizer(where, Library()))


def _text(args: argparse.Namespace) -> str:
    return "".join(read_texts([args.data])) if args.data is not None else read_argument(args.text)
