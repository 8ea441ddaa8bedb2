"""A tokenizer as metadata of a GGUF file for llama.cpp: byte-level BPE, WordPiece, or score-based. No torch."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.tokenizers.foreign.gguf_sentencepiece import Fields, score_fields
from terrarium.models.tokenizers.foreign.gguf_tokenizer import NO_MERGE, SPLITS
from terrarium.models.tokenizers.foreign.gguf_wordpiece import fits, wordpiece_fields
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind
from terrarium.models.tokenizers.making.parts import DIGIT_PATTERN, GPT2_PATTERN
from terrarium.models.tokenizers.special_tokens import end_id, mask_id, pad_id, text_marks

_ADVICE = "export a Hugging Face folder instead, which keeps the tokenizer as it is, or train with a bpe tokenizer."
_DIGITS = r"\p{N}"


def tokenizer_fields(tokenizer: Tokenizer, vocab_size: int, end: int | None = None) -> tuple[Fields, list[str]]:
    """Return the metadata of a tokenizer, with tokens up to `vocab_size`, and how llama.cpp differs, one sentence each.

    end: the end-of-text id, if the model's design has one.

    Raises:
        ValueError: if GGUF cannot represent it, or it has more tokens than the model.
    """
    described = json.loads(tokenizer.to_str())
    core = described["model"]
    kind = core.get("type", "")
    is_bert = fits(described)
    by_scores = kind == "Unigram" or bool(core.get("byte_fallback") and core.get("merges"))
    is_bytes = kind == "BPE" and not core.get("byte_fallback") and core.get("unk_token") is None
    if not is_bert and not by_scores and not is_bytes:
        raise ValueError(f"A GGUF file cannot hold this tokenizer ({_kind_words(kind)}): {_ADVICE}")
    if not is_bert and not by_scores and described.get("normalizer") is not None:
        raise ValueError(f"A GGUF file cannot hold this tokenizer, which normalises its text first: {_ADVICE}")
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    if max(vocab.values()) >= vocab_size:
        raise ValueError(
            f"The tokenizer has ids up to {max(vocab.values()):,}, but the model knows {vocab_size:,} tokens only: it "
            "belongs to another model."
        )
    texts = {id: token for token, id in vocab.items()}
    kinds = {
        token["id"]: PieceKind.CONTROL if token["special"] else PieceKind.USER_DEFINED
        for token in described["added_tokens"]
    }
    unused = range(vocab_size)
    tokens = [texts.get(id, f"[PAD{id}]") for id in unused]
    types = [int(kinds.get(id, PieceKind.NORMAL if id in texts else PieceKind.UNUSED)) for id in unused]
    if is_bert:
        return wordpiece_fields(described, tokens, types) | _special_fields(tokenizer, end), []
    if by_scores:
        made = score_fields(described, tokens, types)
        if made is None:
            raise ValueError(f"A GGUF file cannot hold this tokenizer ({kind}) with its steps: {_ADVICE}")
        return _special_fields(tokenizer, end) | made[0], made[1]
    pre, notes = _split_name(
        tokenizer, _patterns(described.get("pre_tokenizer")), bool(core.get("ignore_merges")), bool(core["merges"])
    )
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in core["merges"]]
    fields: Fields = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges or [NO_MERGE],
    }
    return fields | _special_fields(tokenizer, end), notes


def _special_fields(tokenizer: Tokenizer, end: int | None) -> Fields:
    before, after = text_marks(tokenizer)
    end = end_id(tokenizer) if end is None else end
    ids = {"eos": end, "eot": end, "padding": pad_id(tokenizer), "mask": mask_id(tokenizer)}
    ids["seperator"] = after[0] if after else None  # GGUF's spelling
    # Without a bos token, llama.cpp uses token 11 as the start of texts.
    ids["bos"] = before[0] if before else end
    found: Fields = {f"tokenizer.ggml.{name}_token_id": id for name, id in ids.items() if id is not None}
    return {
        **found,
        "tokenizer.ggml.add_bos_token": bool(before),
        "tokenizer.ggml.add_eos_token": bool(after),
        "tokenizer.ggml.add_space_prefix": False,
    }


def _kind_words(kind: str) -> str:
    return {"BPE": "of characters", "WordPiece": "WordPiece", "Unigram": "Unigram", "WordLevel": "of words"}.get(
        kind, kind
    )


def _patterns(described: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the patterns that split text into words, in order; ValueError if the words are not mapped to bytes."""
    steps = [] if described is None else described.get("pretokenizers", [described])
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        raise ValueError(f"A GGUF file cannot hold this tokenizer, whose tokens are not made of bytes: {_ADVICE}")
    found = []
    for step in steps[:-1]:
        pattern = step.get("pattern", {}).get("Regex")
        if step["type"] == "Digits" and step.get("individual_digits"):
            found.append(_DIGITS)
        elif step["type"] == "Split" and step.get("behavior") == "Isolated" and not step.get("invert") and pattern:
            found.append(pattern)
        else:
            raise ValueError(f"A GGUF file cannot hold this tokenizer's split into words ({step['type']}): {_ADVICE}")
    return (*found, GPT2_PATTERN) if steps[-1].get("use_regex") else tuple(found)


def _split_name(
    tokenizer: Tokenizer, patterns: tuple[str, ...], ignores_merges: bool, has_merges: bool
) -> tuple[str, list[str]]:
    """Return llama.cpp's name of a pre-tokenizer, and how its tokens differ."""
    if not has_merges:  # each byte is a token, wherever words end
        return "gpt-2", []
    notes = []
    if patterns == (DIGIT_PATTERN,):
        patterns = (_DIGITS, GPT2_PATTERN)
        if any(len(text) > 1 and not text.strip("ĠĊĉč") for text in tokenizer.get_vocab()):
            notes.append("llama.cpp splits several spaces before a digit in another way: its tokens may differ there.")
    name = next((name for name, (split, _) in SPLITS.items() if split == patterns), None)
    if name is None:
        raise ValueError(f"llama.cpp does not know this tokenizer's split into words: {_ADVICE}")
    looks_up = SPLITS[name][1]
    if looks_up != ignores_merges and not _merges_make_all(tokenizer):
        raise ValueError(
            "llama.cpp looks words up before it merges, which would give this tokenizer other tokens: " + _ADVICE
        )
    return name, notes


def _merges_make_all(tokenizer: Tokenizer) -> bool:
    """Return whether merges build every token from its bytes, so that looking words up first makes no difference."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.model.ignore_merges = False
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return all(
        len(plain.model.tokenize(token)) == 1
        for token in plain.get_vocab(with_added_tokens=False)
        if token not in added
    )
