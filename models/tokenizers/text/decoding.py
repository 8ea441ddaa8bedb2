"""Ids that somebody pasted, in whatever form: the text that they are, and in a sentence each that is none."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.tokenizers.codec import decode
from models.tokenizers.text.encoded import TokenArrays
from models.tokenizers.token_bytes import special_ids

MAX_LISTED_PROBLEMS = 100
"""How many of the words that are no ids are told about one by one."""

_WORD = re.compile(r"[^\s,;|()\[\]]+")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_KEYS = ("ids", "input_ids", "tokens")
_SHOWN = 24


@dataclass(frozen=True)
class IdProblem:
    """What is wrong with one of the pasted words, which stands at the characters `start` to `end`."""

    start: int
    end: int
    sentence: str


@dataclass(frozen=True, eq=False)
class DecodedIds:
    """The valid ids, n of them, with their text; `n_problems` counts what is no id, of which the first are `problems`.

    Attributes:
        tokens: the valid ids; they lie one after the other in the bytes that they stand for.
        spans: (n, 2) the characters of the writing at which each stands, from and to.
        text: what they decode to.
        n_left_out: how many special tokens are not in `text`.
        problems: MAX_LISTED_PROBLEMS at most.
    """

    tokens: TokenArrays
    spans: NDArray[np.int64]
    text: str
    n_left_out: int
    problems: tuple[IdProblem, ...]
    n_problems: int

    @property
    def tile_the_text(self) -> bool:
        """Whether the text is nothing but the bytes of the tokens, one after the other."""
        return self.text.encode() == self.tokens.joined()


def decode_ids(tokenizer: Tokenizer, written: str, *, skip_special: bool = False) -> DecodedIds:
    """Read ids (“[1, 2, 3]”, “1 2 3”, a JSON object with "ids") and decode those that the tokenizer has.

    `skip_special`: special tokens are left out of the text.
    """
    ids, spans = array("q"), array("q")  # millions of them: no objects
    problems: list[IdProblem] = []
    n_problems, size = 0, max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    known: dict[int, bool] = {}
    for position, (start, end) in enumerate(_words(written), start=1):
        word = written[start:end]
        number = int(word) if _NUMBER.fullmatch(word) else None
        if number is not None:
            if number not in known:
                known[number] = 0 <= number < size and tokenizer.id_to_token(number) is not None
            if known[number]:
                ids.append(number)
                spans.extend((start, end))
                continue
        n_problems += 1
        if len(problems) < MAX_LISTED_PROBLEMS:
            problems.append(IdProblem(start, end, _describe_problem(word, number, position, size)))
    tokens = TokenArrays(tokenizer, np.array(ids, np.int64))
    left_out = special_ids(tokenizer).keys() if skip_special else ()
    text = decode(tokenizer, (id for id in tokens.iter_ids() if id not in left_out))
    n_left_out = sum(tokens.occurrences(id) for id in left_out)
    at = np.array(spans, np.int64).reshape(-1, 2)
    return DecodedIds(tokens, at, text, n_left_out, tuple(problems), n_problems)


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st …"""
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def _words(written: str) -> Iterator[tuple[int, int]]:
    """Where the words are that ought to be ids; of a JSON object, only those in its list of ids."""
    start, end = _list_in_object(written)
    for match in _WORD.finditer(written, start, end):
        yield match.span()


def _list_in_object(written: str) -> tuple[int, int]:
    if not written.lstrip().startswith("{"):
        return 0, len(written)
    try:
        found = json.loads(written)
    except (json.JSONDecodeError, RecursionError):
        return 0, len(written)
    for key in _KEYS:
        if isinstance(found.get(key), list) and all(type(id) is int for id in found[key]):
            position = re.search(rf'"{key}"\s*:\s*\[([^\]]*)\]', written)
            if position is not None:
                return position.span(1)
    return 0, len(written)


def _describe_problem(word: str, number: int | None, position: int, size: int) -> str:
    shown = word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…"
    if number is None and not re.fullmatch(r"-?[0-9]+", word):
        return f"“{shown}” ({ordinal(position)}) is no whole number."
    if number is not None and 0 <= number < size:
        return f"There is no token {number:,} ({ordinal(position)}): this vocabulary leaves that id out."
    told = shown if number is None else f"{number:,}"
    if size == 0:
        return f"There is no token {told} ({ordinal(position)}): this vocabulary is empty."
    return f"There is no token {told} ({ordinal(position)}): ids go from 0 to {size - 1:,}."
