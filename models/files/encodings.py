"""Detection of a text file's encoding by its byte order mark, for all readers of user texts."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

SAVE_AS_UTF8 = "save it as UTF-8 (in your editor: Save as… › Encoding › UTF-8)"
"""The remedy for a text in another encoding, as a clause."""


def encoding_of_file(path: Path) -> str:
    """Return Python's name of a text file's encoding: UTF-16 if it has that byte order mark, else UTF-8.

    Decoding with either removes the mark. Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"
