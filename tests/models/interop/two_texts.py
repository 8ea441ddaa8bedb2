"""Compares an encoder-decoder with transformers' class, with padding on either side of source and target."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import torch

from terrarium.models import load_model
from terrarium.models.architecture.transformer import EncoderDecoder
from tests.models.interop.support import assert_close, padding_masks, shake

T5_CONTEXT = 40
T5_ACTIVATIONS = ("relu", "gated-gelu", "gelu", "gated-silu", "gelu_new", "gated-gelu_python", "relu2")


def _t5_options(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    return {
        "vocab_size": rng.randint(20, 60),
        "d_model": rng.choice([16, 24]),
        "d_kv": rng.choice([4, 6, 8]),
        "d_ff": rng.randint(5, 40),
        "num_layers": rng.randint(1, 3),
        "num_decoder_layers": rng.randint(1, 3),
        "num_heads": rng.randint(1, 4),
        "relative_attention_num_buckets": rng.choice([4, 8, 32]),
        "relative_attention_max_distance": rng.choice([17, 30, 128]),
        "layer_norm_epsilon": rng.choice([1e-6, 1e-3]),
        "feed_forward_proj": T5_ACTIVATIONS[seed % len(T5_ACTIVATIONS)],
        "tie_word_embeddings": seed % 2 == 0,  # of transformers 5: whether logits are scaled
        "decoder_start_token_id": 3,
        "n_positions": T5_CONTEXT,
    }


def make_t5(seed: int, *, own_table: bool = False, **options: Any) -> Any:
    """`own_table`: with one for the logits, as in the published weights of version 1.1."""
    from transformers import T5Config, T5ForConditionalGeneration

    theirs = T5ForConditionalGeneration(T5Config(**{**_t5_options(seed), **options}))
    if own_table:
        theirs.lm_head.weight = torch.nn.Parameter(torch.empty_like(theirs.shared.weight))
    return shake(theirs, seed)


BART_CONTEXT = 30
BART_ACTIVATIONS = ("gelu", "relu", "gelu_new", "relu2", "gelu_pytorch_tanh")


def _bart_options(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    return {
        "vocab_size": rng.randint(20, 60),
        "d_model": 24,
        "max_position_embeddings": BART_CONTEXT,
        "encoder_layers": rng.randint(1, 3),
        "decoder_layers": rng.randint(1, 3),
        "encoder_attention_heads": rng.randint(1, 4),
        "decoder_attention_heads": rng.randint(1, 4),
        "encoder_ffn_dim": rng.randint(5, 40),
        "decoder_ffn_dim": rng.randint(5, 40),
        "activation_function": BART_ACTIVATIONS[seed % len(BART_ACTIVATIONS)],
        "scale_embedding": seed % 2 == 0,
    }


def make_bart(seed: int, **options: Any) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    theirs = shake(BartForConditionalGeneration(BartConfig(**{**_bart_options(seed), **options})), seed)
    if seed % 3:
        torch.nn.init.normal_(theirs.final_logits_bias)
    return theirs


@torch.no_grad()
def compare(folder: Path, theirs: Any, context: int) -> EncoderDecoder:
    """Load `folder` as ours, and compare logits for every kind of padding, at lengths up to the context."""
    ours, _ = load_model(folder)
    assert isinstance(ours, EncoderDecoder)
    assert ours.config.context_length == context
    vocab = ours.config.vocab_size
    for n_source, n_target in ((context, context), (7, 4), (3, 9)):
        source, target = torch.randint(0, vocab, (3, n_source)), torch.randint(0, vocab, (3, n_target))
        masks = padding_masks(3, n_source).values(), padding_masks(3, n_target).values()
        for source_mask, target_mask in itertools.product(*masks) if n_source == 7 else zip(*masks, strict=True):
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
