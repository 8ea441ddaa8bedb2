"""Decoding of pasted ids in various formats, with a description of each entry that is not an id."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.tokenizers.codec import decode
from terrarium.models.tokenizers.text.encoded import TokenArrays
from terrarium.models.tokenizers.token_bytes import special_ids

MAX_LISTED_PROBLEMS = 100
"""Maximum number of invalid entries that are described individually."""

_WORD = re.compile(r"[^\s,;|()\[\]]+")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_KEYS = ("ids", "input_ids", "tokens")
_SHOWN = 24


@dataclass(frozen=True)
class IdProblem:
    """An invalid entry, at the characters `start` to `end` of the input."""

    start: int
    end: int
    sentence: str


@dataclass(frozen=True, eq=False)
class DecodedIds:
    """The n valid ids and their text.

    Attributes:
        tokens: the valid ids, one after the other.
        spans: (n, 2) the start and end of each in the input, in characters.
        text: the decoded text.
        n_left_out: how many special tokens were left out of `text`.
        problems: the first invalid entries, at most MAX_LISTED_PROBLEMS.
        n_problems: how many there are in all.
    """

    tokens: TokenArrays
    spans: NDArray[np.int64]
    text: str
    n_left_out: int
    problems: tuple[IdProblem, ...]
    n_problems: int

    @property
    def tile_the_text(self) -> bool:
        """Whether the text is just the concatenated bytes of the tokens."""
        return self.text.encode() == self.tokens.joined()


def decode_ids(tokenizer: Tokenizer, written: str, *, skip_special: bool = False) -> DecodedIds:
    """Parse ids (“[1, 2, 3]”, “1 2 3”, a JSON object with "ids") and decode the valid ones.

    skip_special: leave special tokens out of the text.
    """
    ids, spans = array("q"), array("q")  # there may be millions: no Python objects
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
    """Format an ordinal: 1st, 2nd, 3rd, 4th, 11th, 21st …"""
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def _words(written: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the entries; in a JSON object, only those in its list of ids."""
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
        return f"“{shown}” ({ordinal(position)}) is not a whole number."
    if number is not None and 0 <= number < size:
        return f"There is no token {number:,} ({ordinal(position)}): this vocabulary skips that id."
    number_text = shown if number is None else f"{number:,}"
    if size == 0:
        return f"There is no token {number_text} ({ordinal(position)}): this vocabulary is empty."
    return f"There is no token {number_text} ({ordinal(position)}): ids range from 0 to {size - 1:,}."
