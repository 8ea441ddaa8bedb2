"""BERT's WordPiece in the metadata of a GGUF file, in both directions.

GGUF marks the first piece of a word, with SentencePiece's space mark; BERT's vocabulary marks the others (“##ing”).
"""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind
from terrarium.models.tokenizers.token_bytes import SPACE_MARK

_PREFIX = "##"
_MODEL = "tokenizer.ggml.model"
_LOWER, _STRIP = "tokenizer.ggml.normalizer.lowercase", "tokenizer.ggml.normalizer.strip_accents"


def fits(described: dict[str, Any]) -> bool:
    """Return whether every step of a tokenizer.json is BERT's."""
    core, normalizer = described["model"], described.get("normalizer") or {}
    return (
        core.get("type") == "WordPiece"
        and core.get("continuing_subword_prefix") == _PREFIX
        and normalizer.get("type") == "BertNormalizer"
        and bool(normalizer.get("clean_text"))
        and bool(normalizer.get("handle_chinese_chars"))
        and (described.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
    )


def wordpiece_fields(
    described: dict[str, Any], tokens: list[str], kinds: list[int]
) -> dict[str, int | bool | str | list[str] | list[int]]:
    """Return the metadata of a tokenizer that `fits`, without its special tokens.

    Args:
        tokens, kinds: by id; kinds are PieceKind values.
    """
    normalizer, core = described["normalizer"], described["model"]
    lower, strip = bool(normalizer.get("lowercase")), normalizer.get("strip_accents")
    unknown = core["unk_token"]
    marked = [token if kind != PieceKind.NORMAL else _marked(token) for token, kind in zip(tokens, kinds, strict=True)]
    found: dict[str, int | bool | str | list[str] | list[int]] = {
        _MODEL: "bert",
        "tokenizer.ggml.tokens": marked,
        "tokenizer.ggml.token_type": kinds,
        _LOWER: lower,
        _STRIP: lower if strip is None else bool(strip),
    }
    if unknown in tokens:
        found["tokenizer.ggml.unknown_token_id"] = tokens.index(unknown)
    return found


def _marked(token: str) -> str:
    return token.removeprefix(_PREFIX) if token.startswith(_PREFIX) else f"{SPACE_MARK}{token}"


def make_wordpiece(about: dict[str, Any], where: str) -> Tokenizer:
    """Build the tokenizer that the metadata describes.

    Raises:
        DamagedError: if its tokens are missing or duplicate, or it has no unknown token.
    """
    tokens, kinds = about.get("tokenizer.ggml.tokens", []), about.get("tokenizer.ggml.token_type", [])
    kinds = kinds or [PieceKind.NORMAL] * len(tokens)
    controls = [token for token, kind in zip(tokens, kinds, strict=False) if kind != PieceKind.NORMAL]
    plain = [token if kind != PieceKind.NORMAL else _plain(token) for token, kind in zip(tokens, kinds, strict=False)]
    vocab = {token: id for id, token in enumerate(plain)}
    unknown = about.get("tokenizer.ggml.unknown_token_id", 100)
    if not plain or not len(vocab) == len(plain) == len(tokens) == len(kinds) or not _is_id(unknown, plain):
        raise DamagedError(f"{where} is damaged: its tokens are missing or duplicate, or none is the unknown one.")
    tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token=plain[unknown], max_input_chars_per_word=100))
    lower = bool(about.get(_LOWER, True))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=bool(about.get(_STRIP, lower)))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_PREFIX)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in controls])
    start, end = about.get("tokenizer.ggml.bos_token_id", 101), about.get("tokenizer.ggml.seperator_token_id", 102)
    if about.get("tokenizer.ggml.add_bos_token", True) and _is_id(start, plain) and _is_id(end, plain):
        tokenizer.post_processor = processors.BertProcessing((plain[end], end), (plain[start], start))
    return tokenizer


def _plain(token: str) -> str:
    return token.removeprefix(SPACE_MARK) if token.startswith(SPACE_MARK) else f"{_PREFIX}{token}"


def _is_id(id: object, tokens: list[str]) -> bool:
    return type(id) is int and 0 <= id < len(tokens)
