"""One function per kind of tokenizer, on the trainers of Hugging Face's `tokenizers`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from terrarium.models.settings.tokenizer_options import UNKNOWN, TokenizerOptions
from terrarium.models.tokenizers.making.parts import (
    byte_level,
    bytes_and_fuse,
    keeps_spaces,
    make_normalizer,
    split_plain_words,
    split_words,
)
from terrarium.models.tokenizers.token_bytes import BYTE_TOKENS, SPACE_MARK, TokenBytes


def byte_tokenizer(specials: Sequence[str]) -> Tokenizer:
    """Make a tokenizer with one token per byte."""
    by_byte = {byte: token for token, byte in TokenBytes.alphabet().items()}
    vocabulary = _numbered(specials, [by_byte[byte] for byte in range(256)])
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def char_tokenizer(
    texts: Iterable[str], vocab_size: int, options: TokenizerOptions, specials: Sequence[str]
) -> Tokenizer:
    """Make a tokenizer of the most frequent characters; others are spelled in bytes, or become the unknown token."""
    normalizer = make_normalizer(options.normalizer)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text if normalizer is None else normalizer.normalize_str(text))
    most_frequent = sorted(counts, key=lambda character: (-counts[character], character))
    spelled = [*BYTE_TOKENS] if options.byte_fallback else [UNKNOWN]
    n_left = vocab_size - len(specials) - len(spelled)
    vocabulary = _numbered(specials, [*spelled, *most_frequent[:n_left]])
    if options.byte_fallback:
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    else:
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    tokenizer.decoder = bytes_and_fuse()
    _finish(tokenizer, options, [*specials, *([] if options.byte_fallback else [UNKNOWN])])
    return tokenizer


def bpe_tokenizer(
    texts: Iterable[str], vocab_size: int, options: TokenizerOptions, specials: Sequence[str], progress: bool
) -> Tokenizer:
    """Train byte-level BPE: repeatedly merges the most frequent pair (Sennrich et al., arXiv:1508.07909)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split_words(options.pre_tokenizer), byte_level()])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=options.min_frequency,
        show_progress=progress,
        special_tokens=list(specials),
        initial_alphabet=sorted(TokenBytes.alphabet()),
    )
    return _trained(tokenizer, texts, options, trainer, progress)


def wordpiece_tokenizer(
    texts: Iterable[str], vocab_size: int, options: TokenizerOptions, specials: Sequence[str], progress: bool
) -> Tokenizer:
    """Train WordPiece as in BERT: words split greedily into the longest pieces (Wu et al., arXiv:1609.08144)."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split_plain_words(options.pre_tokenizer))
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=options.min_frequency,
        show_progress=progress,
        special_tokens=[*specials, UNKNOWN],
    )
    return _trained(tokenizer, texts, options, trainer, progress)


def unigram_tokenizer(
    texts: Iterable[str], vocab_size: int, options: TokenizerOptions, specials: Sequence[str], progress: bool
) -> Tokenizer:
    """Train SentencePiece's Unigram: prunes the least useful of many pieces (Kudo, arXiv:1804.10959)."""
    learner = Tokenizer(models.Unigram())
    if keeps_spaces(options.pre_tokenizer):
        scheme, words = "never", split_words(options.pre_tokenizer)
    else:  # as in T5: words are marked by a leading space; the original spaces are lost
        scheme, words = "always", [pre_tokenizers.WhitespaceSplit()]
    marks_spaces = pre_tokenizers.Metaspace(replacement=SPACE_MARK, prepend_scheme=scheme, split=False)
    learner.pre_tokenizer = pre_tokenizers.Sequence([*words, marks_spaces])
    spelled = [*BYTE_TOKENS] if options.byte_fallback else []
    trainer = trainers.UnigramTrainer(
        vocab_size=max(1, vocab_size - len(specials) - len(spelled)),
        show_progress=progress,
        special_tokens=[UNKNOWN],
        unk_token=UNKNOWN,
    )
    _finish(learner, options, ())
    characters: set[str] = set()
    try:
        _train(learner, _collect_characters(texts, characters), trainer, progress)
    except Exception as error:  # the library has no exception class for this, only a message
        if "contain all chars" not in str(error):
            raise
        n_fixed = len(specials) + len(spelled) + 1
        raise ValueError(too_few(vocab_size, n_fixed + _n_after(learner.normalizer, characters))) from error
    learnt = [tuple(piece) for piece in json.loads(learner.to_str())["model"]["vocab"] if piece[0] != UNKNOWN]
    lowest = min((score for _, score in learnt), default=0.0)
    # Bytes are a last resort: they score below the worst piece, so that they never replace one.
    first = [(token, 0.0) for token in (*specials, UNKNOWN)] + [(token, lowest - 10.0) for token in spelled]
    tokenizer = Tokenizer(models.Unigram([*first, *learnt], unk_id=len(specials), byte_fallback=options.byte_fallback))
    tokenizer.pre_tokenizer = learner.pre_tokenizer
    marks_to_spaces = decoders.Metaspace(replacement=SPACE_MARK, prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), marks_to_spaces, decoders.Fuse()])
    _finish(tokenizer, options, [*specials, UNKNOWN])
    return tokenizer


