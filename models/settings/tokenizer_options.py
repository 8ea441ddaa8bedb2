"""Options for training a tokenizer, apart from its kind and vocabulary size."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.models.settings.slots import Problem, SettingError, check_settings, slot

KINDS = ("byte", "char", "bpe", "wordpiece", "unigram", "word")
UNKNOWN = "<|unk|>"
"""The unknown token of WordPiece and word tokenizers, and of Unigram without byte fallback."""


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """Options of text preparation and of the vocabulary. The defaults are lossless."""

    normalizer: str = slot(
        "none",
        "Normaliser",
        "What is unified first: different encodings of one character (nfc; nfkc also unifies look-alikes), capitals "
        "(lowercase), or all of BERT's clean-up (bert). What is unified cannot be told apart again.",
        group="Preparing the text",
        choices=("none", "nfc", "nfkc", "lowercase", "bert"),
    )
    pre_tokenizer: str = slot(
        "digits",
        "Word boundaries",
        "Boundaries that no token crosses: GPT-2's words (gpt2), the same with single digits (digits), "
        "GPT-4's words with groups of three digits (gpt4), words without their spaces (whitespace), or none.",
        group="Preparing the text",
        choices=("digits", "gpt2", "gpt4", "whitespace", "none"),
    )
    min_frequency: int = slot(
        2,
        "Minimum frequency",
        "How often a piece must occur in the text to become a token.",
        group="Tokens",
        range=(1, 1_000_000_000),
    )
    byte_fallback: bool = slot(
        True,
        "Byte fallback",
        "Encodes what is not in the vocabulary as bytes, so that nothing is unknown.",
        group="Tokens",
    )
    special_tokens: tuple[str, ...] = slot(
        (),
        "Special tokens",
        "Strings that are always a single token, in addition to those for conversations.",
        group="Tokens",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if len(set(self.special_tokens)) < len(self.special_tokens) or "" in self.special_tokens:
            raise SettingError(
                Problem("special_tokens", "A special token is empty or a duplicate: enter each once, with text.")
            )


def used_options(kind: str) -> tuple[str, ...]:
    """Return the options that apply to a kind of tokenizer."""
    return {
        "byte": ("special_tokens",),
        "char": ("normalizer", "byte_fallback", "special_tokens"),
        "bpe": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
        "wordpiece": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
        "unigram": ("normalizer", "pre_tokenizer", "byte_fallback", "special_tokens"),
        "word": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
    }[kind]


def pre_tokenizers_of(kind: str) -> tuple[str, ...]:
    """Return the choices of `pre_tokenizer` for a kind of tokenizer."""
    if kind == "wordpiece":  # it marks continuations within a word, so a word cannot contain spaces
        return ("digits", "whitespace")
    if kind == "word":  # "none" would make the whole text one word
        return ("digits", "gpt2", "gpt4", "whitespace")
    return ("digits", "gpt2", "gpt4", "whitespace", "none")
