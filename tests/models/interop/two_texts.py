"""Holding an encoder-decoder against transformers' class, with padding on either side of source and target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models import load_model
from models.transformer import EncoderDecoder
from tests.models.interop.support import assert_close, padding_masks


@torch.no_grad()
def compare(folder: Path, theirs: Any, context: int) -> EncoderDecoder:
    """Load `folder` as ours, and compare logits for every kind of padding, at lengths up to the context."""
    ours, _ = load_model(folder)
    assert isinstance(ours, EncoderDecoder)
    assert ours.config.context_length == context
    vocab = ours.config.vocab_size
    for n_source, n_target in ((context, context), (7, 4), (3, 9)):
        source, target = torch.randint(0, vocab, (3, n_source)), torch.randint(0, vocab, (3, n_target))
        for source_mask in padding_masks(3, n_source).values():
            for target_mask in padding_masks(3, n_target).values():
                logits = ours(source, target, source_mask=source_mask, target_mask=target_mask)
                expected = theirs(
                    input_ids=source,
                    attention_mask=source_mask.long(),
                    decoder_input_ids=target,
                    decoder_attention_mask=target_mask.long(),
                ).logits
                assert_close(logits, expected, target_mask)
        assert_close(ours(source, target), theirs(input_ids=source, decoder_input_ids=target).logits)
    return ours
