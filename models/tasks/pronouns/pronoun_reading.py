"""A sentence as pronoun models read it: its tokens, and the positions of "it", of candidate nouns and the adjective."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from terrarium.models.tiny_world.pronouns import ADJECTIVES, IT, NOUNS

_IT = re.compile(rf"\b{IT}\b", re.IGNORECASE)
_NOUN = re.compile(rf"\b({'|'.join(NOUNS)})\b", re.IGNORECASE)
_ADJECTIVE = re.compile(rf"\b({'|'.join(ADJECTIVES)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class NounCandidate:
    """A noun that "it" may refer to, and the position of its (last) token."""

    noun: str
    position: int


@dataclass(frozen=True)
class Reading:
    """The ids of a text, the position of its "it", the nouns before that, and the adjective's tokens after it."""

    ids: tuple[int, ...]
    it: int
    candidates: tuple[NounCandidate, ...]
    adjective: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class NounScores:
    """For one sentence: the nouns that "it" may refer to, their probabilities and scores (logits)."""

    nouns: tuple[str, ...]
    probabilities: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def best(self) -> str:
        """The noun with the highest score."""
        return self.nouns[max(range(len(self.nouns)), key=self.scores.__getitem__)]


def read_sentence(tokenizer: Tokenizer, text: str) -> Reading:
    """Read one sentence.

    Raises:
        ValueError: if it has no "it", or fewer than two known nouns before it.
    """
    reading = read_sentences(tokenizer, [text])[0]
    if reading.it < 0:
        raise ValueError("There is no “it”: add one, as in “… because it was too tired.”")
    if len(reading.candidates) < 2:
        known = " and ".join(f"“{candidate.noun}”" for candidate in reading.candidates)
        found = f"only {known} comes" if known else "none comes"
        raise ValueError(
            f"“It” needs two nouns that these models know to choose between, but {found} before it. Name two, such as "
            "animal and street."
        )
    return reading


def read_sentences(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Reading]:
    """Read many sentences together; without an "it" its position is −1."""
    read = [prepare_text(text) for text in texts]
    encodings = tokenizer.encode_batch(read, add_special_tokens=False)
    return [_reading(text, encoding) for text, encoding in zip(read, encodings, strict=True)]


def prepare_text(text: str) -> str:
    """Return the sentence with a leading space, as in training, so that its first word gets its usual token."""
    return f" {text.strip()}"


def _reading(text: str, encoding: Encoding) -> Reading:
    found = list(_IT.finditer(text))
    if not found:
        return Reading(tuple(encoding.ids), -1, (), ())
    it = found[-1]
    candidates = [
        NounCandidate(noun[0].lower(), _tokens(encoding, noun)[-1]) for noun in _NOUN.finditer(text, 0, it.start())
    ]
    adjective = _ADJECTIVE.search(text, it.end())
    return Reading(
        tuple(encoding.ids),
        _tokens(encoding, it)[-1],
        tuple(candidates),
        tuple(_tokens(encoding, adjective)) if adjective else (),
    )


def _tokens(encoding: Encoding, match: re.Match[str]) -> list[int]:
    """Return the positions of the tokens that overlap a match."""
    start, end = match.span()
    return [i for i, (first, last) in enumerate(encoding.offsets) if first < end and last > start]
