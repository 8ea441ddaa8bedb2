"""How a tokenizer is made, beside its kind and size, as plain data with what a form needs."""

from __future__ import annotations

from dataclasses import dataclass

from models.settings.slots import Problem, SettingError, check_settings, slot

KINDS = ("byte", "char", "bpe", "wordpiece", "unigram", "word")
UNKNOWN = "<|unk|>"
"""What WordPiece and word tokenizers make of what they do not know, and Unigram without byte fallback."""


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """What is done to a text before it is cut into tokens, and what may become one. The defaults lose nothing."""

    normalizer: str = slot(
        "none",
        "Normaliser",
        "What is made the same before anything else: different ways to write one character (nfc; nfkc also joins look-"
        "alikes), capitals (lowercase), or all of BERT's clean-up (bert). What is made the same cannot be told apart "
        "again.",
        group="Text",
        choices=("none", "nfc", "nfkc", "lowercase", "bert"),
    )
    pre_tokenizer: str = slot(
        "digits",
        "Words",
        "Where a token may never reach across: GPT-2's words (gpt2), the same with every digit on its own (digits), "
        "GPT-4's words with numbers in threes (gpt4), words without their spaces (whitespace), or nowhere (none).",
        group="Text",
        choices=("digits", "gpt2", "gpt4", "whitespace", "none"),
    )
    min_frequency: int = slot(
        2,
        "Least frequency",
        "How often something must occur in the text to become a token.",
        group="Vocabulary",
        range=(1, 1_000_000_000),
    )
    byte_fallback: bool = slot(
        True,
        "Byte fallback",
        "Spells in bytes what is not in the vocabulary, so that nothing is ever unknown.",
        group="Vocabulary",
    )
    special_tokens: tuple[str, ...] = slot(
        (),
        "Special tokens",
        "Texts that always are one token of their own, beside those that conversations need.",
        group="Vocabulary",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if len(set(self.special_tokens)) < len(self.special_tokens) or "" in self.special_tokens:
            raise SettingError(
                Problem("special_tokens", "A special token is empty or there twice: give each once, with a text.")
            )


def used_options(kind: str) -> tuple[str, ...]:
    """The options that mean something to a kind."""
    return {
        "byte": ("special_tokens",),
        "char": ("normalizer", "byte_fallback", "special_tokens"),
        "bpe": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
        "wordpiece": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
        "unigram": ("normalizer", "pre_tokenizer", "byte_fallback", "special_tokens"),
        "word": ("normalizer", "pre_tokenizer", "min_frequency", "special_tokens"),
    }[kind]


def pre_tokenizers_of(kind: str) -> tuple[str, ...]:
    """The choices of `pre_tokenizer` that a kind can be combined with."""
    if kind == "wordpiece":  # it marks what goes on within a word, so spaces cannot be part of one
        return ("digits", "whitespace")
    if kind == "word":  # nowhere would make the whole text one word
        return ("digits", "gpt2", "gpt4", "whitespace")
    return ("digits", "gpt2", "gpt4", "whitespace", "none")
