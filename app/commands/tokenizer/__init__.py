"""`terrarium tokenizer`: train, import, encode, decode, compare and inspect tokenizers without a window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from terrarium.app.commands.common import read_argument
from terrarium.app.commands.options import Command, Group, argument, option, print_json
from terrarium.app.commands.tokenizer.compare import Compare
from terrarium.app.commands.tokenizer.inspect_ import Inspect
from terrarium.app.commands.tokenizer.train import Train
from terrarium.models.chat.own_template import Message, encode_messages
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import (
    encode_prompt,
    encode_text,
    load_tokenizer,
    pieces_of,
)
from terrarium.models.tokenizers.foreign.foreign_files import FORMS
from terrarium.models.tokenizers.foreign.patterns import PATTERNS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PROBLEMS_NAMED = 3  # the number of invalid ids to describe; the rest are counted


class Encode(Command):
    """Print the ids of a text or a conversation."""

    tokenizer: str = argument("TOKENIZER", "a path or a name", complete="tokenizer")
    text: str | None = option("the text; - reads stdin", metavar="T", one_of="what", required=True)
    chat: str | None = option(
        '[{"role": "user", "content": "Hello!"}, …]; - reads stdin', metavar="JSON", one_of="what"
    )
    special: bool = option("parse special tokens such as <|end|> in the text")
    reply: bool = option("append the generation prompt to the conversation")

    def run(self) -> None:
        """Print the ids."""
        tokenizer, more = _load(self.tokenizer), {}
        if self.chat is not None:
            ids, more["is_reply"] = encode_messages(tokenizer, _messages(read_argument(self.chat)), self.reply)
        elif self.special:
            ids = encode_prompt(tokenizer, read_argument(self.text or ""))
        else:
            ids = encode_text(tokenizer, read_argument(self.text or ""))
        self.show(
            {"ids": ids, "tokens": [piece.display for piece in pieces_of(tokenizer, ids)], **more},
            " ".join(map(str, ids)),
        )


class Decode(Command):
    """Print the text of ids."""

    tokenizer: str = argument("TOKENIZER", "a path or a name", complete="tokenizer")
    ids: tuple[str, ...] = argument("ID", "ids, or a list as “[1, 2, 3]”; - reads stdin")
    skip_special: bool = option("leave special tokens out of the text")

    def run(self) -> None:
        """Print the text, or what is wrong with the ids."""
        from terrarium.models.tokenizers.text.decoding import decode_ids

        written = read_argument("-") if self.ids == ("-",) else " ".join(self.ids)
        decoded = decode_ids(_load(self.tokenizer), written, skip_special=self.skip_special)
        if decoded.problems:
            more = decoded.n_problems - _PROBLEMS_NAMED
            named = " ".join(problem.sentence for problem in decoded.problems[:_PROBLEMS_NAMED])
            raise ValueError(named + (f" {more:,} more are not ids either." if more > 0 else ""))
        self.show({"text": decoded.text, "tokens": [piece.display for piece in decoded.tokens]}, decoded.text)


class Import(Command):
    """Import a tokenizer into the library, with exactly the same ids."""

    source: str = argument(
        "SRC", f"{FORMS}; a folder with one of them; or a name on the Hugging Face hub", complete="file"
    )
    name: str = option("its name in the library (default: that of the source)", default="")
    pattern: str = option(
        "the pattern that splits text into words, for files that do not define it: "
        + "; ".join(f"{name} ({pattern.used_by})" for name, pattern in PATTERNS.items()),
        default="",
        choices=PATTERNS,
    )

    def run(self) -> None:
        """Import, and print the name and the assumptions."""
        from terrarium.models.tokenizers import read_about
        from terrarium.models.tokenizers.importing import import_tokenizer

        library = Library()
        name = import_tokenizer(self.source, library, self.name, pattern=self.pattern)
        folder = library.tokenizers / name
        about = read_about(folder)
        if self.as_json:
            print_json({"folder": str(folder), **about})
            return
        print(f"{name}: kind {about['kind']}, {about['vocab_size']:,} tokens, from {about['form']}")
        for sentence in about["assumptions"]:
            print(sentence)


COMMAND = Group(
    actions={
        "train": Train,
        "import": Import,
        "encode": Encode,
        "decode": Decode,
        "compare": Compare,
        "inspect": Inspect,
    },
    help="train, import, use, compare and inspect tokenizers",
    description=__doc__,
)


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


def _load(where: str) -> Tokenizer:
    return load_tokenizer(where, Library())
