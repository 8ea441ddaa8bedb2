"""Reading tokenizers that were not made here. Their form is told by what is in a file, more than by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from models.files.atomic import DamagedError, read_json
from models.number_words import size_words
from models.tokenizers.foreign.sentencepiece import sentencepiece_tokenizer
from models.tokenizers.foreign.sentencepiece_file import looks_like_sentencepiece, read_sentencepiece_file
from models.tokenizers.foreign.tiktoken_ranks import looks_like_ranks, read_ranks
from models.tokenizers.foreign.vocab_files import (
    add_named_tokens,
    byte_level_bpe,
    class_name,
    read_settings,
    word_piece,
)

FORMS = "tokenizer.json, vocab.json with merges.txt, vocab.txt, a SentencePiece .model, tiktoken ranks, a .gguf"
"""What can be read, in words."""

_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model")
_LARGEST = 512 << 20  # bytes; the largest vocabulary known, Gemma's of 262,144 tokens, is 33 MB of tokenizer.json
_HEAD = 4096
_HIGHEST_ID = 1 << 24
_PLAIN_IDS = ("Llama", "CodeLlama", "Gemma")
"""Classes of transformers that take the ids of their SentencePiece file as they are."""

_MARKS = ("bos_token", "eos_token")
_PROBE = "Aé 東京 \t\n👩‍👩‍👧 e\u0301\u0327 1"


@dataclass(frozen=True, kw_only=True)
class ExternalTokenizer:
    """A tokenizer from elsewhere. `form`: what it was read from, in words; `assumptions`: sentences.

    `files`: what it was read from; `template`: the chat template that came with it, "" for none; `marks`: which tokens
    begin and end a text, as "bos_token" and "eos_token", as far as that is said.
    """

    tokenizer: Tokenizer
    form: str
    files: tuple[Path, ...]
    assumptions: tuple[str, ...] = ()
    template: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)


def read_foreign(path: Path, pattern: str = "") -> ExternalTokenizer:
    """The tokenizer in a file or a Hugging Face folder, with the ids that its own library gives.

    Args:
        pattern: how words are cut before merging, a name of PATTERNS, where the file does not say; "" for what is told.

    Raises:
        ValueError: where there is none, it is damaged, or it cannot be read exactly; it names the file. Of these,
            PatternUnknownError: where a pattern has to be given.
    """
    file = find_tokenizer_file(path) if path.is_dir() else path
    if file is None:
        raise ValueError(f"{path} has no tokenizer in it: give a folder or file with {FORMS}.")
    try:
        found = _read(file, pattern)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}.") from error
    _try_out(found.tokenizer, file)
    return found


def find_tokenizer_file(folder: Path) -> Path | None:
    """The file of a folder that says most of its tokenizer; None where there is none."""
    for name in ("tokenizer.json", "vocab.json", "vocab.txt", *_SENTENCEPIECE):
        if (folder / name).is_file() and (name != "vocab.json" or (folder / "merges.txt").is_file()):
            return folder / name
    for suffix in (".model", ".tiktoken", ".gguf"):
        alone = sorted(folder.glob(f"*{suffix}"))
        if len(alone) == 1:
            return alone[0]
    return None


def _read(file: Path, pattern: str) -> ExternalTokenizer:
    head = _head_of(file)
    if head.startswith(b"GGUF"):
        return _read_gguf(file)
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"{file} is too large to be a tokenizer ({size_words(file.stat().st_size)}): choose {FORMS}.")
    folder = file.parent
    is_ranks = looks_like_ranks(head)
    if looks_like_sentencepiece(head) or (file.suffix == ".model" and not is_ranks):
        _check_class(file)
        tokenizer, told = sentencepiece_tokenizer(read_sentencepiece_file(file))
        add_named_tokens(tokenizer, folder)
        return ExternalTokenizer(
            tokenizer=tokenizer,
            form="a SentencePiece model",
            files=(file,),
            assumptions=tuple(told),
            template=_template(folder),
            marks=_marks(folder),
        )
    if is_ranks:
        tokenizer, told = read_ranks(file, pattern)
        return ExternalTokenizer(tokenizer=tokenizer, form="tiktoken ranks", files=(file,), assumptions=tuple(told))
    if head.lstrip().startswith(b"{"):
        return _read_json(file, pattern)
    if file.name == "merges.txt" or head.startswith(b"#version"):
        return _read_json(_beside(file, "vocab.json"), pattern)
    if file.suffix == ".txt" and b"\0" not in head:
        tokenizer, told = word_piece(file)
        return ExternalTokenizer(
            tokenizer=tokenizer,
            form="vocab.txt",
            files=(file,),
            assumptions=tuple(told),
            template=_template(folder),
            marks=_marks(folder),
        )
    raise ValueError(f"{file} is no tokenizer of a kind that can be read: choose {FORMS}.")


def _head_of(file: Path) -> bytes:
    """How it begins.

    Raises:
        ValueError: where it is missing, empty, or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing: it may have been moved or deleted.") from None
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise DamagedError(f"{file} is empty: get it again from where it came from.")
    return head


