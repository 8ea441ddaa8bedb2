"""Making a tokenizer from text: byte, character or byte-level BPE, all of which take any text and give it back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.tokenizers.pieces import SPECIAL_TOKENS, TokenBytes

KINDS = ("byte", "char", "bpe")
SMALLEST = len(SPECIAL_TOKENS) + 256
"""Special tokens and one token per byte: every tokenizer has at least these."""

LARGEST = 1_000_000
_BLOCK = 1 << 20
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's split into words, but with every digit on its own, so that numbers are read by their digits."""


def train_tokenizer(texts: Iterable[str], kind: str, vocab_size: int, *, progress: bool = False) -> Tokenizer:
    """A new tokenizer with SPECIAL_TOKENS at the ids 0 to 4 and the 256 bytes among the others.

    It has at most `vocab_size` tokens, fewer where the text allows no more (`shortfall` says so); kind "byte" always
    has 261 and needs no text. `progress` makes the BPE trainer write lines of JSON to stderr.

    Raises:
        ValueError: for an unknown kind, a vocabulary too small for the bytes, or an empty text.
    """
    check_settings(kind, vocab_size)
    if kind == "byte":
        return _byte_tokenizer()
    texts = _not_empty(texts)
    return _char_tokenizer(texts, vocab_size) if kind == "char" else _bpe_tokenizer(texts, vocab_size, progress)


def check_settings(kind: str, vocab_size: int) -> None:
    """Raise ValueError where no tokenizer of this kind and size can be made."""
    if kind not in KINDS:
        raise ValueError(f"There is no tokenizer kind {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind != "byte" and not SMALLEST <= vocab_size <= LARGEST:
        raise ValueError(
            f"A vocabulary of {vocab_size} is not possible: it must lie between {SMALLEST} (the 256 bytes and "
            f"{len(SPECIAL_TOKENS)} special tokens) and {LARGEST:,}."
        )


def shortfall(tokenizer: Tokenizer, kind: str, vocab_size: int) -> str | None:
    """A sentence where the tokenizer has fewer tokens than were asked for, None where it has them."""
    size = tokenizer.get_vocab_size()
    if kind == "byte" or size >= vocab_size:
        return None
    why = "no more different characters" if kind == "char" else "no more pairs that occur twice"
    return f"The vocabulary has {size:,} tokens instead of {vocab_size:,}, because the text has {why}."


def tokenizer_kind(tokenizer: Tokenizer) -> str:
    """Which of KINDS a tokenizer is, judged by its parts; foreign ones count as "bpe"."""
    if not isinstance(tokenizer.decoder, decoders.ByteLevel):
        return "char"
    return "byte" if tokenizer.get_vocab_size(with_added_tokens=False) == SMALLEST else "bpe"


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """The texts of files, in blocks that end where a line does; of .jsonl examples, only what people will read.

    Raises:
        ValueError: for a file that is missing or not UTF-8, or a .jsonl line that is no example.
    """
    for path in paths:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                if path.suffix == ".jsonl":
                    yield from _example_texts(file, path)
                else:
                    while block := file.read(_BLOCK):
                        yield block + file.readline()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is not UTF-8 text (byte {error.start:,} of a block does not fit): save it as UTF-8."
            ) from error
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error


def _example_texts(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
            contents = [example["text"]] if "text" in example else [m["content"] for m in example["messages"]]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f'{path}, line {number}: not an example ({{"text": …}} or {{"messages": …}}).') from error
        for content in contents:
            yield " " + content  # the chat template puts a space before each


def _not_empty(texts: Iterable[str]) -> Iterator[str]:
    empty = True
    for text in texts:
        empty = empty and not text.strip()
        yield text
    if empty:
        raise ValueError("The text is empty, so there is nothing to learn tokens from: choose another file.")


def _special_vocabulary() -> dict[str, int]:
    return {token: id for id, token in enumerate(SPECIAL_TOKENS)}


def _byte_tokenizer() -> Tokenizer:
    vocabulary = _special_vocabulary()
    by_byte = {byte: token for token, byte in TokenBytes.alphabet().items()}
    vocabulary |= {by_byte[byte]: len(SPECIAL_TOKENS) + byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def _char_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    most_frequent = sorted(counts, key=lambda character: (-counts[character], character))
    vocabulary = _special_vocabulary()
    vocabulary |= {f"<0x{byte:02X}>": len(SPECIAL_TOKENS) + byte for byte in range(256)}
    vocabulary |= {character: SMALLEST + i for i, character in enumerate(most_frequent[: vocab_size - SMALLEST])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def _bpe_tokenizer(texts: Iterable[str], vocab_size: int, progress: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        show_progress=progress,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(TokenBytes.alphabet()),
    )
    if progress and hasattr(trainer, "progress_format"):  # since tokenizers 0.23; written even without show_progress
        trainer.progress_format = "json"
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
