"""Postal addresses of the United States, each word tagged by hand, from the sources of usaddress."""

from __future__ import annotations

import html
import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from terrarium.models.corpora.corpus import Example
from terrarium.models.published.archives import read_files

_BY_HAND = r"(?:^|/)training/labeled\.xml$"
_GENERATED = r"(?:^|/)training/(?:synthetic_(?:clean_osm_data|osm_data_xml)|us50_\w+|multi_word_state_addresses)\.xml$"
_ADDRESS = re.compile(r"(?s)<AddressString>(.*?)</AddressString>")
_WORD = re.compile(r"(?s)<(\w+)>(.*?)</\1>([^<\s]*)")

_TIMES = 12
"""Number of augmented copies of each address."""
_SWAPPED = 0.4
"""Probability that a run of words is replaced."""


def read_addresses(path: Path) -> list[Example]:
    """Read the addresses from real use, as rows of the task tagging.

    Raises:
        ValueError: as `read_files`.
    """
    return _read(path, _BY_HAND)


def read_more_addresses(path: Path) -> list[Example]:
    """Read addresses generated from a map, and a few more: for training only."""
    return _read(path, _GENERATED)


def varied(rows: Sequence[Example], more: Sequence[Example], seed: int) -> list[Example]:
    """Augment the training rows: several variants of each of `rows`, and of a sample of `more`.

    A run of words with the same tag may be replaced by one from another address, and capitalisation varies, so that the
    model does not rely on the few hundred names in the rows to distinguish streets from places.
    """
    rng = random.Random(f"addresses-{seed}")
    runs: dict[str, list[list[str]]] = defaultdict(list)
    for row in [*rows, *more]:
        for tag, words in _runs(row):
            runs[tag].append(words)
    chosen = [*list(rows) * _TIMES, *rng.sample(more, min(len(more), _TIMES * len(rows) // 3))]
    return [*rows, *(_varied(row, runs, rng) for row in chosen)]


def _varied(row: Example, runs: Mapping[str, list[list[str]]], rng: random.Random) -> Example:
    found: list[tuple[str, str]] = []
    for tag, words in _runs(row):
        other = rng.choice(runs[tag]) if rng.random() < _SWAPPED else words
        has_comma = words[-1].endswith(",")
        other = [*other[:-1], other[-1].rstrip(",") + "," * has_comma]
        found += [(word, tag) for word in other if word]
    change = rng.choice((str, str, str.upper, str.lower, str.title))
    return {"words": [change(word) for word, _ in found], "tags": [tag for _, tag in found]}


def _runs(row: Example) -> list[tuple[str, list[str]]]:
    """Group the words of a row into runs with the same tag."""
    pairs = zip(row["tags"], row["words"], strict=True)
    return [(tag, [word for _, word in run]) for tag, run in groupby(pairs, key=itemgetter(0))]


def _read(path: Path, pattern: str) -> list[Example]:
    """Parse with regular expressions, as one of the files is not well-formed XML."""
    rows = []
    for _, data in read_files(path, pattern):
        for found in _ADDRESS.finditer(data.decode("utf-8", "replace")):
            # A comma after a tag belongs to the word, as for a reader that splits at spaces.
            words = [(html.unescape(word + after).split(), tag) for tag, word, after in _WORD.findall(found[1])]
            tagged = [(word, tag) for parts, tag in words for word in parts]
            if tagged:
                rows.append({"words": [word for word, _ in tagged], "tags": [tag for _, tag in tagged]})
    return rows
