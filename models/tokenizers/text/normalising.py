"""The lossy steps of a normaliser, each with a description."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, normalizers

from terrarium.models.tokenizers.token_bytes import component_steps

_DESCRIPTIONS = {
    "NFC": "composes letters and accents (NFC)",
    "NFD": "separates letters and accents (NFD)",
    "NFKC": "unifies accents and look-alikes (NFKC)",
    "NFKD": "unifies look-alikes and separates accents (NFKD)",
    "Lowercase": "lowercases text (lowercase)",
    "StripAccents": "drops accents",
    "Strip": "strips spaces at the ends",
    "Nmt": "drops control characters and unifies spaces (Nmt)",
    "Precompiled": "replaces characters by SentencePiece's table (Precompiled)",
}
_BERT = (
    ("clean_text", "drops control characters and “�”, and unifies spaces (bert)"),
    ("handle_chinese_chars", "puts spaces around Chinese characters (bert)"),
    ("strip_accents", "drops accents (bert)"),
    ("lowercase", "lowercases text (bert)"),
)
_REVERSIBLE = {"Prepend", "ByteLevel"}
"""Steps that decoders undo: stand-ins for spaces and bytes."""


@dataclass(frozen=True)
class NormaliserStep:
    """One step of a normaliser: its description (“drops accents”), and the function."""

    description: str
    apply: Callable[[str], str]


def lossy_steps(tokenizer: Tokenizer) -> list[NormaliserStep]:
    """Return the steps of the tokenizer's normaliser, in order, except those that its decoder undoes."""
    steps: list[NormaliserStep] = []
    for part in component_steps(tokenizer.normalizer):
        kind = part["type"]
        if kind in _REVERSIBLE or (kind == "Replace" and part["pattern"].get("String") == " "):
            continue
        if kind == "BertNormalizer":
            steps += _bert_steps(part)
        else:
            steps.append(NormaliserStep(_DESCRIPTIONS.get(kind, _describe_other(part)), _made_of(part).normalize_str))
    return steps


def _bert_steps(part: dict[str, Any]) -> list[NormaliserStep]:
    """Return the enabled steps of BERT's normaliser, which combines four."""
    options = {**part, "strip_accents": part["lowercase"] if part["strip_accents"] is None else part["strip_accents"]}
    nothing = {name: False for name, _ in _BERT}
    return [
        NormaliserStep(description, normalizers.BertNormalizer(**{**nothing, name: True}).normalize_str)
        for name, description in _BERT
        if options[name]
    ]


def _describe_other(part: dict[str, Any]) -> str:
    if part["type"] == "Replace":
        pattern = next(iter(part["pattern"].values()))
        return f"replaces “{pattern}” with “{part['content']}”" if part["content"] else f"drops “{pattern}”"
    return f"changes it ({part['type']})"


def _made_of(part: dict[str, Any]) -> normalizers.Normalizer:
    """Build a normaliser from its JSON description; the library can only parse whole tokenizers."""
    whole = {"version": "1.0", "normalizer": part, "model": {"type": "BPE", "vocab": {}, "merges": []}}
    normalizer: normalizers.Normalizer | None = Tokenizer.from_str(json.dumps(whole)).normalizer
    assert normalizer is not None
    return normalizer
