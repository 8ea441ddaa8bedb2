"""Whether a text comes back from its tokens as it was, and if not, where it differs and why.

The causes are found by running the parts of the tokenizer on what is around each difference, not guessed from its kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from models.tokenizers.codec import Piece, decode, encode_prompt, encode_text, token_pieces
from models.tokenizers.special_tokens import unknown_ids
from models.tokenizers.text.normalising import NormaliserStep, lossy_steps
from models.tokenizers.text.text_diff import Span, differing_spans
from models.tokenizers.token_bytes import parts_of

CAUSES = {
    "surrogate": "half characters",
    "nul": "NUL characters",
    "unknown": "what it does not know",
    "normaliser": "the normaliser",
    "special": "special tokens",
    "spaces": "spaces",
    "decoder": "the decoder",
}
"""Why a place can differ -> in words."""

LIMIT = 200
"""Differences that are looked for and explained: nobody reads more, and typing stays quick."""

_AROUND = 60  # characters at each side of a difference, up to the next space, that are encoded to explain it
_STAND_IN = "\uf8ff"  # of the private use area
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN, _NAMED = 40, 3  # characters of one word; words
_INVISIBLE = {" ": "a space", "\n": "a line break", "\t": "a tab", "\0": "a NUL character", "\r": "a carriage return"}
_DROPS_SPACES = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"}


@dataclass(frozen=True)
class Difference:
    """`text`, at the characters `start` to `end`, comes back as `back`, at `back_start` to `back_end`.

    `causes` are of CAUSES, the weightiest first; `why` says them in words, without a full stop.
    """

    start: int
    end: int
    back_start: int
    back_end: int
    text: str
    back: str
    causes: tuple[str, ...]
    why: str

    @property
    def sentence(self) -> str:
        """What happens there, and why."""
        return f"{_what_happens(self.text, self.back)}: {self.why}."


@dataclass(frozen=True)
class RoundTrip:
    """What came back of a text. Where not `complete`, there are more differences than the LIMIT that are listed."""

    equal: bool
    back: str
    differences: tuple[Difference, ...]
    complete: bool = True

    @property
    def summary(self) -> str:
        """One line: that it comes back, or in how many places it does not, and for what reasons."""
        if self.equal:
            return "Comes back exactly"
        n = len(self.differences)
        places = f"{'' if self.complete else 'more than '}{n:,} {'place' if n == 1 else 'places'}"
        if n == 1:
            return f"Differs in {places}: {self.differences[0].sentence}"
        counts = Counter(difference.causes[0] for difference in self.differences)
        reasons = [f"{CAUSES[cause]} ({count:,})" for cause, count in counts.most_common()]
        return f"Differs in {places}, because of {', '.join(reasons)}"

    def sentences(self) -> list[tuple[str, int]]:
        """What differs, each sentence with how often it is true, in the order of the text."""
        return list(Counter(difference.sentence for difference in self.differences).items())


def round_trip(
    tokenizer: Tokenizer, text: str, *, parse_special: bool = True, ids: Iterable[int] | None = None
) -> RoundTrip:
    """Encode `text`, decode it, and explain what is not as it was.

    Args:
        parse_special: “<|end|>” in the text is the special token, else its characters (as `token_pieces`).
        ids: what the text has been encoded to already, to spare that.
    """
    whole = _SURROGATE.sub("�", text)
    if ids is None:
        ids = encode_prompt(tokenizer, whole) if parse_special else encode_text(tokenizer, whole)
    back = decode(tokenizer, ids)
    if back == text:
        return RoundTrip(True, back, ())
    spans, complete = _spans(tokenizer, text, back)
    explainer = _Explainer(tokenizer, text, whole, back, parse_special)
    return RoundTrip(False, back, tuple(explainer.explain(span) for span in spans), complete)


def _spans(tokenizer: Tokenizer, text: str, back: str) -> tuple[list[Span], bool]:
    """Where the texts differ. What stands for the unknown counts as one character, so that no part of it is alike."""
    tokens = [tokenizer.id_to_token(id) for id in unknown_ids(tokenizer)]
    token = tokens[0] if tokens else None
    if not token or token not in back or token in text or _STAND_IN in text:
        return differing_spans(text, back, LIMIT)
    short = back.replace(token, _STAND_IN)
    spans, complete = differing_spans(text, short, LIMIT)
    placed, longer, upto = [], 0, 0
    for span in spans:
        longer += short.count(_STAND_IN, upto, span.back_start) * (len(token) - 1)
        start = span.back_start + longer
        longer += short.count(_STAND_IN, span.back_start, span.back_end) * (len(token) - 1)
        placed.append(Span(span.start, span.end, start, span.back_end + longer))
        upto = span.back_end
    return placed, complete


class _Explainer:
    """Says why places of one text differ."""

    def __init__(self, tokenizer: Tokenizer, text: str, whole: str, back: str, parse_special: bool) -> None:
        self._tokenizer, self._text, self._whole, self._back = tokenizer, text, whole, back
        self._parse_special = parse_special
        self._steps = lossy_steps(tokenizer)
        self._unknown = unknown_ids(tokenizer)
        added = tokenizer.get_added_tokens_decoder().values()
        self._specials = {token.content: token for token in added if token.special and len(token.content) > 1}
        self._drops = [name for name in _types(tokenizer.pre_tokenizer) if name in _DROPS_SPACES]
        if any(step.get("behavior") == "Removed" for step in parts_of(tokenizer.pre_tokenizer)):
            self._drops.append("Split")

    def explain(self, span: Span) -> Difference:
        text, back = self._text[span.start : span.end], self._back[span.back_start : span.back_end]
        reasons = self._reasons(span, text, back)
        causes = tuple(dict.fromkeys(cause for cause, _ in reasons))
        return Difference(*span, text, back, causes, ", and ".join(words for _, words in reasons))

    def _reasons(self, span: Span, text: str, back: str) -> list[tuple[str, str]]:
        """(cause, words) of all that had a part in it."""
        reasons: list[tuple[str, str]] = []
        if _SURROGATE.search(text):
            reasons.append(
                ("surrogate", "half a character cannot be written as UTF-8, so “�” was encoded in its place")
            )
        unknown = self._unknown_words(span)
        steps = [] if text and text.isspace() and self._drops else self._changing_steps(span, back)
        if unknown:
            reasons.append(("unknown", unknown))
        elif steps:
            words = " and ".join(dict.fromkeys(step.does for step in steps))
            reasons.append(("normaliser", f"the normaliser {words}"))
        if not reasons and _only_spaces(text, back):
            reasons.append(self._why_spaces(span, text, back))
        if "\0" in text and reasons:
            reasons[0] = ("nul", reasons[0][1])
        return reasons or [("decoder", f"the decoder ({_names(self._tokenizer.decoder)}) writes it in another way")]

    def _changing_steps(self, span: Span, back: str) -> list[NormaliserStep]:
        """The normaliser's steps that change what is there, or join it with the character before or behind."""
        inner = self._whole[span.start : span.end]
        before = self._whole[max(span.start - 1, 0) : span.start]
        behind = self._whole[span.end : span.end + 1]
        found = []
        for step in self._steps:
            alone, apart = step.apply(inner), (step.apply(before), step.apply(behind))
            together = step.apply(before + inner + behind)
            if inner:
                changes = alone != inner or together != apart[0] + alone + apart[1]
            else:  # something came in: only what makes more of the neighbours can have made it
                changes = back.isspace() and together.count(" ") > (before + behind).count(" ")
            if changes:
                found.append(step)
            inner, before, behind = alone, apart[0], apart[1]
        return found

    def _unknown_words(self, span: Span) -> str:
        """The reason where a token for the unknown, or no token at all, stands there; '' where all is known."""
        start, window = self._window(span)
        pieces = _by_character(token_pieces(self._tokenizer, window, parse_special=self._parse_special), window)
        there = [piece for piece in pieces if _meet(piece.start + start, piece.end + start, span)]
        lost = [window[piece.start : piece.end] for piece in there if piece.id in self._unknown]
        if lost:
            return _not_known(list(dict.fromkeys(lost)))
        dropped = self._whole[span.start : span.end]
        # Where a token lies is not reliable behind what was left out, so what is there is encoded alone.
        left_out = bool(dropped.strip()) and not self._unknown and span.back_start == span.back_end
        if (
            left_out
            and not self._steps
            and not decode(self._tokenizer, encode_prompt(self._tokenizer, dropped)).strip()
        ):
            return "it is not in the vocabulary, and this tokenizer has no token for what it does not know"
        return ""

    def _why_spaces(self, span: Span, text: str, back: str) -> tuple[str, str]:
        """The reason where only spaces are other ones than they were."""
        special = self._special_at(span, text)
        if special:
            return "special", special
        words = []
        if self._drops:
            words.append(f"the pre-tokenizer ({', '.join(self._drops)}) drops spaces")
        elif "Metaspace" in _types(self._tokenizer.pre_tokenizer):
            words.append("the pre-tokenizer (Metaspace) sets a space before a text")
        if self._tokenizer.decoder is not None and (back or not self._drops):
            words.append(f"the decoder ({_names(self._tokenizer.decoder)}) sets its own")
        elif self._tokenizer.decoder is None and back:
            words.append("without a decoder tokens are joined with spaces")
        return "spaces", " and ".join(words) or "its tokens hold other spaces"

    def _special_at(self, span: Span, text: str) -> str:
        """The reason where a special token has a part in it, else ''."""
        for content, added in self._specials.items():
            before = self._whole.endswith(content, 0, span.start) and self._parse_special
            behind = self._whole.startswith(content, span.end) and self._parse_special
            if (before and added.rstrip) or (behind and added.lstrip):
                return f"the special token {content} takes the spaces beside it along"
            if (before or behind) and not (text and self._drops):
                return (
                    f"the decoder ({_names(self._tokenizer.decoder)}) writes spaces around the special token {content}"
                )
            if not self._parse_special and not text and self._whole.startswith(content, span.start - 1):
                return f"{content} is cut behind its first character, so that it stays text and is no special token"
        return ""

    def _window(self, span: Span) -> tuple[int, str]:
        """Where what is around a place begins, and what it is: up to a space, so that words are whole."""
        start, end = span.start, span.end
        low, high = max(start - _AROUND, 0), min(end + _AROUND, len(self._whole))
        while start > low and not self._whole[start - 1].isspace():
            start -= 1
        while end < high and not self._whole[end].isspace():
            end += 1
        start = max(start - 1, 0)
        return start, self._whole[start:end]


