"""Tokenizers from the metadata of GGUF files: GPT-2's byte-level BPE, WordPiece, or SentencePiece. No torch."""

from __future__ import annotations

import itertools
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.gguf_wordpiece import make_wordpiece
from terrarium.models.tokenizers.foreign.patterns import PATTERNS
from terrarium.models.tokenizers.foreign.sentencepiece import sentencepiece_tokenizer
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind, SentencePiece, SentencePieceModel
from terrarium.models.tokenizers.making.parts import GPT2_PATTERN, byte_level
from terrarium.models.tokenizers.token_bytes import SPACE_MARK

_LLAMA3 = ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral")
SPLITS: dict[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys(("gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jina-v2-de", "trillion"), ((GPT2_PATTERN,), False)),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), ((r"\p{N}", GPT2_PATTERN), False)
    ),
    **dict.fromkeys(_LLAMA3, ((PATTERNS["llama3"].regex,), True)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), ((PATTERNS["qwen"].regex,), False)),
}
"""By tokenizer.ggml.pre: the patterns that split text into words, applied one after another, as in llama.cpp; and
whether a word in the vocabulary becomes one token without merges. Export writes the first name with a matching
split."""

NO_MERGE = " "
"""A placeholder merge for tokenizers without merges, because llama.cpp requires one."""

_SENTENCEPIECE = {"llama": "bpe", "t5": "unigram"}
"""tokenizer.ggml.model -> algorithm of SentencePiece."""


def has_tokenizer(about: dict[str, Any]) -> bool:
    """Return whether the metadata `about` describe a tokenizer."""
    return about.get("tokenizer.ggml.model") not in (None, "no_vocab")


def make_tokenizer(about: dict[str, Any], where: str) -> Tokenizer | None:
    """Build the tokenizer that the metadata `about` describes; None if it describes none.

    Raises:
        ValueError: for an unsupported kind; DamagedError if tokens, types and merges are inconsistent.
    """
    if not has_tokenizer(about):
        return None
    kind = about["tokenizer.ggml.model"]
    if kind in _SENTENCEPIECE:
        tokenizer, _ = sentencepiece_tokenizer(_sentencepiece_model(about, _SENTENCEPIECE[kind], where))
        _add_start(tokenizer, about, about["tokenizer.ggml.tokens"])
        return tokenizer
    if kind == "bert":
        return make_wordpiece(about, where)
    if kind != "gpt2":
        raise ValueError(
            f"{where}: tokenizers of kind {kind!r} are not supported, only 'gpt2' (byte-level BPE), 'bert' "
            "(WordPiece), 'llama' and 't5' (SentencePiece). Load the model's Hugging Face folder with its "
            "tokenizer.json instead."
        )
    split = about.get("tokenizer.ggml.pre", "")
    if split not in SPLITS:
        raise ValueError(
            f"{where}: the pre-tokenizer {split!r} (tokenizer.ggml.pre) is not supported, only {', '.join(SPLITS)}."
        )
    tokens, merges, kinds = (about.get(f"tokenizer.ggml.{key}", []) for key in ("tokens", "merges", "token_type"))
    vocab = {token: id for id, token in enumerate(tokens)}
    if not tokens or len(vocab) != len(tokens) or (kinds and len(kinds) != len(tokens)):
        raise DamagedError(f"{where} is damaged: its tokens are missing or duplicate, or some have no type.")
    rules = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges if merge != NO_MERGE)]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=rules, ignore_merges=SPLITS[split][1]))
    except Exception as error:  # the Rust library raises plain Exception
        raise DamagedError(f"{where} is damaged: its merges do not fit its tokens ({error}).") from error
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[split][0]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, byte_level()])
    tokenizer.decoder = decoders.ByteLevel()
    # These are already in the vocabulary, and keep their ids.
    specials = [token for token, kind in zip(tokens, kinds, strict=False) if kind == PieceKind.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    defined = [token for token, kind in zip(tokens, kinds, strict=False) if kind == PieceKind.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in defined])
    _add_start(tokenizer, about, tokens)
    return tokenizer


def _sentencepiece_model(about: dict[str, Any], algorithm: str, where: str) -> SentencePieceModel:
    """Build a SentencePiece model from the metadata; defaults as in llama.cpp."""
    tokens, scores, kinds = (about.get(f"tokenizer.ggml.{key}", []) for key in ("tokens", "scores", "token_type"))
    # llama.cpp's converter writes the spaces of symbols as they are in texts.
    tokens = [
        token.replace(" ", SPACE_MARK) if kind == PieceKind.USER_DEFINED else token
        for token, kind in itertools.zip_longest(tokens, kinds, fillvalue="")
    ]
    if not tokens or len({*tokens}) != len(tokens) or not len(tokens) == len(scores) == len(kinds):
        raise DamagedError(f"{where} is damaged: its tokens are missing or duplicate, or some have no score or type.")
    unknown = about.get("tokenizer.ggml.unknown_token_id")
    if PieceKind.UNKNOWN in kinds:
        unknown = None  # if no piece has this type, as in Gemma's files, the unknown token is a control symbol
    try:
        pieces = [
            SentencePiece(token, score, PieceKind.UNKNOWN if id == unknown else PieceKind(kind))
            for id, (token, score, kind) in enumerate(zip(tokens, scores, kinds, strict=True))
        ]
        charsmap = bytes(byte % 256 for byte in about.get("tokenizer.ggml.precompiled_charsmap", []))
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{where} is damaged: a token has an unknown type.") from error
    return SentencePieceModel(
        where=where,
        algorithm=algorithm,
        pieces=tuple(pieces),
        byte_fallback=algorithm == "bpe" or any(piece.kind == PieceKind.BYTE for piece in pieces),
        charsmap=charsmap,
        add_dummy_prefix=bool(about.get("tokenizer.ggml.add_space_prefix", True)),
        remove_extra_whitespaces=bool(about.get("tokenizer.ggml.remove_extra_whitespaces", False)),
    )


def _add_start(tokenizer: Tokenizer, about: dict[str, Any], tokens: list[str]) -> None:
    """Prepend the start token to whole texts if the file says so."""
    start = about.get("tokenizer.ggml.bos_token_id")
    if about.get("tokenizer.ggml.add_bos_token") and type(start) is int and 0 <= start < len(tokens):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[tokens[start], "$A"], pair=[tokens[start], "$A", "$B"], special_tokens=[(tokens[start], start)]
        )
