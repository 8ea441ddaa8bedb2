"""Difficult texts for tokenizers, and a small training text."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import Tokenizer

TORTURE = (
    "",
    " ",
    "   ",
    "\n",
    "\r\n\r\n",
    "Hello world, it's THE END; don't we'll I'VE he'ſ 1234567890 3.14159",
    "naïve café Zürich e\u0301 e\u0327\u0301 \uff21\u0301 ﬁ ﬁ\u0301 ½\u0308 Å Å\u0301 x\u0338 >\u0338 I\u0345 ω\u0345",
    "한국어 \u1112\u1161\u11ab \uac00\u11a8 ｶﾞ ﾊﾟ が 東京都に行きます。你好，世界！ ㍿ ㋿ ① ² ™ ～ ~ ﷺ",
    "مرحبا بالعالم \u200fשָׁלוֹם עולם नमस्ते दुनिया ภาษาไทย Ελληνικά ὦ Русский",
    "🎉 🏳️‍🌈 👩‍👩‍👧‍👦 🇩🇪 👍🏽 a🏻 \u0301\u0308 \u0301",
    "\x00 NUL \x01\x02 control \x7f\x8f\x85 a\x00b",
    "two  three   many          spaces \t tab\t\ttabs\r\nCRLF\n\n\nlines \n  end\n  ",
    "\u00a0nbsp\u2003em\u3000wide\u200bzero\ufeffbom\u2028line\u202eback",
    "<|endoftext|> <|im_start|>user <s> </s> <unk> <pad> [CLS] [MASK] <0x41> <0x0A> <|endoftext",
    "▁under▁▁bar ▁ Ġ Ċ ##s </w> \uffff \U0010ffff \ue000 \U0001ccd6 \U0001f16c \ufffd",
    "aaaaaaaaaaaaaaaaaaaa hahahahaha ----------- ======== ''''",
    "def f(x):\n\treturn x ** 2  # {}[]()<>/\\\n\n",
)
"""To be encoded like the original, each on its own and all joined."""

_WORDS = "the a cat dog sat on mat red ball house and of to in it's don't 1 22 333 naïve café 東京 日本 привет мир नमस्ते"


def lines(n: int = 600, seed: int = 0) -> Iterator[str]:
    """Sentences of few words, among them other scripts, some code and runs of spaces."""
    chance = random.Random(seed)
    words = [*_WORDS.split(), "def f(x):", "return", "  ", "e\u0301t\u00e9", "<tag>", "0x1F", "Anna", "HAS", "한국어"]
    for _ in range(n):
        yield " ".join(chance.choices(words, k=chance.randint(3, 12))) + chance.choice([".", "!", "?", "\n", ""])


def random_texts(n: int = 400, seed: int = 1) -> list[str]:
    """Short texts of the characters of the torture texts, in any order."""
    chance = random.Random(seed)
    alphabet = [*"".join(TORTURE), "  ", "\r\n", " ", "e\u0301", "ab", "the", "<0x41>", "\u1112\u1161\u11ab"]
    return ["".join(chance.choices(alphabet, k=chance.randint(1, 16))) for _ in range(n)]


_BLOCKS = (
    *((0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF)),
    *((0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x2190, 0x27BF), (0x3000, 0x30FF)),
    *((0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF), (0x10000, 0x10FFFF)),
)
_SNIPPETS = "the quick Fox don't I'LL HELLO 12345 3.14 naïve def return {}; <0x41> ▁▁ \u1112\u1161\u11ab 👩‍👩‍👧‍👦 🇩🇪"


def mixed_texts(n: int = 1000, seed: int = 2) -> list[str]:
    """Runs of white space, words, and random characters of many blocks, control characters among them, joined."""
    chance = random.Random(seed)

    def part() -> str:
        kind = chance.random()
        if kind < 0.25:
            return " " * chance.randint(1, 40)
        if kind < 0.35:
            return chance.choice("\n\t\r") * chance.randint(1, 6)
        if kind < 0.6:
            return chance.choice(_SNIPPETS.split(" "))
        first, last = chance.choice(_BLOCKS)
        return "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 8)))

    return ["".join(part() for _ in range(chance.randint(1, 12))) for _ in range(n)]


def all_texts() -> list[str]:
    """Everything that is tried on each tokenizer."""
    return [*TORTURE, "".join(TORTURE), *(word for text in TORTURE for word in text.split(" ")), *random_texts()]


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which special tokens are meant, nothing around it."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def saved(tokenizer: Tokenizer) -> Tokenizer:
    """The same, written and read."""
    return Tokenizer.from_str(tokenizer.to_str())
