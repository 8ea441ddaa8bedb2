"""Round-trip check: whether decoding restores a text, and if not, where it differs and why.

The causes are found by running the tokenizer's components around each difference, not guessed from its kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, normalizers

from terrarium.models.tokenizers.codec import Piece, decode, encode_prompt, encode_text, token_pieces
from terrarium.models.tokenizers.special_tokens import unknown_ids
from terrarium.models.tokenizers.text.text_diff import Span, differing_spans
from terrarium.models.tokenizers.token_bytes import component_steps

CAUSES = {
    "surrogate": "half characters",
    "nul": "NUL characters",
    "unknown": "unknown text",
    "normaliser": "the normaliser",
    "special": "special tokens",
    "spaces": "spaces",
    "decoder": "the decoder",
}
"""Cause of a difference -> its name for display."""
MAX_DIFFERENCES = 200
"""Maximum number of differences that are found and explained, so that typing stays fast."""
_CONTEXT = 60  # characters on each side of a difference, up to the next space, that are encoded to explain it
_PLACEHOLDER = "\uf8ff"  # private use area
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN, _NAMED = 40, 3  # characters per word; words
_INVISIBLE = {" ": "a space", "\n": "a line break", "\t": "a tab", "\0": "a NUL character", "\r": "a carriage return"}
_DROPS_SPACES = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"}
_DESCRIPTIONS = {
    "NFC": "composes letters and accents (NFC)",
    "NFD": "separates letters and accents (NFD)",
    "NFKC": "unifies accents and look-alikes (NFKC)",
    "NFKD": "unifies look-alikes and separates accents (NFKD)",
    "Lowercase": "lowercases text (lowercase)",
    "StripAccents": "drops accents",
    "Strip": "strips spaces at the ends",
    "Nmt": "drops control characters and unifies spaces (Nmt)",
    "Precompiled": "replaces characters by SentencePiece's table (Precompiled)",
}
_BERT = (
    ("clean_text", "drops control characters and “�”, and unifies spaces (bert)"),
    ("handle_chinese_chars", "puts spaces around Chinese characters (bert)"),
    ("strip_accents", "drops accents (bert)"),
    ("lowercase", "lowercases text (bert)"),
)
_REVERSIBLE = {"Prepend", "ByteLevel"}
"""Steps that decoders undo: stand-ins for spaces and bytes."""


@dataclass(frozen=True)
class Difference:
    """`text`, at characters `start` to `end`, is decoded as `back`, at `back_start` to `back_end`.

    causes: keys of CAUSES, the main one first. why: the reason, without a full stop.
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
        """What changes, and why."""
        return f"{_describe_change(self.text, self.back)}: {self.why}."


@dataclass(frozen=True)
class RoundTrip:
    """The result of a round trip. `complete`: whether all differences are listed (at most MAX_DIFFERENCES)."""

    equal: bool
    back: str
    differences: tuple[Difference, ...]
    complete: bool = True

    @property
    def summary(self) -> str:
        """One line: that the text is restored, or in how many places it differs and why."""
        if self.equal:
            return "Restored exactly"
        n = len(self.differences)
        places = f"{'' if self.complete else 'more than '}{n:,} {'place' if n == 1 else 'places'}"
        if n == 1:
            return f"Differs in {places}: {self.differences[0].sentence}"
        counts = Counter(difference.causes[0] for difference in self.differences)
        reasons = [f"{CAUSES[cause]} ({count:,})" for cause, count in counts.most_common()]
        return f"Differs in {places}, because of {', '.join(reasons)}"

    def sentences(self) -> list[tuple[str, int]]:
        """Return the differences in order, each sentence once with its count."""
        return list(Counter(difference.sentence for difference in self.differences).items())


