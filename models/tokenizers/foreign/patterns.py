"""How published byte-level tokenizers cut a text into words before they merge, by name."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

from models.tokenizers.making.parts import DIGIT_WORDS, GPT2_WORDS, GPT4_WORDS, byte_level

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE, _ENDING = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"{_BEFORE}{_UPPER}*{_LOWER}+{_ENDING}|{_BEFORE}{_UPPER}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


CHOSEN = "which was chosen at the import"
"""Why a text is cut as it is, where whoever imports the tokenizer has named the pattern."""


class PatternUnknownError(ValueError):
    """Nothing says how a tokenizer cuts texts into words: whoever imports it has to choose a pattern."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A split into words: the expression, and whether composed characters (NFC) are made first.

    `used_by`: the models that are known to cut so, in words.
    """

    words: str
    used_by: str
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
    "gpt2": Pattern(words=GPT2_WORDS, used_by="GPT-2, GPT-3, RoBERTa"),
    "cl100k": Pattern(words=GPT4_WORDS, used_by="GPT-3.5, GPT-4"),
    "o200k": Pattern(words=_O200K, used_by="GPT-4o and later"),
    "llama3": Pattern(words=GPT4_WORDS, used_by="Llama 3"),
    "qwen": Pattern(words=GPT4_WORDS.replace(r"\p{N}{1,3}", r"\p{N}"), used_by="Qwen", nfc=True),
    "digits": Pattern(words=DIGIT_WORDS, used_by="as GPT-2, every digit alone"),
}
"""As published, each; the last is that of tokenizers trained here."""


def find_pattern(name: str) -> Pattern:
    """The pattern of that name; ValueError where there is none."""
    if name not in PATTERNS:
        raise ValueError(f"There is no word pattern {name!r}: choose one of {', '.join(PATTERNS)}.")
    return PATTERNS[name]
