"""Special tokens by role, for any tokenizer: mask, end, padding, start, and sentinels. No torch.

Tokenizers trained here have SPECIAL_TOKENS only; what a design needs beyond them is added to the run's own copy
(`add_missing_special_tokens`). In imported tokenizers, special tokens are recognised by their usual spellings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer
from tokenizers import models as cores

from terrarium.models.tokenizers.codec import encode_text

if TYPE_CHECKING:
    from terrarium.models.settings.model_config import ModelConfig

MASK = "<|mask|>"
SENTINELS = tuple(f"<|extra_{i}|>" for i in range(32))
"""Sentinels for the removed spans of a text, in order (T5's <extra_id_0>, …)."""

MASK_SPELLINGS = (MASK, "[MASK]", "<mask>")
"""How a masked token may be written in a prompt, whatever its name in the tokenizer."""

_ENDS = ("<|end|>", "</s>", "[SEP]", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>", "<|eot_id|>")
_PADS = ("<|pad|>", "<pad>", "[PAD]", "<|endoftext|>")
_STARTS = ("<s>", "[CLS]", "<bos>", "<|begin_of_text|>")
_FOREIGN_SENTINEL = "<extra_id_{}>"


def mask_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the mask token; None if the tokenizer has none."""
    return _first(tokenizer, MASK_SPELLINGS)


def end_id(tokenizer: Tokenizer, config: ModelConfig | None = None) -> int | None:
    """Return the id of the end-of-text token: the design's if it has one, else the tokenizer's, or None."""
    if config is not None and config.end_id >= 0:
        return config.end_id
    return _first(tokenizer, _ENDS)


def pad_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the padding token, or None (any other token works too, because padding is masked)."""
    return _first(tokenizer, _PADS)


def start_id(config: ModelConfig, tokenizer: Tokenizer) -> int:
    """Return the id of the first token of an encoder-decoder's output: the design's, or the padding token as in T5.

    Raises:
        ValueError: if neither is known.
    """
    if config.start_id >= 0:
        return config.start_id
    id = pad_id(tokenizer)
    if id is None:
        id = _first(tokenizer, _STARTS)
    if id is None:
        raise ValueError(
            "The tokenizer has neither a padding nor a start token, so the start of the output is undefined: "
            "set the design's start_id."
        )
    return id


def sentinel_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids of the sentinels for the first, second, … removed span; empty if the tokenizer has none."""
    for spelling in ("<|extra_{}|>", _FOREIGN_SENTINEL):
        found: list[int] = []
        while (id := tokenizer.token_to_id(spelling.format(len(found)))) is not None:
            found.append(id)
        if found:
            return tuple(found)
    return ()


def text_marks(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that an imported tokenizer puts before and after a text ([CLS] … [SEP])."""
    plain, marked = encode_text(tokenizer, "a"), tokenizer.encode("a", add_special_tokens=True).ids
    for start in range(len(marked) - len(plain) + 1):
        if marked[start : start + len(plain)] == plain:
            return marked[:start], marked[start + len(plain) :]
    return [], []


def add_missing_special_tokens(tokenizer: Tokenizer, topology: str, *, masks: bool = False) -> None:
    """Append the special tokens that a topology's objective needs and the tokenizer lacks.

    masks: an encoder-decoder is trained with masks (denoising) instead of sentinels (span corruption).
    """
    missing: list[str] = []
    if (topology == "encoder-only" or masks) and mask_id(tokenizer) is None:
        missing.append(MASK)
    if topology == "encoder-decoder":
        missing += [] if masks or sentinel_ids(tokenizer) else SENTINELS
        missing += ["<|pad|>"] if pad_id(tokenizer) is None else []
        missing += ["<|end|>"] if end_id(tokenizer) is None else []
    _append(tokenizer, missing)


def _append(tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])


def encode_with_masks(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text in which masks, in any of MASK_SPELLINGS, become the mask token.

    Raises:
        ValueError: if the text has masks and the tokenizer has no mask token.
    """
    id = mask_id(tokenizer)
    if id is None and any(spelling in text for spelling in MASK_SPELLINGS):
        raise ValueError("This tokenizer has no mask token, so nothing can be masked: use the tokenizer of an encoder.")
    return _encode_with(tokenizer, text, {} if id is None else dict.fromkeys(MASK_SPELLINGS, id))


def encode_with_sentinels(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text in which sentinels (“<|extra_0|>” or “<extra_id_0>”) and masks become their tokens."""
    mask = mask_id(tokenizer)
    parsed = {} if mask is None else dict.fromkeys(MASK_SPELLINGS, mask)
    for i, id in enumerate(sentinel_ids(tokenizer)):
        parsed |= {f"<|extra_{i}|>": id, _FOREIGN_SENTINEL.format(i): id}
    return _encode_with(tokenizer, text, parsed)


def _encode_with(tokenizer: Tokenizer, text: str, parsed: dict[str, int]) -> list[int]:
    """Like `encode_text`, but the spellings in `parsed` become their ids."""
    if not parsed:
        return encode_text(tokenizer, text)
    # If a word token includes the space before it (" cat"), a mask or sentinel does too.
    swallow = " ?" if len(encode_text(tokenizer, " a")) == 1 else ""
    parts = re.split(f"{swallow}({'|'.join(re.escape(spelling) for spelling in parsed)})", text)
    ids: list[int] = []
    for i, part in enumerate(parts):
        ids += [parsed[part]] if i % 2 else encode_text(tokenizer, part) if part else []
    return ids


def _first(tokenizer: Tokenizer, spellings: tuple[str, ...]) -> int | None:
    return next((id for id in map(tokenizer.token_to_id, spellings) if id is not None), None)


def unknown_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Return the id of the unknown token; empty if the tokenizer has none."""
    core = tokenizer.model
    if isinstance(core, cores.Unigram):
        id = json.loads(core.__getstate__()).get("unk_id")
        return frozenset() if id is None else frozenset([id])
    token = core.unk_token
    id = None if token is None else tokenizer.token_to_id(token)
    return frozenset() if id is None else frozenset([id])
