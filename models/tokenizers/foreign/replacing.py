"""Conversion of SentencePiece's replacement table into equivalent normaliser steps of Hugging Face's `tokenizers`.

The library's own `Precompiled` looks up whole grapheme clusters by their beginning, which loses accents: “Ａ́” becomes
“A”. So here it is given one character at a time. Keys of several characters are letters with accents: they are composed
(NFC), with separators where the table would not compose.
"""

from __future__ import annotations

import itertools
import random
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from tokenizers import Regex, normalizers

from terrarium.models.tokenizers.foreign.charsmap import make_charsmap, replace_longest

_APART, _ALONE = "\ufff1", "\ufff0"
"""Unassigned code points: nothing composes with them, and each is a grapheme cluster of its own."""

_NEVER_JOINS = (
    r"\x00-\x09\x0b-\u02ff\u0370-\u0482\u048a-\u0590\u2010-\u20cf\u3041-\u3098\u30a0-\u30ff\u3400-\u9fff\uac00-\ud7a3"
)
"""Characters that never combine with the one before them, neither under NFC nor in a grapheme cluster."""

_MAX_IRREGULAR = 64  # keys with a Replace step of their own, each of which costs a pass
_SEPARATOR = "\ue000"
_BATCH_SIZE = 8192
_STRIDE = 25  # every 25th key of three and more characters is tested (most are Korean)
_N_TRIALS, _TRIAL_LENGTH = 400, 12
_COMMON = ("a", " ", "\u0301", "\u0308", "\u0327", "\r", "\n", "한")


def replacement_steps(rules: Mapping[str, str], symbols: Sequence[str] = ()) -> list[normalizers.Normalizer] | None:
    """Return normaliser steps equivalent to `replace_longest`; None if impossible.

    Args:
        symbols: texts that must stay unchanged.
    """
    if not rules:
        return []
    single = {key: text for key, text in rules.items() if len(key) == 1}
    several = [key for key in rules if len(key) > 1]
    nfc = normalizers.NFC()
    table = str.maketrans(single)
    table.pop(ord(_APART), None)  # it stands between the keys
    composed = _each(lambda text: nfc.normalize_str(text.translate(table)), several)
    odd = [key for key, text in zip(several, composed, strict=True) if text != rules[key]]
    if len(odd) > _MAX_IRREGULAR:
        return None
    regular = set(several).difference(odd)
    followers = _followers(regular)
    if not _is_regular(followers):
        return None
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace(key, rules[key]) for key in sorted(odd, key=len, reverse=True)
    ]
    if regular and symbols:
        ends = "|".join("".join(_class(c) for c in symbol) for symbol in symbols)
        steps.append(normalizers.Replace(Regex(f"(?<={ends})(?=[^{_NEVER_JOINS}])"), _APART))
    kept = {key: text for key, text in single.items() if text}
    dropped = [key for key, text in single.items() if not text]
    later = _class(set().union(*followers.values())) if regular else f"[^{_NEVER_JOINS}]"
    if regular:
        steps.append(normalizers.Replace(Regex(_boundary_pattern(followers)), _APART))
    if kept:
        steps.append(normalizers.Replace(Regex(f"(?<={_class(kept)})(?={later})"), _ALONE))
        steps.append(normalizers.Precompiled(make_charsmap(kept)))
        steps.append(normalizers.Replace(_ALONE, ""))
    if dropped:
        steps.append(normalizers.Replace(Regex(_class(dropped)), ""))
    if regular:
        steps += [nfc, normalizers.Replace(_APART, "")]
    keep = {symbol: symbol for symbol in symbols}
    return steps if _are_equivalent(steps, {**rules, **keep}, [*single, *odd, *sorted(regular), *symbols]) else None


def _followers(keys: Iterable[str]) -> dict[str, set[str]]:
    """Map the part of a key before its last character to the last characters of such keys."""
    followers: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        followers[key[:-1]].add(key[-1])
    return followers


def _is_regular(followers: Mapping[str, set[str]]) -> bool:
    """Return whether every prefix of a key is a key, and no first character of a key occurs later in one.

    Then a match does not depend on its context.
    """
    later = set[str]().union(*followers.values())
    return all(
        beginning[0] not in later and (len(beginning) == 1 or beginning[-1] in followers.get(beginning[:-1], ()))
        for beginning in followers
    )


def _boundary_pattern(followers: Mapping[str, set[str]]) -> str:
    """Return a pattern for positions before characters that could combine with the previous one, outside of keys."""
    beginnings: dict[tuple[int, frozenset[str]], set[str]] = defaultdict(set)
    for beginning, after in followers.items():
        beginnings[len(beginning), frozenset(after)].add(beginning)
    within = "|".join(
        f"(?<={_any_of(words)}){_class(after)}"
        for (_, after), words in sorted(beginnings.items(), key=lambda each: (each[0][0], min(each[1])))
    )
    # The library fails on a replacement at the very start of a text.
    return rf"(?!\A)(?=[^{_NEVER_JOINS}])(?!{within})"


def _any_of(words: set[str]) -> str:
    """Return a compact pattern for any of these words, which have equal lengths."""
    if len(next(iter(words))) == 1:
        return _class(words)
    rests: dict[str, set[str]] = defaultdict(set)
    for word in words:
        rests[word[0]].add(word[1:])
    firsts: dict[frozenset[str], set[str]] = defaultdict(set)
    for first, rest in rests.items():
        firsts[frozenset(rest)].add(first)
    patterns = sorted(_class(group) + _any_of(set(rest)) for rest, group in firsts.items())
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"


def _class(characters: Iterable[str]) -> str:
    """Return a character class of these characters, as ranges."""
    codes = sorted(map(ord, characters))
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]"


def _each(change: Callable[[str], str], texts: Sequence[str], between: str = _APART) -> Iterator[str]:
    """Normalise each text; `between` occurs in none of them, and normalisation does not change it."""
    for i in range(0, len(texts), _BATCH_SIZE):  # the library holds the GIL during a call
        yield from change(between.join(texts[i : i + _BATCH_SIZE])).split(between)


def _are_equivalent(steps: list[normalizers.Normalizer], rules: Mapping[str, str], keys: list[str]) -> bool:
    """Test whether the steps equal the rules: on the keys, on all characters that NFC changes, and on random texts."""
    some = [key for key in keys if len(key) < 3] + [key for key in keys if len(key) >= 3][::_STRIDE]
    alphabet = [*some[:: max(1, len(some) // 2000)], *keys[-50:], *_COMMON]
    chance = random.Random(0)
    trials = ["".join(chance.choices(alphabet, k=_TRIAL_LENGTH)) for _ in range(_N_TRIALS)]
    texts = [text for text in (*some, *_changed_by_nfc(), *trials) if _SEPARATOR not in text]
    longest = max(map(len, rules))
    found = _each(normalizers.Sequence(steps).normalize_str, texts, _SEPARATOR)
    return all(
        after == replace_longest(rules, text, longest)
        for text, after in itertools.zip_longest(texts, found, fillvalue="")
    )


@cache
def _changed_by_nfc() -> Sequence[str]:
    every = [chr(code) for code in (*range(0xD800), *range(0xE000, sys.maxunicode + 1))]
    blocks = (every[i : i + 256] for i in range(0, len(every), 256))
    return [
        c
        for block in blocks
        if not unicodedata.is_normalized("NFC", _APART.join(block))  # few are not
        for c in block
        if not unicodedata.is_normalized("NFC", c)
    ]
