"""The tokenizer of a Hugging Face folder: tokenizer.json, or vocab.json + merges.txt, or vocab.txt. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from models.files import DamagedError, read_json
from models.tokenizers import read_tokenizer

_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def read_tokenizer_files(folder: Path, vocab_size: int) -> tuple[Tokenizer | None, str | None]:
    """The tokenizer in `folder`, None where there is none; and a sentence where one is there in a form not known.

    Raises:
        ValueError: where a file of it is damaged, or it has tokens that a model of `vocab_size` tokens does not.
    """
    tokenizer, file = _read(folder)
    if tokenizer is None or file is None:
        found = next((name for name in _SENTENCEPIECE if (folder / name).is_file()), None)
        if found is None:
            return None, None
        return None, (
            f"The tokenizer in {folder / found} is a SentencePiece model, which cannot be read: put the tokenizer.json "
            "of this model beside it."
        )
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise ValueError(
            f"{file} has tokens up to id {largest}, but the model knows only {vocab_size}: it belongs to another model."
        )
    return tokenizer, None


def _read(folder: Path) -> tuple[Tokenizer | None, Path | None]:
    whole, vocab, merges, words = (
        folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")
    )
    if whole.is_file():
        return _without_limits(read_tokenizer(whole)), whole
    if vocab.is_file() and merges.is_file():
        return _byte_level_bpe(folder, vocab, merges), vocab
    if words.is_file():
        return _word_piece(folder, words), words
    return None, None


def _without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """The same without truncation and padding, which some files switch on for one purpose."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _byte_level_bpe(folder: Path, vocab_file: Path, merges_file: Path) -> Tokenizer:
    """GPT-2's and BART's: bytes as characters, merged as merges.txt says."""
    vocab = read_json(vocab_file)
    if not all(type(id) is int for id in vocab.values()):
        raise DamagedError(f"{vocab_file} is damaged: not every token has a whole number.")
    lines = [line for line in _lines(merges_file) if line and not line.startswith("#version")]
    if not all(line.count(" ") == 1 for line in lines):
        raise DamagedError(f"{merges_file} is damaged: a line is no pair of tokens.")
    rules = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    settings = _settings(folder)
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=rules))
    except Exception as error:  # what the Rust library raises is of no narrower class
        raise DamagedError(f"{merges_file} does not fit {vocab_file.name}: {error}.") from error
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings.get("add_prefix_space", False)))
    tokenizer.decoder = decoders.ByteLevel()
    _add_specials(tokenizer, folder, ("<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    if start is not None and end is not None:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", end), ("<s>", start), add_prefix_space=False)
    return tokenizer


def _word_piece(folder: Path, file: Path) -> Tokenizer:
    """BERT's: words cut into the longest known pieces; lower case unless tokenizer_config.json says otherwise."""
    tokens = _lines(file)
    vocab = {token: id for id, token in enumerate(tokens)}
    if len(vocab) != len(tokens) or "[UNK]" not in vocab:
        raise DamagedError(f"{file} is damaged: a token is there twice, or [UNK] is missing.")
    settings = _settings(folder)
    lower = bool(settings.get("do_lower_case", True))
    strip = settings.get("strip_accents")
    tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lower,
        strip_accents=strip if isinstance(strip, bool) else None,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    _add_specials(tokenizer, folder, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    if "[CLS]" in vocab and "[SEP]" in vocab:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return tokenizer


def _add_specials(tokenizer: Tokenizer, folder: Path, usual: tuple[str, ...]) -> None:
    """Mark the special tokens: the usual ones of the vocabulary, those of special_tokens_map.json, and added ones."""
    named = _optional_json(folder / "special_tokens_map.json")
    contents = [value.get("content") if isinstance(value, dict) else value for value in named.values()]
    added = _optional_json(folder / "added_tokens.json")
    later = [token for token, _ in sorted(added.items(), key=lambda item: item[1] if type(item[1]) is int else -1)]
    for token in (*usual, *(content for content in contents if isinstance(content, str)), *later):
        if tokenizer.token_to_id(token) is None and token in usual:
            continue
        # A mask takes the space before it along, as in «Paris is <mask>.»
        lstrip = token == "<mask>"
        tokenizer.add_special_tokens([AddedToken(token, lstrip=lstrip, normalized=False, special=True)])
    for token, id in added.items():
        if tokenizer.token_to_id(token) != id:
            raise DamagedError(f"{folder / 'added_tokens.json'} does not fit the vocabulary: {token!r} is not {id}.")


def _settings(folder: Path) -> dict[str, Any]:
    return _optional_json(folder / "tokenizer_config.json")


def _optional_json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeError as error:
        raise DamagedError(f"{file} is damaged: it is not UTF-8.") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
