"""Normalisers, pre-tokenizers and decoders of Hugging Face's `tokenizers`, by their names in TokenizerOptions."""

from __future__ import annotations

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's split into words (Radford et al., 2019; its published code)."""

DIGIT_PATTERN = GPT2_PATTERN.replace(r" ?\p{N}+", r"\p{N}")
"""The same, but with single digits."""

GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""GPT-4's split into words (cl100k_base, as published in tiktoken)."""

_WORDS = {"gpt2": GPT2_PATTERN, "digits": DIGIT_PATTERN, "gpt4": GPT4_PATTERN}


def make_normalizer(name: str) -> normalizers.Normalizer | None:
    """Return the normaliser of that name; None for "none"."""
    if name == "none":
        return None
    if name == "bert":
        return normalizers.BertNormalizer()
    return {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC, "lowercase": normalizers.Lowercase}[name]()


def keeps_spaces(pre_tokenizer: str) -> bool:
    """Return whether words keep their spaces, so that the text can be restored."""
    return pre_tokenizer != "whitespace"


def split_words(name: str) -> list[pre_tokenizers.PreTokenizer]:
    """Return the pre-tokenizers that split text into words; none for "none"."""
    if name == "none":
        return []
    if name == "whitespace":
        return [pre_tokenizers.Whitespace()]
    return [pre_tokenizers.Split(Regex(_WORDS[name]), "isolated")]


def split_plain_words(name: str) -> list[pre_tokenizers.PreTokenizer]:
    """Like `split_words`, for tokenizers whose words contain no spaces."""
    digits = [pre_tokenizers.Digits(individual_digits=True)] if name == "digits" else []
    return [pre_tokenizers.Whitespace(), *digits]


def byte_level() -> pre_tokenizers.PreTokenizer:
    """Maps the bytes of words to the printable byte-level alphabet."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def bytes_and_fuse() -> decoders.Decoder:
    """Decodes byte tokens (“<0x41>”), and joins all tokens without separators."""
    return decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
