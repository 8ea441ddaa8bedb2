"""Encoding of a plain text for a model by its topology: special tokens, masks, sentinels and end tokens."""

from __future__ import annotations

from tokenizers import Tokenizer

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import encode_prompt
from terrarium.models.tokenizers.special_tokens import encode_with_masks, encode_with_sentinels, end_id, text_marks


def encode_for(config: ModelConfig, tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a text that is not part of a conversation; [] for an empty text.

    For a decoder, special tokens in the text are parsed. An encoder fills masks (`[MASK]`), an encoder-decoder
    sentinels (`<|extra_0|>`); the latter's source ends with the end token, as in training. An imported tokenizer adds
    its own special tokens around it ([CLS] … [SEP]).
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
