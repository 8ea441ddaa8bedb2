"""Compares an encoder with transformers' BERT classes, with padding on either side."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from terrarium.models import load_model
from terrarium.models.architecture.transformer import Encoder
from tests.models.interop.support import assert_close, padding_masks, shake

VOCAB, CONTEXT = 61, 20
ACTIVATIONS = ("gelu", "gelu_new", "relu", "relu2", "gelu_python", "gelu_pytorch_tanh", "gelu_fast")


def _random_options(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    return {
        "vocab_size": rng.randint(20, VOCAB),
        "hidden_size": 24,
        "num_hidden_layers": rng.randint(1, 3),
        "num_attention_heads": rng.choice([1, 2, 3, 4]),
        "intermediate_size": rng.randint(5, 60),
        "hidden_act": ACTIVATIONS[seed % len(ACTIVATIONS)],
        "max_position_embeddings": CONTEXT,
        "type_vocab_size": rng.choice([1, 2, 3]),
        "layer_norm_eps": rng.choice([1e-12, 1e-5, 1e-2]),
    }


def make_bert(architecture: Any, seed: int, *arguments: Any, **options: Any) -> Any:
    from transformers import BertConfig

    return shake(architecture(BertConfig(**{**_random_options(seed), **options}), *arguments), seed)


@torch.no_grad()
def compare(folder: Path, theirs: Any) -> Encoder:
    """Load `folder` as ours, and hold it against their model for every kind of padding, with token types."""
    ours, _ = load_model(folder)
    assert isinstance(ours, Encoder)
    options, generator = theirs.config, torch.Generator().manual_seed(0)
    for length in (CONTEXT, 7, 1):
        ids = torch.randint(0, options.vocab_size, (3, length), generator=generator)
        types = torch.randint(0, options.type_vocab_size, (3, length), generator=generator)
        for mask in padding_masks(3, length).values():
            expected = theirs(ids, attention_mask=mask.long(), token_type_ids=types)
            if ours.config.head == "none":
                hidden = ours.hidden(ids, mask=mask, segments=types)
                assert_close(hidden, expected.last_hidden_state, mask)
                if ours.pooler is not None:
                    whole = mask[:, 0]  # where the first token is real
                    assert_close(ours.pooled(hidden)[whole], expected.pooler_output[whole])
            elif ours.config.head == "sequence":
                whole = mask[:, 0]
                assert_close(ours(ids, mask=mask, segments=types)[whole], expected.logits[whole])
            else:
                assert_close(ours(ids, mask=mask, segments=types), expected.logits, mask)
        if ours.config.head != "none":
            assert_close(ours(ids), theirs(ids).logits)
    return ours
