"""Pre-tokenizer patterns of published byte-level tokenizers, by name."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

from terrarium.models.tokenizers.making.parts import DIGIT_PATTERN, GPT2_PATTERN, GPT4_PATTERN, byte_level

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE, _ENDING = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"{_BEFORE}{_UPPER}*{_LOWER}+{_ENDING}|{_BEFORE}{_UPPER}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN = GPT4_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")

CHOSEN = "as chosen during the import"
"""The reason given for a pattern that the user chose."""


class PatternUnknownError(ValueError):
    """The files do not say how a tokenizer splits text into words, so the user has to choose a pattern."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A split into words.

    regex: matches one word. used_by: models that use it, for display. nfc: whether NFC normalisation comes first.
    """

    regex: str
    used_by: str
    nfc: bool = False

    @property
    def pre_tokenizer(self) -> pre_tokenizers.PreTokenizer:
        """Splits into words, then maps their bytes to the byte-level alphabet."""
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(self.regex), "isolated"), byte_level()])

    @property
    def normalizer(self) -> normalizers.Normalizer | None:
        """The normaliser, or None."""
        return normalizers.NFC() if self.nfc else None


PATTERNS = {
    "gpt2": Pattern(regex=GPT2_PATTERN, used_by="GPT-2, GPT-3, RoBERTa"),
    "cl100k": Pattern(regex=GPT4_PATTERN, used_by="GPT-3.5, GPT-4"),
    "o200k": Pattern(regex=_O200K, used_by="GPT-4o and later"),
    "llama3": Pattern(regex=GPT4_PATTERN, used_by="Llama 3"),
    "qwen": Pattern(regex=_QWEN, used_by="Qwen up to Qwen3", nfc=True),
    "qwen3.5": Pattern(
        regex=_QWEN.replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]"),
        used_by="Qwen3.5 and Qwen3.6",
        nfc=True,
    ),
    "tekken": Pattern(
        regex=_O200K.replace(_ENDING, "").replace(r"\p{N}{1,3}", r"\p{N}"), used_by="Mistral's Tekken (Nemo and later)"
    ),
    "digits": Pattern(regex=DIGIT_PATTERN, used_by="as GPT-2, with single digits"),
}
"""As published; the last entry is the default of tokenizers trained here."""


def find_pattern(name: str) -> Pattern:
    """Return the pattern of that name; ValueError if there is none."""
    if name not in PATTERNS:
        raise ValueError(f"There is no word pattern {name!r}: choose one of {', '.join(PATTERNS)}.")
    return PATTERNS[name]