def _read_json(file: Path, pattern: str) -> ExternalTokenizer:
    """A tokenizer.json, or a vocab.json with its merges.txt beside it."""
    value = read_json(file)
    folder = file.parent
    if isinstance(value.get("model"), dict) or file.name == "tokenizer.json":
        tokenizer = _whole(file)
        told = []
        if tokenizer.truncation or tokenizer.padding:
            told.append("Its truncation and padding, which are for one use of it, were left off.")
            tokenizer.no_truncation()
            tokenizer.no_padding()
        form, files = "tokenizer.json", [file]
    elif value and all(type(id) is int for id in value.values()):
        merges = _beside(file, "merges.txt")
        tokenizer, told = byte_level_bpe(file, merges, pattern)
        form, files = "vocab.json and merges.txt", [file, merges]
    else:
        raise ValueError(f"{file} is JSON, but no tokenizer: choose {FORMS}.")
    return ExternalTokenizer(
        tokenizer=tokenizer,
        form=form,
        files=tuple(files),
        assumptions=tuple(told),
        template=_template(folder),
        marks=_marks(folder),
    )


def _whole(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except UnicodeError as error:
        raise DamagedError(f"{file} is damaged: it is not UTF-8.") from error
    except OSError:
        raise
    except Exception as error:  # what the Rust library raises is of no narrower class
        raise DamagedError(f"{file} is no tokenizer file, or a damaged one ({error}): get it again.") from error


def _read_gguf(file: Path) -> ExternalTokenizer:
    from models.files.gguf_file import read_description
    from models.tokenizers.foreign.gguf_tokenizer import make_tokenizer

    about, _ = read_description(file)
    tokenizer = make_tokenizer(about, str(file))
    if tokenizer is None:
        raise ValueError(f"{file} has no tokenizer in it: choose another file.")
    template = about.get("tokenizer.chat_template")
    ids = {name: about.get(f"tokenizer.ggml.{name}_id") for name in _MARKS}
    return ExternalTokenizer(
        tokenizer=tokenizer,
        form="a GGUF file",
        files=(file,),
        template=template if isinstance(template, str) else "",
        marks={
            name: token
            for name, id in ids.items()
            if isinstance(id, int) and (token := tokenizer.id_to_token(id)) is not None
        },
    )


def _beside(file: Path, name: str) -> Path:
    """The other file of a pair."""
    for other in (file.with_name(name), file.with_name(file.name.replace("vocab", "merges")).with_suffix(".txt")):
        if other.is_file() and other != file:
            return other
    raise ValueError(f"{file} is half of a tokenizer: put {name} beside it.")


def _check_class(file: Path) -> None:
    """Some models number the pieces of their SentencePiece file anew, which only their own code knows."""
    kind = class_name(read_settings(file.parent))
    if kind and kind not in _PLAIN_IDS:
        raise ValueError(
            f"{file} is of a {kind}Tokenizer, which may number its SentencePiece tokens otherwise: load its "
            "tokenizer.json, or move the file out of its folder to read it as it is."
        )


def _template(folder: Path) -> str:
    """The chat template of a Hugging Face folder, of several the one called default; "" where there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    template = read_settings(folder).get("chat_template")
    if isinstance(template, list):
        named = [one for one in template if isinstance(one, dict) and one.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) else ""


def _marks(folder: Path) -> dict[str, str]:
    """The tokens that begin and end a text, as a Hugging Face folder names them."""
    found, settings = {}, read_settings(folder)
    for name in _MARKS:
        token = settings.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            found[name] = token
    return found


def _try_out(tokenizer: Tokenizer, file: Path) -> None:
    """Encode once: a file can parse and still break the library.

    Raises:
        DamagedError: where it does, or its ids are absurd: tables here have a row for each of them.
    """
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest > _HIGHEST_ID:
        raise DamagedError(f"{file} is damaged: it has a token with the id {highest:,}.")
    try:
        tokenizer.encode(_PROBE, add_special_tokens=False)
    except BaseException as error:  # what the Rust library raises is of no narrower class
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # a bug met in Rust
            raise
        raise DamagedError(f"{file} is damaged: nothing can be encoded with it ({error}).") from error
