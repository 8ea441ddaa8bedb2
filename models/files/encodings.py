"""Which encoding a text file says that it is in. Every reader of the user's texts asks here."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

SAVE_AS_UTF8 = "save it as UTF-8 (in your editor: Save as… › Encoding › UTF-8)"
"""What to do with a text in another encoding, within a sentence."""


def encoding_of_file(path: Path) -> str:
    """Python's name of the encoding of a text file: UTF-16 where a byte order mark says so, else UTF-8.

    Both decode without the mark. OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"
