"""Score-based tokenizers, as in SentencePiece, as metadata of GGUF files: Unigram (“t5”) and BPE (“llama”)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.models.tokenizers.foreign.merges import derive_merges, find_undecided
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind
from terrarium.models.tokenizers.making.parts import DIGIT_PATTERN, GPT2_PATTERN, GPT4_PATTERN
from terrarium.models.tokenizers.token_bytes import BYTE_TOKENS, SPACE_MARK

Fields = dict[str, int | bool | str | list[str] | list[int] | list[float]]

_MODEL = "tokenizer.ggml.model"
_WORDS = (GPT2_PATTERN, DIGIT_PATTERN, GPT4_PATTERN)
_HARMLESS_CUT = rf"{SPACE_MARK}*[^{SPACE_MARK}]+|{SPACE_MARK}+"
"""A split at spaces, used by imported tokenizers; pieces contain no inner space, so it does not change the tokens."""
_NO_WORDS = "llama.cpp does not split a text into words before it looks for pieces: some of its tokens may differ."
_NO_BYTES = "llama.cpp spells no characters in bytes with this tokenizer: those it does not know are unknown tokens."
_ONLY_SPACES = "llama.cpp takes spaces alone for what is between words: line breaks and tabs are unknown tokens."


def score_fields(
    described: Mapping[str, Any], tokens: Sequence[str], kinds: Sequence[int]
) -> tuple[Fields, list[str]] | None:
    """Return a tokenizer.json's metadata for llama.cpp, without special tokens, and how llama.cpp differs.

    Args:
        tokens, kinds: by id; kinds are PieceKind values.
    """
    core = described["model"]
    if core["type"] == "Unigram":
        found = _unigram(described)
    elif core["type"] == "BPE" and core.get("byte_fallback"):
        found = _bpe(described, kinds)
    else:
        return None
    if found is None:
        return None
    fields, scores, notes = found
    ids = {token: id for id, token in enumerate(tokens)}
    own = [PieceKind.BYTE if token in BYTE_TOKENS else kind for token, kind in zip(tokens, kinds, strict=True)]
    unknown = core["vocab"][core["unk_id"]][0] if core["type"] == "Unigram" else core["unk_token"]
    own[ids[unknown]] = PieceKind.UNKNOWN
    fields |= {
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.scores": [float(scores.get(token, 0.0)) for token in tokens],
        "tokenizer.ggml.token_type": [int(kind) for kind in own],
        "tokenizer.ggml.unknown_token_id": ids[unknown],
        "tokenizer.ggml.remove_extra_whitespaces": fields.get("tokenizer.ggml.remove_extra_whitespaces", False),
    }
    return fields, notes


def _unigram(described: Mapping[str, Any]) -> tuple[Fields, dict[str, float], list[str]] | None:
    core, normalizer = described["model"], described.get("normalizer")
    if core.get("unk_id") is None:
        return None
    steps = [] if described.get("pre_tokenizer") is None else _steps(described["pre_tokenizer"], "pretokenizers")
    if not steps or steps[-1]["type"] != "Metaspace" or steps[-1].get("replacement") != SPACE_MARK:
        return None
    *cuts, mark = steps
    fields: Fields = {_MODEL: "t5"}
    notes = [_NO_BYTES] if core.get("byte_fallback") else []
    if normalizer is not None:
        if normalizer.get("type") != "Precompiled":
            return None
        try:
            table = base64.b64decode(normalizer.get("precompiled_charsmap", ""), validate=True)
        except binascii.Error:
            return None
        fields["tokenizer.ggml.precompiled_charsmap"] = list(table)
    if [cut["type"] for cut in cuts] == ["WhitespaceSplit"] and mark.get("prepend_scheme") == "always":
        fields |= {"tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.remove_extra_whitespaces": True}
        notes += [_ONLY_SPACES] if normalizer is None else []
    elif mark.get("prepend_scheme") == "never" and all(cut.get("pattern", {}).get("Regex") in _WORDS for cut in cuts):
        fields["tokenizer.ggml.add_space_prefix"] = False
        notes += [_NO_WORDS] if cuts else []
    else:
        return None
    return fields, dict(core["vocab"]), notes


def _bpe(described: Mapping[str, Any], kinds: Sequence[int]) -> tuple[Fields, dict[str, float], list[str]] | None:
    """Compute scores with which llama.cpp merges in the same order; None if impossible."""
    core = described["model"]
    if core.get("unk_token") is None or PieceKind.USER_DEFINED in kinds or core.get("ignore_merges"):
        return None
    cuts = [] if described.get("pre_tokenizer") is None else _steps(described["pre_tokenizer"], "pretokenizers")
    if any(cut.get("pattern", {}).get("Regex") != _HARMLESS_CUT for cut in cuts):
        return None
    steps = [] if described.get("normalizer") is None else _steps(described["normalizer"], "normalizers")
    prefixed = bool(steps) and steps[0]["type"] == "Prepend" and steps[0].get("prepend") in (" ", SPACE_MARK)
    [*others] = steps[1:] if prefixed else steps
    if len(others) != 1 or others[0]["type"] != "Replace" or others[0].get("content") != SPACE_MARK:
        return None
    if others[0].get("pattern") != {"String": " "}:
        return None
    merges: list[tuple[str, str]] = []
    for pair in core["merges"]:
        left, right = pair.split(" ", 1) if isinstance(pair, str) else pair
        merges.append((left, right))
    ranks: dict[str, float] = {}
    for rank, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, rank)
    if not set(BYTE_TOKENS) <= set(core["vocab"]) or derive_merges(ranks) != merges or find_undecided(ranks, merges):
        return None
    last = float(len(merges))
    scores = {token: -ranks.get(token, last) for token in core["vocab"] if token not in BYTE_TOKENS}
    return {_MODEL: "llama", "tokenizer.ggml.add_space_prefix": prefixed}, scores, []


def _steps(described: Mapping[str, Any], several: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = described.get(several, [described])
    return steps
