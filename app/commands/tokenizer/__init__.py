"""`terrarium tokenizer`: train, import, encode, decode, compare and inspect tokenizers without a window."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import add_common, print_json, read_argument
from terrarium.app.commands.tokenizer import arguments as tokenizer_arguments
from terrarium.app.commands.tokenizer import import_ as tokenizer_import
from terrarium.app.commands.tokenizer import train as tokenizer_train
from terrarium.models.chat.own_template import Message, encode_messages
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import (
    encode_prompt,
    encode_text,
    load_tokenizer,
    pieces_of,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PROBLEMS_NAMED = 3  # the number of invalid ids to describe; the rest are counted


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the parser of this command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "tokenizer", help="train, import, use, compare and inspect tokenizers", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    train = tokenizer_train.add_parser(actions)

    bring = tokenizer_import.add_parser(actions)

    encode = actions.add_parser("encode", help="print the ids of a text or a conversation")
    encode.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    what = encode.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", metavar="T", help="the text; - reads stdin")
    what.add_argument("--chat", metavar="JSON", help='[{"role": "user", "content": "Hello!"}, …]; - reads stdin')
    encode.add_argument("--special", action="store_true", help="parse special tokens such as <|end|> in the text")
    encode.add_argument("--reply", action="store_true", help="append the generation prompt to the conversation")

    decoding = actions.add_parser("decode", help="print the text of ids")
    decoding.add_argument("tokenizer", metavar="TOKENIZER", help="a path or a name")
    decoding.add_argument("ids", nargs="+", metavar="ID", help="ids, or a list as “[1, 2, 3]”; - reads stdin")
    decoding.add_argument("--skip-special", action="store_true", help="leave special tokens out of the text")

    compare = tokenizer_arguments.add_compare(actions)

    inspect = tokenizer_arguments.add_inspect(actions)

    for action in (train, bring, encode, decoding, compare, inspect):
        add_common(action)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    actions = {
        "train": tokenizer_train.run,
        "import": tokenizer_import.run,
        "encode": _encode,
        "decode": _decode,
        "compare": _compare,
        "inspect": _inspect,
    }
    actions[args.action](args)
    return 0


def _compare(args: argparse.Namespace) -> None:
    from terrarium.app.commands.tokenizer import compare as tokenizer_compare

    tokenizer_compare.run(args)


def _inspect(args: argparse.Namespace) -> None:
    from terrarium.app.commands.tokenizer import inspect_ as tokenizer_inspect

    tokenizer_inspect.run(args)


def _encode(args: argparse.Namespace) -> None:
    tokenizer, more = _load(args.tokenizer), {}
    if args.chat is not None:
        ids, more["is_reply"] = encode_messages(tokenizer, _messages(read_argument(args.chat)), args.reply)
    elif args.special:
        ids = encode_prompt(tokenizer, read_argument(args.text))
    else:
        ids = encode_text(tokenizer, read_argument(args.text))
    if args.json:
        print_json({"ids": ids, "tokens": [piece.display for piece in pieces_of(tokenizer, ids)], **more})
    else:
        print(*ids)


def _messages(written: str) -> list[Message]:
    """Parse the messages of a conversation from JSON: a list, or an object as in a training file."""
    try:
        found = json.loads(written)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The conversation is not valid JSON: {error}.") from error
    if isinstance(found, dict):
        found = found.get("messages")
    if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
        raise ValueError('The conversation must be a list: [{"role": "user", "content": "Hello!"}, …].')
    return found


def _decode(args: argparse.Namespace) -> None:
    from terrarium.models.tokenizers.text.decoding import decode_ids

    written = read_argument("-") if args.ids == ["-"] else " ".join(args.ids)
    decoded = decode_ids(_load(args.tokenizer), written, skip_special=args.skip_special)
    if decoded.problems:
        more = decoded.n_problems - _PROBLEMS_NAMED
        named = " ".join(problem.sentence for problem in decoded.problems[:_PROBLEMS_NAMED])
        raise ValueError(named + (f" {more:,} more are not ids either." if more > 0 else ""))
    if args.json:
        print_json({"text": decoded.text, "tokens": [piece.display for piece in decoded.tokens]})
    else:
        print(decoded.text)


def _load(where: str) -> Tokenizer:
    return load_tokenizer(where, Library())
