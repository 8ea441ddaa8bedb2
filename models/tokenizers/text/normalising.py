"""The steps of a normaliser one by one, in words: what each makes the same, so that nothing can tell it apart again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, normalizers

from models.tokenizers.token_bytes import component_steps

_DOES = {
    "NFC": "writes letter and accent as one character (NFC)",
    "NFD": "writes letter and accent as two characters (NFD)",
    "NFKC": "writes accents and look-alikes in one way (NFKC)",
    "NFKD": "writes accents and look-alikes in one way, accents apart (NFKD)",
    "Lowercase": "makes capitals small (lowercase)",
    "StripAccents": "drops accents",
    "Strip": "strips spaces at the ends",
    "Nmt": "drops control characters and makes every kind of space a plain one (Nmt)",
    "Precompiled": "replaces characters by SentencePiece's table (Precompiled)",
}
_BERT = (
    ("clean_text", "drops control characters and “�”, and makes every kind of space a plain one (bert)"),
    ("handle_chinese_chars", "puts spaces around Chinese characters (bert)"),
    ("strip_accents", "drops accents (bert)"),
    ("lowercase", "makes capitals small (bert)"),
)
_UNDONE = {"Prepend", "ByteLevel"}
"""What stands in for spaces and bytes, which decoders turn back."""


@dataclass(frozen=True)
class NormaliserStep:
    """One thing that a normaliser does: in words (“drops accents”), and to a text."""

    does: str
    apply: Callable[[str], str]


def lossy_steps(tokenizer: Tokenizer) -> list[NormaliserStep]:
    """The steps of the tokenizer's normaliser, in order, but for those that its decoder takes back."""
    steps: list[NormaliserStep] = []
    for part in component_steps(tokenizer.normalizer):
        kind = part["type"]
        if kind in _UNDONE or (kind == "Replace" and part["pattern"].get("String") == " "):
            continue
        if kind == "BertNormalizer":
            steps += _bert_steps(part)
        else:
            steps.append(NormaliserStep(_DOES.get(kind, _other_words(part)), _made_of(part).normalize_str))
    return steps


def _bert_steps(part: dict[str, Any]) -> list[NormaliserStep]:
    """BERT's clean-up is four things in one, each of which can be switched off."""
    asked = {**part, "strip_accents": part["lowercase"] if part["strip_accents"] is None else part["strip_accents"]}
    nothing = {name: False for name, _ in _BERT}
    return [
        NormaliserStep(does, normalizers.BertNormalizer(**{**nothing, name: True}).normalize_str)
        for name, does in _BERT
        if asked[name]
    ]


def _other_words(part: dict[str, Any]) -> str:
    if part["type"] == "Replace":
        pattern = next(iter(part["pattern"].values()))
        return f"writes “{part['content']}” for “{pattern}”" if part["content"] else f"drops “{pattern}”"
    return f"changes it ({part['type']})"


def _made_of(part: dict[str, Any]) -> normalizers.Normalizer:
    """The normaliser that a file describes so: only whole tokenizers can be read."""
    whole = {"version": "1.0", "normalizer": part, "model": {"type": "BPE", "vocab": {}, "merges": []}}
    normalizer: normalizers.Normalizer | None = Tokenizer.from_str(json.dumps(whole)).normalizer
    assert normalizer is not None
    return normalizer
