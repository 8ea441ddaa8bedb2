"""`terrarium chat`: talk to a model in the terminal."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.commands.common import add_common, open_model, print_json
from app.commands.replying import add_sampling_options, sampling_from, write_reply
from models.events import ReplyFinished, TokenMade

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.inference.settings import SamplingConfig
    from models.transformer import AnyModel

HELP = "Enter sends, /reset forgets the conversation, Ctrl-C stops a reply, Ctrl-D ends."
Message = dict[str, str]


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "chat",
        help="talk to a model in the terminal",
        description=__doc__,
        epilog=HELP + " Where stdin is no terminal, each of its lines is one message.",
    )
    parser.add_argument("model", metavar="MODEL", help="a path, or a run's id or name")
    parser.add_argument("--system", metavar="TEXT", help="a system message that comes first")
    add_sampling_options(parser)
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Talk until the input ends."""
    config = sampling_from(args)
    model, tokenizer, _ = open_model(args.model, args.device)
    if model.config.topology == "encoder-only":
        raise ValueError("An encoder cannot talk: let it fill masks (`terrarium generate`), or choose another model.")
    chat = _Chat(model, tokenizer, config, args.system, quiet=args.json)
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with contextlib.suppress(ImportError):  # line editing and history, where there are any
            import readline  # noqa: F401
        print(HELP, file=sys.stderr)
    with contextlib.suppress(EOFError):
        while True:
            text = (input("› ") if is_terminal else input()).strip()
            if text == "/reset":
                chat.reset()
            elif text:
                chat.say(text)
    if args.json:
        print_json({"messages": chat.messages})
    return 0


class _Chat:
    """One conversation with a model."""

    def __init__(
        self, model: AnyModel, tokenizer: Tokenizer, config: SamplingConfig, system: str | None, *, quiet: bool
    ) -> None:
        self._model, self._tokenizer, self._config, self._quiet = model, tokenizer, config, quiet
        self._system: list[Message] = [{"role": "system", "content": system}] if system else []
        self.messages = list(self._system)

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages = list(self._system)

    def say(self, text: str) -> None:
        """Send a message and print the reply; Ctrl-C ends the reply and keeps what there is of it."""
        from models.data.chat import encode_newest
        from models.inference.generate import generate

        self.messages.append({"role": "user", "content": text})
        made: list[str] = []
        ids, n_left_out = encode_newest(self._tokenizer, self.messages, self._model.config.context_length)
        if n_left_out:
            print(f"(The {n_left_out} oldest messages no longer fit the model's context.)", file=sys.stderr)
        events = generate(self._model, self._tokenizer, ids, self._config)
        try:
            reply, _, _ = write_reply(_noting(events, made), quiet=self._quiet)
        except KeyboardInterrupt:
            reply = "".join(made)
            print(" …", file=sys.stderr)
        self.messages.append({"role": "assistant", "content": reply.strip()})


def _noting(events: Iterator[TokenMade | ReplyFinished], texts: list[str]) -> Iterator[TokenMade | ReplyFinished]:
    """The events, whose texts are noted on their way, so that an interrupted reply is not lost."""
    for event in events:
        if isinstance(event, TokenMade):
            texts.append(event.text)
        yield event
