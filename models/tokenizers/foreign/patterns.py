"""How published byte-level tokenizers cut a text into words before they merge, by name."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

from models.tokenizers.parts import DIGIT_WORDS, GPT2_WORDS, GPT4_WORDS, byte_level

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE, _ENDING = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"{_BEFORE}{_UPPER}*{_LOWER}+{_ENDING}|{_BEFORE}{_UPPER}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A split into words: the expression, and whether composed characters (NFC) are made first."""

    words: str
    nfc: bool = False

    @property
    def pre_tokenizer(self) -> pre_tokenizers.PreTokenizer:
        """The steps that cut, and turn words into stand-ins of their bytes."""
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(self.words), "isolated"), byte_level()])

    @property
    def normalizer(self) -> normalizers.Normalizer | None:
        """What happens before; None for nothing."""
        return normalizers.NFC() if self.nfc else None


PATTERNS = {
    "gpt2": Pattern(words=GPT2_WORDS),
    "cl100k": Pattern(words=GPT4_WORDS),
    "o200k": Pattern(words=_O200K),
    "llama3": Pattern(words=GPT4_WORDS),
    "qwen": Pattern(words=GPT4_WORDS.replace(r"\p{N}{1,3}", r"\p{N}"), nfc=True),
    "digits": Pattern(words=DIGIT_WORDS),
}
"""GPT-2 and -3, GPT-4, GPT-4o, Llama 3, Qwen (each as published), and GPT-2's with every digit on its own."""


def find_pattern(name: str) -> Pattern:
    """The pattern of that name; ValueError where there is none."""
    if name not in PATTERNS:
        raise ValueError(f"There is no word pattern {name!r}: choose one of {', '.join(PATTERNS)}.")
    return PATTERNS[name]
