"""Making a tokenizer from text. Byte, character and byte-level BPE ones give back any text that they take in."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers import models as cores

from models.settings.slots import Problem, SettingError
from models.settings.tokenizer_options import KINDS, UNKNOWN, TokenizerOptions, pre_tokenizers_of, used_options
from models.tokenizers.codec import SPECIAL_TOKENS, has_merges
from models.tokenizers.making import trainers
from models.tokenizers.making.texts import LONGEST_RUN, Cut, cut_runs, not_empty
from models.tokenizers.token_bytes import parts_of

SMALLEST = len(SPECIAL_TOKENS) + 256
"""Special tokens and one token per byte: what spells unknown text in bytes has at least these."""

LARGEST = 1_000_000


def train_tokenizer(
    texts: Iterable[str],
    kind: str,
    vocab_size: int,
    options: TokenizerOptions | None = None,
    *,
    progress: bool = False,
    cut: Cut | None = None,
) -> Tokenizer:
    """A new tokenizer with SPECIAL_TOKENS at the ids 0 to 4, and the options' own behind them.

    It has at most `vocab_size` tokens, fewer where the text allows no more (`shortfall` says so); kind "byte" has 256
    and the special ones, and needs no text. `progress` makes the trainers write lines of JSON to stderr. Runs without a
    break are cut to LONGEST_RUN characters first; `cut` counts them.

    Raises:
        ValueError: for an unknown kind, an impossible vocabulary or combination, or an empty text.
    """
    options = options or TokenizerOptions()
    check_training(kind, vocab_size, options)
    specials = [*SPECIAL_TOKENS, *options.special_tokens]
    if kind == "byte":
        return trainers.byte_tokenizer(specials)
    whole = "pre_tokenizer" in used_options(kind) and options.pre_tokenizer == "none"
    texts = not_empty(cut_runs(texts, LONGEST_RUN, anywhere=whole, cut=cut))
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
    """Raise ValueError where no tokenizer of this kind, size and options can be made."""
    if kind not in KINDS:
        raise ValueError(f"There is no tokenizer kind {kind!r}: choose one of {', '.join(KINDS)}.")
    taken = set(SPECIAL_TOKENS) | {UNKNOWN}
    for token in options.special_tokens:
        if token in taken:
            raise SettingError(Problem("special_tokens", f"{token} is a special token in any case: leave it out."))
    choices = pre_tokenizers_of(kind)
    if "pre_tokenizer" in used_options(kind) and options.pre_tokenizer not in choices:
        sentence = f"{kind} does not go with the words of {options.pre_tokenizer!r}: use {' or '.join(choices)}."
        raise SettingError(Problem("pre_tokenizer", sentence))
    smallest = smallest_vocabulary(kind, options)
    if kind != "byte" and not smallest <= vocab_size <= LARGEST:
        raise ValueError(
            f"A vocabulary of {vocab_size} is not possible: it must lie between {smallest:,} (special tokens, and what "
            f"every text is spelled with) and {LARGEST:,}."
        )


def smallest_vocabulary(kind: str, options: TokenizerOptions) -> int:
    """The fewest tokens that such a tokenizer can have, whatever the text."""
    specials = len(SPECIAL_TOKENS) + len(options.special_tokens)
    spells_bytes = kind in ("byte", "bpe") or (kind in ("char", "unigram") and options.byte_fallback)
    return specials + (256 if spells_bytes else 1) + (kind == "unigram" and options.byte_fallback)


def shortfall(tokenizer: Tokenizer, kind: str, vocab_size: int) -> str | None:
    """A sentence where the tokenizer has fewer tokens than were asked for, None where it has them."""
    size = tokenizer.get_vocab_size()
    if kind == "byte" or size >= vocab_size:
        return None
    why = {
        "char": "no more different characters",
        "word": "no more words that are frequent enough",
        "unigram": "no more pieces that are worth a token",
    }.get(kind, "no more pairs that are frequent enough")
    return f"The vocabulary has {size:,} tokens instead of {vocab_size:,}, because the text has {why}."


def tokenizer_kind(tokenizer: Tokenizer) -> str:
    """Which of KINDS a tokenizer is, judged by its parts; "character-bpe" for BPE of characters, as SentencePiece's."""
    core = tokenizer.model
    for kind, kinds in (("wordpiece", cores.WordPiece), ("unigram", cores.Unigram), ("word", cores.WordLevel)):
        if isinstance(core, kinds):
            return kind
    is_byte_level = any(step["type"] == "ByteLevel" for step in parts_of(tokenizer.decoder))
    if has_merges(tokenizer):
        return "bpe" if is_byte_level else "character-bpe"
    return "byte" if is_byte_level else "char"
