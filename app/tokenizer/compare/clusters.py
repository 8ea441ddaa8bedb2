"""Grapheme clusters: what people see as one character, whatever it is made of (Unicode's annex 29).

Qt's own finder loses its way behind some scripts and emoji (6.11 breaks every code unit after Devanagari).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
)
"""Where the emoji are that a zero width joiner can join."""

_ALSO_EXTEND = "\u200c\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
"""What belongs to the character before it without being a mark: a joiner, Thai and Japanese signs, skin tones, tags."""

_CONJOINING = "\u0915-\u0939\u0958-\u095f\u0995-\u09b9\u0a95-\u0ab9\u0b15-\u0b39\u0c15-\u0c39\u0d15-\u0d3a"
_LINKERS = "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d"
"""Consonants and viramas of the scripts of India that make conjuncts."""


def cluster_edges(text: str) -> list[int]:
    """Where each grapheme cluster begins, in characters, and after them the text's length."""
    return [0, *(match.end() for match in _pattern().finditer(text))]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    marks = (chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in ("Mn", "Me", "Mc"))
    extend = f"[{''.join(marks)}{_ALSO_EXTEND}]"
    bases = (
        "[\U0001f1e6-\U0001f1ff]{2}",
        f"[{_PICTURES}](?:{extend}*\u200d[{_PICTURES}])*",
        "[\u1100-\u115f]*[\u1160-\u11a7\uac00-\ud7a3][\u1160-\u11a7]*[\u11a8-\u11ff]*",
        "[\u1100-\u115f]+|[\u11a8-\u11ff]+",
        f"[{_CONJOINING}](?:{extend}*[{_LINKERS}](?:{extend}|\u200d)*[{_CONJOINING}])*",
        "[^\x00-\x1f\x7f-\x9f\xad\u200b\u2028\u2029]",
    )
    return re.compile(f"\r\n|(?:{'|'.join(bases)})(?:{extend}|\u200d)*|.", re.DOTALL)
