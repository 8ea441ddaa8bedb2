"""Tokens with a part to play, whoever made the tokenizer: mask, end, padding, start, and the sentinels of gaps.

Our own tokenizers have SPECIAL_TOKENS only. What a design needs beyond them is added to a run's own copy
(`add_roles`); foreign tokenizers' own tokens are recognised by their usual spellings. No torch.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer
from tokenizers import models as cores

from models.tokenizers.codec import encode_text

if TYPE_CHECKING:
    from models.settings.model_config import ModelConfig

MASK = "<|mask|>"
SENTINELS = tuple(f"<|extra_{i}|>" for i in range(32))
"""What stands for the gaps of a text, in order (T5's <extra_id_0>, …)."""

MASK_SPELLINGS = (MASK, "[MASK]", "<mask>")
"""How a masked token may be written in a prompt, whatever the tokenizer calls it."""

_ENDS = ("<|end|>", "</s>", "[SEP]", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>", "<|eot_id|>")
_PADS = ("<|pad|>", "<pad>", "[PAD]", "<|endoftext|>")
_STARTS = ("<s>", "[CLS]", "<bos>", "<|begin_of_text|>")
_FOREIGN_SENTINEL = "<extra_id_{}>"


def mask_id(tokenizer: Tokenizer) -> int | None:
    """The token that stands for a hidden one; None where the tokenizer has none."""
    return _first(tokenizer, MASK_SPELLINGS)


def end_id(tokenizer: Tokenizer, config: ModelConfig | None = None) -> int | None:
    """The token that ends a text: the design's own where it names one; None where there is none."""
    if config is not None and config.end_id >= 0:
        return config.end_id
    return _first(tokenizer, _ENDS)


def pad_id(tokenizer: Tokenizer) -> int | None:
    """The token that fills up short texts; None where there is none (any other serves as well, being masked)."""
    return _first(tokenizer, _PADS)


def start_id(config: ModelConfig, tokenizer: Tokenizer) -> int:
    """The token that an encoder-decoder's text begins with: the design's own, or as in T5 the padding token.

    Raises:
        ValueError: where neither is known.
    """
    if config.start_id >= 0:
        return config.start_id
    id = pad_id(tokenizer)
    if id is None:
        id = _first(tokenizer, _STARTS)
    if id is None:
        raise ValueError(
            "The tokenizer has neither a padding nor a start token, so the model does not know how a text begins: "
            "set the design's start_id."
        )
    return id


def sentinel_ids(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that stand for the first, second, … gap of a text; empty where the tokenizer has none."""
    for spelling in ("<|extra_{}|>", _FOREIGN_SENTINEL):
        found: list[int] = []
        while (id := tokenizer.token_to_id(spelling.format(len(found)))) is not None:
            found.append(id)
        if found:
            return tuple(found)
    return ()


def add_roles(tokenizer: Tokenizer, topology: str, *, masks: bool = False) -> None:
    """Add the special tokens that a topology's objective needs and the tokenizer lacks, behind all others.

    masks: an encoder-decoder's gaps are masks (denoising), no sentinels (span corruption).
    """
    missing: list[str] = []
    if (topology == "encoder-only" or masks) and mask_id(tokenizer) is None:
        missing.append(MASK)
    if topology == "encoder-decoder":
        missing += [] if masks or sentinel_ids(tokenizer) else SENTINELS
        missing += ["<|pad|>"] if pad_id(tokenizer) is None else []
        missing += ["<|end|>"] if end_id(tokenizer) is None else []
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in missing])


def encode_masked(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which masked tokens are meant, however they are spelled (MASK_SPELLINGS).

    Raises:
        ValueError: where the text has masks and the tokenizer has no such token.
    """
    id = mask_id(tokenizer)
    if id is None and any(spelling in text for spelling in MASK_SPELLINGS):
        raise ValueError("This tokenizer has no mask token, so nothing can be masked: use an encoder's tokenizer.")
    return _encode_with(tokenizer, text, {} if id is None else dict.fromkeys(MASK_SPELLINGS, id))


def encode_gapped(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which sentinels are meant, as “<|extra_0|>” or “<extra_id_0>”, and masks where there are."""
    mask = mask_id(tokenizer)
    meant = {} if mask is None else dict.fromkeys(MASK_SPELLINGS, mask)
    for i, id in enumerate(sentinel_ids(tokenizer)):
        meant |= {f"<|extra_{i}|>": id, _FOREIGN_SENTINEL.format(i): id}
    return _encode_with(tokenizer, text, meant)


def _encode_with(tokenizer: Tokenizer, text: str, meant: dict[str, int]) -> list[int]:
    """`encode_text`, but the spellings in `meant` become their ids."""
    if not meant:
        return encode_text(tokenizer, text)
    # Where words bring their space along (" cat" is one token), what stands for a word does so too.
    swallow = " ?" if len(encode_text(tokenizer, " a")) == 1 else ""
    parts = re.split(f"{swallow}({'|'.join(re.escape(spelling) for spelling in meant)})", text)
    ids: list[int] = []
    for i, part in enumerate(parts):
        ids += [meant[part]] if i % 2 else encode_text(tokenizer, part) if part else []
    return ids


def _first(tokenizer: Tokenizer, spellings: tuple[str, ...]) -> int | None:
    return next((id for id in map(tokenizer.token_to_id, spellings) if id is not None), None)


def unknown_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """The ids that stand for what a tokenizer does not know: one, or none where everything can be spelled."""
    core = tokenizer.model
    if isinstance(core, cores.Unigram):
        id = json.loads(core.__getstate__()).get("unk_id")
        return frozenset() if id is None else frozenset([id])
    token = core.unk_token
    id = None if token is None else tokenizer.token_to_id(token)
    return frozenset() if id is None else frozenset([id])
