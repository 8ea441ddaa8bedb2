"""`terrarium generate`: complete a text with a model."""

from __future__ import annotations

import argparse
from typing import Any

from app.commands.common import add_common, open_model, print_json, read_argument
from app.commands.replying import add_sampling_options, sampling_from, write_reply, write_statistics
from models.tokenizers import encode_prompt


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "generate", help="complete a text", description=__doc__, epilog="Only the completion goes to stdout."
    )
    parser.add_argument("model", metavar="MODEL", help="a path, or a run's id or name")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="the text to go on from; - reads stdin")
    add_sampling_options(parser)
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the completion as it is made."""
    config = sampling_from(args)
    prompt = read_argument(args.prompt)
    model, tokenizer, _ = open_model(args.model, args.device)
    from models.inference.generate import generate

    ids = encode_prompt(tokenizer, prompt)
    text, made, end = write_reply(generate(model, tokenizer, ids, config), quiet=args.json)
    if args.json:
        print_json(
            {
                "text": text,
                "ids": made,
                "reason": end.reason,
                "n_prompt": end.n_prompt,
                "n_tokens": end.n_tokens,
                "prefill_s": end.prefill_s,
                "tokens_per_s": end.tokens_per_s,
            }
        )
    else:
        write_statistics(end)
    return 0
