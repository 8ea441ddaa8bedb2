"""Postal addresses of the United States, each word tagged by hand, from the sources of usaddress."""

from __future__ import annotations

import html
import re
from pathlib import Path

from models.data.collections.archives import read_files
from models.data.corpus import Example

_BY_HAND = r"(?:^|/)training/labeled\.xml$"
_GENERATED = r"(?:^|/)training/(?:synthetic_clean_osm_data|synthetic_osm_data_xml|us50_train_tagged|us50_messiest_manual_label|multi_word_state_addresses)\.xml$"
_ADDRESS = re.compile(r"(?s)<AddressString>(.*?)</AddressString>")
_WORD = re.compile(r"(?s)<(\w+)>(.*?)</\1>([^<\s]*)")


def read_addresses(path: Path) -> list[Example]:
    """The addresses that people met in practice, as rows of the task tagging.

    Raises:
        ValueError: where the package has none.
    """
    return _read(path, _BY_HAND)


def read_more_addresses(path: Path) -> list[Example]:
    """Addresses that were put together from a map, and a few more: to learn from, not to be tested on."""
    return _read(path, _GENERATED)


def _read(path: Path, pattern: str) -> list[Example]:
    """By regular expressions: one of the files is no well-formed XML."""
    rows = []
    for _, data in read_files(path, pattern):
        for found in _ADDRESS.finditer(data.decode("utf-8", "replace")):
            # A comma after a tag belongs to the word, as it does where a reader splits at spaces.
            words = [(html.unescape(word + after).split(), tag) for tag, word, after in _WORD.findall(found[1])]
            tagged = [(word, tag) for parts, tag in words for word in parts]
            if tagged:
                rows.append({"words": [word for word, _ in tagged], "tags": [tag for _, tag in tagged]})
    return rows
