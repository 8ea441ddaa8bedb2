"""SentencePiece's table of replacements as steps of Hugging Face's `tokenizers` that do exactly the same.

The library's own `Precompiled` looks up whole grapheme clusters by their beginning, which loses accents: “Ａ́” becomes
“A”. So it is given one character at a time here. Keys of several characters are letters with their accents: they are
composed (NFC) between marks that keep apart whatever the table would.
"""

from __future__ import annotations

import itertools
import random
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tokenizers import Regex, normalizers

from models.tokenizers.foreign.charsmap import make_charsmap, replace_longest

_APART, _ALONE = "\ufff1", "\ufff0"
"""Unassigned for ever: nothing composes with them, and each is a grapheme cluster of its own."""

_STAYS_ALONE = (
    r"\x00-\x09\x0b-\u02ff\u0370-\u0482\u048a-\u0590\u2010-\u20cf\u3041-\u3098\u30a0-\u30ff\u3400-\u9fff\uac00-\ud7a3"
)
"""Characters that never join the one before them: neither when composed, nor in a grapheme cluster."""

_MOST_ODD = 64  # keys that are replaced one by one, each of which costs a pass
_SEPARATOR = "\ue000"
_AT_ONCE = 8192
_EVERY = 25  # of the keys of three and more characters, most of which are Korean
_N_TRIALS, _TRIAL_LENGTH = 400, 12
_COMMON = ("a", " ", "\u0301", "\u0308", "\u0327", "\r", "\n", "한")


def replacing_steps(rules: Mapping[str, str], symbols: Sequence[str] = ()) -> list[normalizers.Normalizer] | None:
    """The steps that replace as `replace_longest` does; None where there are none that do so exactly.

    Args:
        symbols: texts that stay as they are.
    """
    if not rules:
        return []
    single = {key: text for key, text in rules.items() if len(key) == 1}
    several = [key for key in rules if len(key) > 1]
    nfc = normalizers.NFC()
    composed = _each(nfc, ["".join(single.get(c, c) for c in key) for key in several])
    odd = [key for key, text in zip(several, composed, strict=True) if text != rules[key]]
    regular = set(several).difference(odd)
    if len(odd) > _MOST_ODD or not _is_regular(regular):
        return None
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace(key, rules[key]) for key in sorted(odd, key=len, reverse=True)
    ]
    if regular and symbols:
        ends = "|".join("".join(_class(c) for c in symbol) for symbol in symbols)
        steps.append(normalizers.Replace(Regex(f"(?<={ends})(?=[^{_STAYS_ALONE}])"), _APART))
    kept = {key: text for key, text in single.items() if text}
    dropped = [key for key, text in single.items() if not text]
    later = _class({c for key in regular for c in key[1:]}) if regular else f"[^{_STAYS_ALONE}]"
    if regular:
        steps.append(normalizers.Replace(Regex(_places_apart(regular)), _APART))
    if kept:
        steps.append(normalizers.Replace(Regex(f"(?<={_class(kept)})(?={later})"), _ALONE))
        steps.append(normalizers.Precompiled(make_charsmap(kept)))
        steps.append(normalizers.Replace(_ALONE, ""))
    if dropped:
        steps.append(normalizers.Replace(Regex(_class(dropped)), ""))
    if regular:
        steps += [nfc, normalizers.Replace(_APART, "")]
    keep = {symbol: symbol for symbol in symbols}
    return steps if _do_the_same(steps, {**rules, **keep}, [*single, *odd, *sorted(regular), *symbols]) else None


def _is_regular(keys: set[str]) -> bool:
    """Whether every beginning of a key is one, and what begins keys never goes on within them.

    So where a key is found does not depend on what stands around it.
    """
    firsts, later = {key[0] for key in keys}, {c for key in keys for c in key[1:]}
    return firsts.isdisjoint(later) and all(key[:-1] in keys for key in keys if len(key) > 2)


def _places_apart(keys: Iterable[str]) -> str:
    """A pattern for the places before characters that could join what is before them, but are no part of a key."""
    followers: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        followers[key[:-1]].add(key[-1])
    beginnings: dict[tuple[int, frozenset[str]], set[str]] = defaultdict(set)
    for beginning, after in followers.items():
        beginnings[len(beginning), frozenset(after)].add(beginning)
    within = "|".join(
        f"(?<={_any_of(words)}){_class(after)}" for (_, after), words in sorted(beginnings.items(), key=str)
    )
    # The library breaks where something is put before a whole text.
    return rf"(?!\A)(?=[^{_STAYS_ALONE}])(?!{within})"


def _any_of(words: set[str]) -> str:
    """A pattern for any of these words, all of one length, that takes those together which differ in one character."""
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
    """A pattern for any of these characters, as ranges."""
    codes = sorted(map(ord, characters))
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]"


def _each(normalizer: normalizers.Normalizer, texts: Sequence[str], between: str = _APART) -> Iterator[str]:
    """All texts normalised, each for itself; `between` is in none of them."""
    for i in range(0, len(texts), _AT_ONCE):  # the library lets no other thread go on meanwhile
        joined: str = normalizer.normalize_str(between.join(texts[i : i + _AT_ONCE]))
        yield from joined.split(between)


def _do_the_same(steps: list[normalizers.Normalizer], rules: Mapping[str, str], keys: list[str]) -> bool:
    """Tried on the keys, on every character that NFC changes, and on random texts of both."""
    some = [key for key in keys if len(key) < 3] + [key for key in keys if len(key) >= 3][::_EVERY]
    alphabet = [*some[:: max(1, len(some) // 2000)], *keys[-50:], *_COMMON]
    chance = random.Random(0)
    trials = ["".join(chance.choices(alphabet, k=_TRIAL_LENGTH)) for _ in range(_N_TRIALS)]
    texts = [text for text in (*some, *_changed_by_nfc(), *trials) if _SEPARATOR not in text]
    longest = max(map(len, rules))
    found = _each(normalizers.Sequence(steps), texts, _SEPARATOR)
    return all(
        after == replace_longest(rules, text, longest)
        for text, after in itertools.zip_longest(texts, found, fillvalue="")
    )


def _changed_by_nfc() -> list[str]:
    every = (chr(code) for code in (*range(0xD800), *range(0xE000, sys.maxunicode + 1)))
    return [c for c in every if not unicodedata.is_normalized("NFC", c)]