def round_trip(
    tokenizer: Tokenizer, text: str, *, parse_special: bool = True, ids: Iterable[int] | None = None
) -> RoundTrip:
    """Encode and decode `text`, and explain the differences.

    Args:
        parse_special: “<|end|>” in the text becomes the special token, else plain characters (as `token_pieces`).
        ids: the ids of the text, if it has been encoded already.
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
    """Return where the texts differ. An unknown token counts as one character, so that no part of its name matches."""
    tokens = [tokenizer.id_to_token(id) for id in unknown_ids(tokenizer)]
    token = tokens[0] if tokens else None
    if not token or token not in back or token in text or _PLACEHOLDER in text:
        return differing_spans(text, back, MAX_DIFFERENCES)
    short = back.replace(token, _PLACEHOLDER)
    spans, complete = differing_spans(text, short, MAX_DIFFERENCES)
    placed, longer, upto = [], 0, 0
    for span in spans:
        longer += short.count(_PLACEHOLDER, upto, span.back_start) * (len(token) - 1)
        start = span.back_start + longer
        longer += short.count(_PLACEHOLDER, span.back_start, span.back_end) * (len(token) - 1)
        placed.append(Span(span.start, span.end, start, span.back_end + longer))
        upto = span.back_end
    return placed, complete


class _Explainer:
    """Explains the differences of one text."""

    def __init__(self, tokenizer: Tokenizer, text: str, whole: str, back: str, parse_special: bool) -> None:
        self._tokenizer, self._text, self._whole, self._back = tokenizer, text, whole, back
        self._parse_special = parse_special
        self._steps = _lossy_steps(tokenizer)
        self._unknown = unknown_ids(tokenizer)
        added = tokenizer.get_added_tokens_decoder().values()
        self._specials = {token.content: token for token in added if token.special and len(token.content) > 1}
        self._drops = [name for name in _types(tokenizer.pre_tokenizer) if name in _DROPS_SPACES]
        if any(step.get("behavior") == "Removed" for step in component_steps(tokenizer.pre_tokenizer)):
            self._drops.append("Split")

    def explain(self, span: Span) -> Difference:
        text, back = self._text[span.start : span.end], self._back[span.back_start : span.back_end]
        reasons = self._reasons(span, text, back)
        causes = tuple(dict.fromkeys(cause for cause, _ in reasons))
        return Difference(*span, text, back, causes, ", and ".join(words for _, words in reasons))

    def _reasons(self, span: Span, text: str, back: str) -> list[tuple[str, str]]:
        """Return (cause, reason) of everything that contributed."""
        reasons: list[tuple[str, str]] = []
        if _SURROGATE.search(text):
            reasons.append(("surrogate", "half a character is not valid UTF-8, so “�” was encoded instead"))
        unknown = self._unknown_reason(span)
        steps = [] if text and text.isspace() and self._drops else self._changing_steps(span, back)
        if unknown:
            reasons.append(("unknown", unknown))
        elif steps:
            words = " and ".join(dict.fromkeys(step.description for step in steps))
            reasons.append(("normaliser", f"the normaliser {words}"))
        if not reasons and _only_spaces(text, back):
            reasons.append(self._why_spaces(span, text, back))
        if "\0" in text and reasons:
            reasons[0] = ("nul", reasons[0][1])
        return reasons or [("decoder", f"the decoder ({_names(self._tokenizer.decoder)}) writes it differently")]

    def _changing_steps(self, span: Span, back: str) -> list[_NormaliserStep]:
        """Return the steps of the normaliser that change the span, or join it with its neighbours."""
        inner = self._whole[span.start : span.end]
        before = self._whole[max(span.start - 1, 0) : span.start]
        behind = self._whole[span.end : span.end + 1]
        found = []
        for step in self._steps:
            alone, apart = step.apply(inner), (step.apply(before), step.apply(behind))
            together = step.apply(before + inner + behind)
            if inner:
                changes = alone != inner or together != apart[0] + alone + apart[1]
            else:  # an insertion: only a step that adds spaces between the neighbours can be the cause
                changes = back.isspace() and together.count(" ") > (before + behind).count(" ")
            if changes:
                found.append(step)
            inner, before, behind = alone, apart[0], apart[1]
        return found

    def _unknown_reason(self, span: Span) -> str:
        """Return the reason if the span has an unknown token or no token at all, else ""."""
        start, window = self._window(span)
        pieces = _by_character(token_pieces(self._tokenizer, window, parse_special=self._parse_special), window)
        there = [piece for piece in pieces if _overlaps(piece.start + start, piece.end + start, span)]
        lost = [window[piece.start : piece.end] for piece in there if piece.id in self._unknown]
        if lost:
            return _not_known(list(dict.fromkeys(lost)))
        dropped = self._whole[span.start : span.end]
        # Offsets are not reliable after dropped characters, so the span is encoded on its own.
        left_out = bool(dropped.strip()) and not self._unknown and span.back_start == span.back_end
        if (
            left_out
            and not self._steps
            and not decode(self._tokenizer, encode_prompt(self._tokenizer, dropped)).strip()
        ):
            return "it is not in the vocabulary, and there is no unknown token"
        return ""

    def _why_spaces(self, span: Span, text: str, back: str) -> tuple[str, str]:
        """Return the reason if only spaces differ."""
        special = self._special_at(span, text)
        if special:
            return "special", special
        words = []
        if self._drops:
            words.append(f"the pre-tokenizer ({', '.join(self._drops)}) drops spaces")
        elif "Metaspace" in _types(self._tokenizer.pre_tokenizer):
            words.append("the pre-tokenizer (Metaspace) adds a space before the text")
        if self._tokenizer.decoder is not None and (back or not self._drops):
            words.append(f"the decoder ({_names(self._tokenizer.decoder)}) adds its own")
        elif self._tokenizer.decoder is None and back:
            words.append("without a decoder, tokens are joined with spaces")
        return "spaces", " and ".join(words) or "its tokens contain other spaces"

    def _special_at(self, span: Span, text: str) -> str:
        """Return the reason if a special token is involved, else ""."""
        for content, added in self._specials.items():
            before = self._whole.endswith(content, 0, span.start) and self._parse_special
            behind = self._whole.startswith(content, span.end) and self._parse_special
            if (before and added.rstrip) or (behind and added.lstrip):
                return f"the special token {content} includes adjacent spaces"
            if (before or behind) and not (text and self._drops):
                return f"the decoder ({_names(self._tokenizer.decoder)}) adds spaces around the special token {content}"
            if not self._parse_special and not text and self._whole.startswith(content, span.start - 1):
                return f"{content} is split after its first character, so that it stays plain text"
        return ""

    def _window(self, span: Span) -> tuple[int, str]:
        """Return (start, text) of the context of a span, extended to whole words."""
        start, end = span.start, span.end
        low, high = max(start - _CONTEXT, 0), min(end + _CONTEXT, len(self._whole))
        while start > low and not self._whole[start - 1].isspace():
            start -= 1
        while end < high and not self._whole[end].isspace():
            end += 1
        start = max(start - 1, 0)
        return start, self._whole[start:end]


def _by_character(pieces: list[Piece], text: str) -> list[Piece]:
    """Return the pieces with offsets in characters instead of bytes."""
    at = [0]
    for i, character in enumerate(text):
        at += [i] * (len(character.encode()) - 1) + [i + 1]
    return [piece._replace(start=at[piece.start], end=max(at[piece.end], at[piece.start] + 1)) for piece in pieces]


def _overlaps(start: int, end: int, span: Span) -> bool:
    if span.start == span.end:
        return start <= span.start <= end
    return start < span.end and end > span.start


def _only_spaces(text: str, back: str) -> bool:
    return "".join(text.split()) == "".join(back.split())


def _types(component: object) -> list[str]:
    return list(dict.fromkeys(step["type"] for step in component_steps(component)))


def _names(component: Any) -> str:
    return ", ".join(_types(component)) or "none"


def _describe_change(text: str, back: str) -> str:
    """Describe a difference: “É” becomes “e”; a space is lost."""
    if not text:
        return f"{_quote(back)} {'are' if _is_plural(back) else 'is'} added"
    if not back:
        return f"{_quote(text)} {'are' if _is_plural(text) else 'is'} lost"
    return f"{_quote(text)} {'become' if _is_plural(text) else 'becomes'} {_quote(back)}"


def _is_plural(text: str) -> bool:
    return len(text) > 1 and text.isspace()


def _not_known(words: list[str]) -> str:
    """Return the reason for words that are not in the vocabulary."""
    shown = [f"“{_short(word)}”" for word in words[:_NAMED]]
    if len(words) > _NAMED:
        shown.append(f"{len(words) - _NAMED} more")
    if len(shown) == 1:
        return f"{shown[0]} is not in the vocabulary and cannot be spelled with it"
    return f"{', '.join(shown[:-1])} and {shown[-1]} are not in the vocabulary and cannot be spelled with it"


def _quote(text: str) -> str:
    """Format a text within a sentence: in quotes, and invisible characters by name."""
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
    """Format a text in one line with everything visible, shortened in the middle if it is long."""
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 + 1 :]}"
    return "".join(c if c.isprintable() else {"\n": "⏎", "\t": "⇥"}.get(c, f"⟨U+{ord(c):04X}⟩") for c in shown)


@dataclass(frozen=True)
class _NormaliserStep:
    """One step of a normaliser: its description (“drops accents”), and the function."""

    description: str
    apply: Callable[[str], str]


def _lossy_steps(tokenizer: Tokenizer) -> list[_NormaliserStep]:
    """Return the steps of the tokenizer's normaliser, in order, except those that its decoder undoes."""
    steps: list[_NormaliserStep] = []
    for part in component_steps(tokenizer.normalizer):
        kind = part["type"]
        if kind in _REVERSIBLE or (kind == "Replace" and part["pattern"].get("String") == " "):
            continue
        if kind == "BertNormalizer":
            steps += _bert_steps(part)
        else:
            steps.append(_NormaliserStep(_DESCRIPTIONS.get(kind, _describe_other(part)), _made_of(part).normalize_str))
    return steps


def _bert_steps(part: dict[str, Any]) -> list[_NormaliserStep]:
    """Return the enabled steps of BERT's normaliser, which combines four."""
    options = {**part, "strip_accents": part["lowercase"] if part["strip_accents"] is None else part["strip_accents"]}
    nothing = {name: False for name, _ in _BERT}
    return [
        _NormaliserStep(description, normalizers.BertNormalizer(**{**nothing, name: True}).normalize_str)
        for name, description in _BERT
        if options[name]
    ]


def _describe_other(part: dict[str, Any]) -> str:
    if part["type"] == "Replace":
        pattern = next(iter(part["pattern"].values()))
        return f"replaces “{pattern}” with “{part['content']}”" if part["content"] else f"drops “{pattern}”"
    return f"changes it ({part['type']})"


def _made_of(part: dict[str, Any]) -> normalizers.Normalizer:
    """Build a normaliser from its JSON description; the library can only parse whole tokenizers."""
    whole = {"version": "1.0", "normalizer": part, "model": {"type": "BPE", "vocab": {}, "merges": []}}
    normalizer: normalizers.Normalizer | None = Tokenizer.from_str(json.dumps(whole)).normalizer
    assert normalizer is not None
    return normalizer
