"""Encoding a plain text for a model by its topology: special tokens, masks, gaps and end marks."""

from __future__ import annotations

from tokenizers import Tokenizer

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_prompt
from terrarium.models.tokenizers.special_tokens import encode_with_masks, encode_with_sentinels, end_id, text_marks


def encode_for(config: ModelConfig, tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text that is not part of a conversation; [] for an empty text.

    For a decoder, special tokens in the text are encoded as such. An encoder fills its masks (`[MASK]`), an
    encoder-decoder its gaps (`<|extra_0|>`); the latter's source ends with the end token, as in training. A foreign
    tokenizer puts its own marks around it ([CLS] … [SEP]).
    """
    if not text:
        return []
    before, after = text_marks(tokenizer)
    if config.topology == "encoder-only":
        ids = encode_with_masks(tokenizer, text)
    elif config.topology == "encoder-decoder":
        ids, end = encode_with_sentinels(tokenizer, text), end_id(tokenizer, config)
        after = after or ([] if end is None else [end])
    else:
        ids, after = encode_prompt(tokenizer, text), []
    return [*before, *ids, *after]