def _by_character(pieces: list[Piece], text: str) -> list[Piece]:
    """The pieces with places in characters instead of bytes."""
    at = [0]
    for i, character in enumerate(text):
        at += [i] * (len(character.encode()) - 1) + [i + 1]
    return [piece._replace(start=at[piece.start], end=max(at[piece.end], at[piece.start] + 1)) for piece in pieces]


def _meet(start: int, end: int, span: Span) -> bool:
    if span.start == span.end:
        return start <= span.start <= end
    return start < span.end and end > span.start


def _only_spaces(text: str, back: str) -> bool:
    return "".join(text.split()) == "".join(back.split())


def _types(component: object) -> list[str]:
    return list(dict.fromkeys(step["type"] for step in parts_of(component)))


def _names(component: Any) -> str:
    return ", ".join(_types(component)) or "none"


def _what_happens(text: str, back: str) -> str:
    """“É” comes back as “e”; a space is lost."""
    if not text:
        return f"{_in_words(back)} {'come' if _is_plural(back) else 'comes'} in"
    if not back:
        return f"{_in_words(text)} {'are' if _is_plural(text) else 'is'} lost"
    return f"{_in_words(text)} {'come' if _is_plural(text) else 'comes'} back as {_in_words(back)}"


def _is_plural(text: str) -> bool:
    return len(text) > 1 and text.isspace()