def too_few(vocab_size: int, needed: int) -> str:
    """Return the error for a vocabulary that is too small for all characters of the text."""
    return (
        f"The text has too many distinct characters for a vocabulary of {vocab_size:,}: use at least {needed:,}, "
        "or kind bpe, which can spell every character in bytes."
    )


def word_tokenizer(
    texts: Iterable[str], vocab_size: int, options: TokenizerOptions, specials: Sequence[str], progress: bool
) -> Tokenizer:
    """Make a tokenizer of the most frequent words; all others become the unknown token."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split_words(options.pre_tokenizer))
    if keeps_spaces(options.pre_tokenizer):
        tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size,
        min_frequency=options.min_frequency,
        show_progress=progress,
        special_tokens=[*specials, UNKNOWN],
    )
    return _trained(tokenizer, texts, options, trainer, progress)


def _trained(
    tokenizer: Tokenizer, texts: Iterable[str], options: TokenizerOptions, trainer: trainers.Trainer, progress: bool
) -> Tokenizer:
    """Set the normaliser, and train on the texts."""
    _finish(tokenizer, options, ())
    _train(tokenizer, texts, trainer, progress)
    return tokenizer


def _finish(tokenizer: Tokenizer, options: TokenizerOptions, specials: Sequence[str]) -> None:
    normalizer = make_normalizer(options.normalizer)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if specials:
        tokenizer.add_special_tokens(list(specials))


def _train(tokenizer: Tokenizer, texts: Iterable[str], trainer: trainers.Trainer, progress: bool) -> None:
    if progress and hasattr(trainer, "progress_format"):  # since tokenizers 0.23; written even without show_progress
        trainer.progress_format = "json"
    tokenizer.train_from_iterator(_without_nul(texts), trainer)


def _collect_characters(texts: Iterable[str], characters: set[str]) -> Iterator[str]:
    for text in texts:
        characters.update(text)
        yield text


def _n_after(normalizer: normalizers.Normalizer | None, characters: set[str]) -> int:
    """Return how many characters a vocabulary needs after normalisation, including the space mark."""
    seen = "".join(sorted(characters))
    return len(set(seen if normalizer is None else normalizer.normalize_str(seen)) | {SPACE_MARK})


def _without_nul(texts: Iterable[str]) -> Iterator[str]:
    # The Unigram trainer treats NUL as the end of a sentence, and panics if it occurs within one.
    for text in texts:
        yield text.replace("\0", " ") if "\0" in text else text


def _numbered(specials: Sequence[str], others: Sequence[str]) -> dict[str, int]:
    return {token: id for id, token in enumerate([*specials, *others])}
