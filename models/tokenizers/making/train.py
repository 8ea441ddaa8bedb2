"""Training of tokenizers. Byte, character and byte-level BPE tokenizers are lossless."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers import models as cores

from terrarium.models.settings.slots import Problem, SettingError
from terrarium.models.settings.tokenizer_options import (
    KINDS,
    UNKNOWN,
    TokenizerOptions,
    pre_tokenizers_of,
    used_options,
)
from terrarium.models.tokenizers.codec import SPECIAL_TOKENS, has_merges
from terrarium.models.tokenizers.making import trainers
from terrarium.models.tokenizers.making.texts import MAX_RUN_LENGTH, CutCounter, require_text, split_long_runs
from terrarium.models.tokenizers.token_bytes import component_steps

MIN_VOCAB_SIZE = len(SPECIAL_TOKENS) + 256
"""Special tokens and one token per byte: the minimum for tokenizers with byte fallback."""

MAX_VOCAB_SIZE = 1_000_000


def train_tokenizer(
    texts: Iterable[str],
    kind: str,
    vocab_size: int,
    options: TokenizerOptions | None = None,
    *,
    progress: bool = False,
    cut: CutCounter | None = None,
) -> Tokenizer:
    """Train a tokenizer with SPECIAL_TOKENS at the ids 0 to 4, followed by those of the options.

    It has at most `vocab_size` tokens, or fewer if the text does not yield more (see `describe_shortfall`). Kind "byte"
    has 256 and the special ones, and needs no text.


    Args:
        progress: make the trainers write progress as lines of JSON to stderr.
        cut: counts the runs without spaces that are longer than MAX_RUN_LENGTH, and so are split.

    Raises:
        ValueError: for an unknown kind, an impossible vocabulary size or combination, or an empty text.
    """
    options = options or TokenizerOptions()
    check_training(kind, vocab_size, options)
    specials = [*SPECIAL_TOKENS, *options.special_tokens]
    if kind == "byte":
        return trainers.byte_tokenizer(specials)
    whole = "pre_tokenizer" in used_options(kind) and options.pre_tokenizer == "none"
    texts = require_text(split_long_runs(texts, MAX_RUN_LENGTH, anywhere=whole, cut=cut))
    if kind == "char":
        return trainers.char_tokenizer(texts, vocab_size, options, specials)
    make = {
        "bpe": trainers.bpe_tokenizer,
        "wordpiece": trainers.wordpiece_tokenizer,
        "unigram": trainers.unigram_tokenizer,
        "word": trainers.word_tokenizer,
    }[kind]
    tokenizer = make(texts, vocab_size, options, specials, progress)
    if tokenizer.get_vocab_size() > vocab_size:
        raise ValueError(trainers.too_few(vocab_size, tokenizer.get_vocab_size()))
    return tokenizer


def check_training(kind: str, vocab_size: int, options: TokenizerOptions) -> None:
    """Raise ValueError if a tokenizer of this kind, size and options is impossible."""
    if kind not in KINDS:
        raise ValueError(f"There is no tokenizer kind {kind!r}: choose one of {', '.join(KINDS)}.")
    taken = set(SPECIAL_TOKENS) | {UNKNOWN}
    for token in options.special_tokens:
        if token in taken:
            raise SettingError(Problem("special_tokens", f"{token} is always a special token: remove it."))
    choices = pre_tokenizers_of(kind)
    if "pre_tokenizer" in used_options(kind) and options.pre_tokenizer not in choices:
        sentence = f"{kind} does not work with words of kind {options.pre_tokenizer!r}: use {' or '.join(choices)}."
        raise SettingError(Problem("pre_tokenizer", sentence))
    smallest = min_vocab_size(kind, options)
    if kind != "byte" and not smallest <= vocab_size <= MAX_VOCAB_SIZE:
        raise ValueError(
            f"A vocabulary of {vocab_size:,} tokens is not possible: use {smallest:,} (special tokens and base "
            f"symbols) to {MAX_VOCAB_SIZE:,}."
        )


def min_vocab_size(kind: str, options: TokenizerOptions) -> int:
    """Return the smallest possible vocabulary size of such a tokenizer."""
    specials = len(SPECIAL_TOKENS) + len(options.special_tokens)
    spells_bytes = kind in ("byte", "bpe") or (kind in ("char", "unigram") and options.byte_fallback)
    return specials + (256 if spells_bytes else 1) + (kind == "unigram" and options.byte_fallback)


def describe_shortfall(tokenizer: Tokenizer, kind: str, vocab_size: int) -> str | None:
    """Return a sentence if the tokenizer has fewer tokens than requested, else None."""
    size = tokenizer.get_vocab_size()
    if kind == "byte" or size >= vocab_size:
        return None
    why = {
        "char": "no more distinct characters",
        "word": "no more words that are frequent enough",
        "unigram": "no more useful pieces",
    }.get(kind, "no more pairs that are frequent enough")
    return f"The vocabulary has {size:,} tokens instead of {vocab_size:,}, because the text has {why}."


def tokenizer_kind(tokenizer: Tokenizer) -> str:
    """Classify a tokenizer as one of KINDS by its components; "character-bpe" is BPE on characters (SentencePiece)."""
    core = tokenizer.model
    for kind, kinds in (("wordpiece", cores.WordPiece), ("unigram", cores.Unigram), ("word", cores.WordLevel)):
        if isinstance(core, kinds):
            return kind
    is_byte_level = any(step["type"] == "ByteLevel" for step in component_steps(tokenizer.decoder))
    if has_merges(tokenizer):
        return "bpe" if is_byte_level else "character-bpe"
    return "byte" if is_byte_level else "char"
