"""Reading of tokenizers in other formats, detected by a file's content rather than its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.files.atomic import DamagedError, read_json
from terrarium.models.number_words import format_size
from terrarium.models.tokenizers.foreign.sentencepiece import sentencepiece_tokenizer
from terrarium.models.tokenizers.foreign.sentencepiece_file import looks_like_sentencepiece, read_sentencepiece_file
from terrarium.models.tokenizers.foreign.tekken import NAMED_TOKENS, looks_like_tekken, read_tekken
from terrarium.models.tokenizers.foreign.tiktoken_ranks import looks_like_ranks, read_ranks
from terrarium.models.tokenizers.foreign.vocab_files import (
    add_named_tokens,
    byte_level_bpe,
    class_name,
    read_settings,
    word_piece,
)

FORMS = (
    "tokenizer.json, vocab.json with merges.txt, vocab.txt, a SentencePiece .model, tiktoken ranks, "
    "Mistral's tekken.json, a .gguf"
)
"""The supported formats, for messages."""

_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model")
_MAX_FILE_BYTES = 512 << 20  # bytes; the largest known tokenizer.json, Gemma's with 262,144 tokens, has 33 MB
_HEAD_BYTES = 4096
_PAIRS = {"vocab.json": "merges.txt", "encoder.json": "vocab.bpe"}
"""Vocabulary file of byte-level BPE -> its merges file: as in Hugging Face's folders, and as in OpenAI's GPT-2."""

_OTHER_HALF = _PAIRS | {merges: vocab for vocab, merges in _PAIRS.items()}
_REFUSED = (
    (
        re.compile(rb"[^\n]*bpe_simple_vocab"),
        "belongs to CLIP, which repairs texts first (ftfy), so its ids cannot be exact here: load a tokenizer.json.",
    ),
    (re.compile(rb"\x1f\x8b"), "is compressed: unpack it first."),
    (
        re.compile(rb"1 b?['\"].{1,4}['\"] 1\r?\n"),
        "belongs to RWKV, which always takes the longest token, with no split into words: that has no equivalent here.",
    ),
)
"""First bytes of files that would otherwise be mistaken for another format, and why they are refused."""
_MAX_ID = 1 << 24
_PLAIN_IDS = ("Llama", "CodeLlama", "Gemma")
"""Classes of transformers whose ids are those of the SentencePiece file."""

_NAMED_TOKENS = ("bos_token", "eos_token")
_PROBE = "Aé 東京 \t\n👩‍👩‍👧 e\u0301\u0327 1"


@dataclass(frozen=True, kw_only=True)
class ExternalTokenizer:
    """An imported tokenizer.

    Attributes:
        form: the format that it was read from, for display.
        files: the files that it was read from.
        assumptions: what the files leave undefined, one sentence each.
        template: the chat template that came with it, "" for none.
        named_tokens: the tokens that begin and end a text, under "bos_token" and "eos_token", as far as known.
    """

    tokenizer: Tokenizer
    form: str
    files: tuple[Path, ...]
    assumptions: tuple[str, ...] = ()
    template: str = ""
    named_tokens: Mapping[str, str] = field(default_factory=dict)


def read_foreign(path: Path, pattern: str = "") -> ExternalTokenizer:
    """Read the tokenizer in a file or a Hugging Face folder, with exactly the ids of its own library.

    Args:
        pattern: the name of a pre-tokenizer pattern (PATTERNS), for files that do not have one.

    Raises:
        ValueError: if no tokenizer is found, it is damaged, or it cannot be read exactly; the message names the file.
            Its subclass PatternUnknownError: if the user has to choose a pattern.
    """
    file = find_tokenizer_file(path) if path.is_dir() else path
    if file is None:
        raise ValueError(f"{path} contains no tokenizer: give a folder or file with {FORMS}.")
    try:
        found = _read(file, pattern)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}.") from error
    _check_encodes(found.tokenizer, file)
    return found


def find_tokenizer_file(folder: Path) -> Path | None:
    """Return the file of a folder that best describes its tokenizer, or None."""
    for name in ("tokenizer.json", *_PAIRS, "vocab.txt", *_SENTENCEPIECE, "tekken.json"):
        if (folder / name).is_file() and (name not in _PAIRS or (folder / _PAIRS[name]).is_file()):
            return folder / name
    for suffix in (".model", ".model.v*", ".tiktoken", ".gguf"):
        alone = sorted(folder.glob(f"*{suffix}"))
        if len(alone) == 1:
            return alone[0]
    return None


def _read(file: Path, pattern: str) -> ExternalTokenizer:
    head = _head_of(file)
    if head.startswith(b"GGUF"):
        return _read_gguf(file)
    if file.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"{file} is too large to be a tokenizer ({format_size(file.stat().st_size)}): choose {FORMS}.")
    for beginning, why in _REFUSED:
        if beginning.match(head):
            raise ValueError(f"{file} {why}")
    folder = file.parent
    is_ranks = looks_like_ranks(head)
    if looks_like_sentencepiece(head) or (file.suffix == ".model" and not is_ranks):
        _check_class(file)
        tokenizer, assumptions = sentencepiece_tokenizer(read_sentencepiece_file(file))
        add_named_tokens(tokenizer, folder)
        return ExternalTokenizer(
            tokenizer=tokenizer,
            form="a SentencePiece model",
            files=(file,),
            assumptions=tuple(assumptions),
            template=_template(folder),
            named_tokens=_named_tokens(folder),
        )
    if is_ranks:
        tokenizer, assumptions = read_ranks(file, pattern)
        return ExternalTokenizer(
            tokenizer=tokenizer, form="tiktoken ranks", files=(file,), assumptions=tuple(assumptions)
        )
    if head.lstrip().startswith(b"{"):
        return _read_json(file, pattern)
    if file.name in _PAIRS.values() or head.startswith(b"#version"):
        return _read_json(_beside(file, "vocab.json"), pattern)
    if file.suffix == ".txt" and b"\0" not in head:
        tokenizer, assumptions = word_piece(file)
        return ExternalTokenizer(
            tokenizer=tokenizer,
            form="vocab.txt",
            files=(file,),
            assumptions=tuple(assumptions),
            template=_template(folder),
            named_tokens=_named_tokens(folder),
        )
    raise ValueError(f"{file} is not a supported tokenizer format: choose {FORMS}.")


def _head_of(file: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        ValueError: if it is missing, empty, or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing: it may have been moved or deleted.") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise DamagedError(f"{file} is empty: download it again.")
    return head


def _read_json(file: Path, pattern: str) -> ExternalTokenizer:
    """Read a tokenizer.json, a Tekken file, or a vocab.json with its merges.txt."""
    value = read_json(file, _MAX_FILE_BYTES)
    folder = file.parent
    if looks_like_tekken(value):
        tokenizer, assumptions = read_tekken(file, value)
        return ExternalTokenizer(
            tokenizer=tokenizer,
            form="Mistral's Tekken",
            files=(file,),
            assumptions=tuple(assumptions),
            named_tokens={
                name: token for name, token in NAMED_TOKENS.items() if tokenizer.token_to_id(token) is not None
            },
        )
    if isinstance(value.get("model"), dict) or file.name == "tokenizer.json":
        tokenizer = _load_tokenizer_json(file)
        assumptions = []
        if tokenizer.truncation or tokenizer.padding:
            assumptions.append("Its truncation and padding settings were removed.")
            tokenizer.no_truncation()
            tokenizer.no_padding()
        form, files = "tokenizer.json", [file]
    elif value and all(type(id) is int for id in value.values()):
        merges = _beside(file, "merges.txt")
        tokenizer, assumptions = byte_level_bpe(file, merges, pattern)
        form, files = f"{file.name} and {merges.name}", [file, merges]
    else:
        raise ValueError(f"{file} is JSON, but not a tokenizer: choose {FORMS}.")
    return ExternalTokenizer(
        tokenizer=tokenizer,
        form=form,
        files=tuple(files),
        assumptions=tuple(assumptions),
        template=_template(folder),
        named_tokens=_named_tokens(folder),
    )


def _load_tokenizer_json(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except UnicodeError as error:
        raise DamagedError(f"{file} is damaged: it is not UTF-8.") from error
    except OSError:
        raise
    except Exception as error:  # the Rust library raises plain Exception
        raise DamagedError(f"{file} is damaged or not a tokenizer ({error}): download it again.") from error


def _read_gguf(file: Path) -> ExternalTokenizer:
    from terrarium.models.files.gguf_file import read_gguf_header
    from terrarium.models.tokenizers.foreign.gguf_tokenizer import make_tokenizer

    about, _ = read_gguf_header(file)
    tokenizer = make_tokenizer(about, str(file))
    if tokenizer is None:
        raise ValueError(f"{file} contains no tokenizer: choose another file.")
    template = about.get("tokenizer.chat_template")
    ids = {name: about.get(f"tokenizer.ggml.{name}_id") for name in _NAMED_TOKENS}
    return ExternalTokenizer(
        tokenizer=tokenizer,
        form="a GGUF file",
        files=(file,),
        template=template if isinstance(template, str) else "",
        named_tokens={
            name: token
            for name, id in ids.items()
            if isinstance(id, int) and (token := tokenizer.id_to_token(id)) is not None
        },
    )


def _beside(file: Path, usual: str) -> Path:
    """Return the file with the merges (or the vocabulary) that belongs to `file`, by default called `usual`."""
    name = _OTHER_HALF.get(file.name, usual)
    for other in (file.with_name(name), file.with_name(file.name.replace("vocab", "merges")).with_suffix(".txt")):
        if other.is_file() and other != file:
            return other
    raise ValueError(f"{file} is only half of a tokenizer: {name} is missing beside it.")


def _check_class(file: Path) -> None:
    """Refuse models whose own code renumbers the pieces of the SentencePiece file."""
    kind = class_name(read_settings(file.parent))
    if kind and kind not in _PLAIN_IDS:
        raise ValueError(
            f"{file} belongs to a {kind}Tokenizer, which may renumber its SentencePiece tokens: load its "
            "tokenizer.json, or move the file to another folder to read it as it is."
        )


def _template(folder: Path) -> str:
    """Return the chat template of a Hugging Face folder, or the default one of several; "" if it has none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    template = read_settings(folder).get("chat_template")
    if isinstance(template, list):
        named = [one for one in template if isinstance(one, dict) and one.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) else ""


def _named_tokens(folder: Path) -> dict[str, str]:
    """Return the bos and eos tokens that a Hugging Face folder names."""
    found, settings = {}, read_settings(folder)
    for name in _NAMED_TOKENS:
        token = settings.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            found[name] = token
    return found


def _check_encodes(tokenizer: Tokenizer, file: Path) -> None:
    """Encode once: a file can parse and still crash the library.

    Raises:
        DamagedError: if it does, or its ids are too large (some tables here have a row per id).
    """
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest > _MAX_ID:
        raise DamagedError(f"{file} is damaged: it has a token with the id {highest:,}.")
    try:
        tokenizer.encode(_PROBE, add_special_tokens=False)
    except BaseException as error:  # the Rust library raises plain Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # a panic in Rust
            raise
        raise DamagedError(f"{file} is damaged: encoding fails ({error}).") from error