def _not_known(words: list[str]) -> str:
    """Why words that are in no vocabulary differ."""
    shown = [f"“{_short(word)}”" for word in words[:_NAMED]]
    if len(words) > _NAMED:
        shown.append(f"{len(words) - _NAMED} more")
    if len(shown) == 1:
        return f"{shown[0]} is not in the vocabulary, and cannot be spelled with it"
    return f"{', '.join(shown[:-1])} and {shown[-1]} are not in the vocabulary, and cannot be spelled with it"


def _in_words(text: str) -> str:
    """A text in a sentence: in its marks, and what cannot be seen by name."""
    if _SURROGATE.fullmatch(text):
        return f"half a character (U+{ord(text):04X})"
    if text in _INVISIBLE:
        return _INVISIBLE[text]
    if set(text) == {" "}:
        return f"{len(text)} spaces"
    if set(text) == {"\n"}:
        return f"{len(text)} line breaks"
    if text.isspace():
        return f"{len(text)} white-space characters"
    return f"“{_short(text)}”"


def _short(text: str) -> str:
    """A text in one line in which everything can be seen, cut in the middle where it is long."""
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 + 1 :]}"
    return "".join(c if c.isprintable() else {"\n": "⏎", "\t": "⇥"}.get(c, f"⟨U+{ord(c):04X}⟩") for c in shown)
