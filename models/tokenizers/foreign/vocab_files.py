"""Reader of the formats that preceded tokenizer.json: vocab.json + merges.txt (GPT-2) and vocab.txt (BERT).

They contain the tokens, but not normalisation and pre-tokenization: these follow the published code of the class that
tokenizer_config.json names. Anything it does not specify is assumed, and reported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from terrarium.models.files.atomic import DamagedError, read_json
from terrarium.models.tokenizers.foreign.patterns import CHOSEN, PATTERNS, PatternUnknownError, find_pattern
from terrarium.models.tokenizers.token_bytes import TokenBytes

_PATTERNS_OF = {
    **dict.fromkeys(
        ("GPT2", "Roberta", "Bart", "Longformer", "CodeGen", "Whisper", "LED", "Blenderbot", "PhoBert", "Deberta"),
        "gpt2",
    ),
    **dict.fromkeys(("Qwen2",), "qwen"),
}
"""Pattern by class of transformers, without the suffix “Tokenizer” or “TokenizerFast”."""

_WORD_PIECE_CLASSES = (
    "Bert",
    "DistilBert",
    "Electra",
    "MobileBert",
    "SqueezeBert",
    "MPNet",
    "LayoutLM",
    "Funnel",
    "ConvBert",
)


def byte_level_bpe(vocab_file: Path, merges_file: Path, pattern: str = "") -> tuple[Tokenizer, list[str]]:
    """Read byte-level BPE as in GPT-2 and BART; return it with the assumptions made, one sentence each.

    Args:
        pattern: a name of PATTERNS; "" follows tokenizer_config.json, or GPT-2 without one.

    Raises:
        ValueError: if it is of another kind; DamagedError if the files are damaged or do not match.
    """
    vocab = read_json(vocab_file)
    if not vocab or not all(type(id) is int and 0 <= id < 2**32 for id in vocab.values()):
        raise DamagedError(f"{vocab_file} is damaged: an id is not a whole number.")
    if len(set(vocab.values())) < len(vocab):
        raise DamagedError(f"{vocab_file} is damaged: two tokens have the same id.")
    lines = [line for line in _lines(merges_file) if line and not line.startswith("#version")]
    if not all(line.count(" ") == 1 for line in lines):
        raise DamagedError(f"{merges_file} is damaged: a line is not a pair of tokens.")
    rules = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    folder = vocab_file.parent
    settings = read_settings(folder)
    name, assumed = _choose_pattern(vocab_file, settings, pattern)
    _check_bytes(vocab_file, vocab, rules)
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=rules))
    except Exception as error:  # the Rust library raises plain Exception
        raise DamagedError(f"{merges_file} does not match {vocab_file.name}: {error}.") from error
    if name == "gpt2":
        prefix = bool(settings.get("add_prefix_space", False))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    else:
        chosen = find_pattern(name)
        tokenizer.pre_tokenizer = chosen.pre_tokenizer
        if chosen.normalizer is not None:
            tokenizer.normalizer = chosen.normalizer
    tokenizer.decoder = decoders.ByteLevel()
    _add_specials(tokenizer, folder, ("<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    if start is not None and end is not None:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", end), ("<s>", start), add_prefix_space=False)
    return tokenizer, assumed


def word_piece(file: Path) -> tuple[Tokenizer, list[str]]:
    """Read WordPiece as in BERT; return it with the assumptions made, one sentence each.

    Raises:
        ValueError: if it is of another kind; DamagedError if the file is damaged.
    """
    tokens = _lines(file)
    vocab = {token: id for id, token in enumerate(tokens)}
    if len(vocab) != len(tokens) or "[UNK]" not in vocab:
        raise DamagedError(f"{file} is damaged: it has a duplicate token, or [UNK] is missing.")
    settings = read_settings(file.parent)
    kind = class_name(settings)
    if kind and kind not in _WORD_PIECE_CLASSES:
        raise ValueError(f"{file} belongs to a {kind}Tokenizer, which is not supported: load its tokenizer.json.")
    lower, strip = settings.get("do_lower_case"), settings.get("strip_accents")
    assumed = []
    if not isinstance(lower, bool):
        lower = True
        assumed.append(
            "Text is lowercased and accents are dropped, as no tokenizer_config.json says otherwise (do_lower_case)."
        )
    tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=lower,
        strip_accents=strip if isinstance(strip, bool) else None,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    _add_specials(tokenizer, file.parent, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    if "[CLS]" in vocab and "[SEP]" in vocab:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return tokenizer, assumed


def _choose_pattern(file: Path, settings: dict[str, Any], pattern: str) -> tuple[str, list[str]]:
    """Return the name of the pattern, and a sentence if it is an assumption."""
    if pattern:
        find_pattern(pattern)
        return pattern, [f"Text is split into words with the pattern {pattern}, {CHOSEN}."]
    kind = class_name(settings)
    if not kind:
        return "gpt2", ["Text is split into words as in GPT-2, as no other file says otherwise."]
    if kind not in _PATTERNS_OF:
        raise PatternUnknownError(
            f"{file} belongs to a {kind}Tokenizer, whose pattern for words is not known: load its tokenizer.json, or "
            f"choose a pattern, one of {', '.join(PATTERNS)}."
        )
    return _PATTERNS_OF[kind], []


def _check_bytes(file: Path, vocab: dict[str, Any], rules: list[tuple[str, str]]) -> None:
    """Raise ValueError for other kinds of BPE, whose files look the same."""
    alphabet = TokenBytes.alphabet()
    other = next((side for pair in rules for side in pair if not all(c in alphabet for c in side)), None)
    if other is not None or any(right.endswith("</w>") for _, right in rules):
        shown = other if other is not None else "</w>"
        raise ValueError(
            f"{file} is not byte-level BPE (it merges {shown!r}), and does not say how text is split: load its "
            "tokenizer.json."
        )
    missing = next((byte for c, byte in alphabet.items() if c not in vocab), None)
    if missing is not None:
        raise DamagedError(f"{file} is damaged: it has no token for the byte {missing:02X}.")


def _add_specials(tokenizer: Tokenizer, folder: Path, usual: tuple[str, ...]) -> None:
    """Mark the special tokens: the usual ones in the vocabulary, and those that other files name."""
    for content in usual:
        if tokenizer.token_to_id(content) is not None:
            # A mask includes the space before it, as in “Paris is <mask>.”
            token = AddedToken(content, lstrip=content == "<mask>", normalized=False, special=True)
            tokenizer.add_special_tokens([token])
    add_named_tokens(tokenizer, folder)


def add_named_tokens(tokenizer: Tokenizer, folder: Path) -> None:
    """Add or mark the tokens that added_tokens.json, tokenizer_config.json and special_tokens_map.json name.

    Raises:
        DamagedError: if they do not match the vocabulary.
    """
    for id, added in _added(folder):
        tokenizer.add_tokens([added])
        if tokenizer.token_to_id(added.content) != id:
            raise DamagedError(f"{folder} is damaged: its added token {added.content!r} is not {id} in its vocabulary.")
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    named = _optional_json(folder / "special_tokens_map.json")
    for value in named.values():
        content = value.get("content") if isinstance(value, dict) else value
        if isinstance(content, str) and content not in known:
            tokenizer.add_special_tokens([AddedToken(content, normalized=False, special=True)])


def _added(folder: Path) -> list[tuple[int, AddedToken]]:
    """Return the added tokens of added_tokens.json and tokenizer_config.json, in order of their ids."""
    file = folder / "added_tokens.json"
    found = {}
    try:
        for content, id in _optional_json(file).items():
            found[int(id)] = AddedToken(content, normalized=False, special=True)
        file = folder / "tokenizer_config.json"
        for text, entry in read_settings(folder).get("added_tokens_decoder", {}).items():
            options = {name: bool(entry.get(name, False)) for name in ("lstrip", "rstrip", "normalized", "single_word")}
            found[int(text)] = AddedToken(str(entry["content"]), special=bool(entry.get("special", False)), **options)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{file} is damaged: its added tokens are not pairs of text and id.") from error
    return sorted(found.items(), key=lambda item: item[0])


def class_name(settings: dict[str, Any]) -> str:
    """Return the tokenizer class of transformers, such as “GPT2”; "" if none is named."""
    name = settings.get("tokenizer_class")
    return name.removesuffix("Fast").removesuffix("Tokenizer") if isinstance(name, str) else ""


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the tokenizer_config.json of a Hugging Face folder; empty if it has none."""
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
