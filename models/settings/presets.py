"""Preset architectures: published families, each in a tiny size to train here and in its real sizes.

Sources: Attention Is All You Need (arXiv:1706.03762); GPT-2 (Radford et al., 2019); LLaMA 2 (arXiv:2307.09288); Llama 3
(arXiv:2407.21783); BERT (arXiv:1810.04805); T5 (arXiv:1910.10683); BART (arXiv:1910.13461); Mixtral (arXiv:2401.04088);
the sizes are those of the configurations published with the weights. Terrarium's own preset for characters or bytes has
n-gram embeddings instead of wide feed-forwards: half the arithmetic per token, and more learned from each.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.models.settings.model_config import ModelConfig

_OWN = ModelConfig(
    position="rope",
    norm="layernorm",
    activation="relu2",
    bias="none",
    qk_norm=True,
    conv_width=4,
    zero_init_output=True,
)
_TRANSFORMER = ModelConfig(
    topology="encoder-decoder",
    position="sinusoidal",
    norm="layernorm",
    norm_place="post",
    activation="relu",
    scaled_embeddings=True,
)
_GPT2 = ModelConfig(position="learned", norm="layernorm", activation="gelu_tanh")
_LLAMA = ModelConfig(position="rope", norm="rmsnorm", activation="swiglu", bias="none", tied_embeddings=False)
_BERT = ModelConfig(
    topology="encoder-only",
    position="learned",
    norm="layernorm",
    norm_place="post",
    norm_eps=1e-12,
    embedding_norm=True,
    activation="gelu",
    head_transform=True,
    head_bias=True,
    n_segment=2,
)
_T5 = ModelConfig(
    topology="encoder-decoder",
    position="t5",
    norm="rmsnorm",
    norm_eps=1e-6,
    scaled_scores=False,
    scaled_logits=True,
    activation="relu",
    bias="none",
)
_T5_GATED = dataclasses.replace(_T5, activation="geglu_tanh", tied_embeddings=False, scaled_logits=False)
_BART = ModelConfig(
    topology="encoder-decoder",
    position="learned",
    norm="layernorm",
    norm_place="post",
    embedding_norm=True,
    activation="gelu",
)
_MOE = dataclasses.replace(_LLAMA, n_expert=8, n_expert_used=2)
_TINY: dict[str, Any] = {"vocab_size": 1024, "context_length": 256, "n_layer": 4, "n_head": 4, "d_model": 128}
_TINY_PAIR: dict[str, Any] = {**_TINY, "n_layer": 2}
"""The tiny size of encoder-decoders: two layers in each stack."""


def _sized(family: ModelConfig, **size: Any) -> ModelConfig:
    sized = dataclasses.replace(family, **size)
    if family.position == "t5":  # T5's initialisation: std falls with the width
        sized = dataclasses.replace(sized, init_std=round(sized.d_model**-0.5, 4))
    return sized


PRESETS: dict[str, ModelConfig] = {
    "terrarium-tiny": _sized(_OWN, **_TINY),
    "terrarium-char": _sized(_OWN, **_TINY | {"n_head": 2, "d_ff": 128, "conv_width": 3, "max_ngram": 4}),
    "transformer-tiny": _sized(_TRANSFORMER, **_TINY_PAIR),
    "transformer-base": _sized(
        _TRANSFORMER, vocab_size=37_000, context_length=512, n_layer=6, n_head=8, d_model=512, d_ff=2048, dropout=0.1
    ),
    "transformer-big": _sized(
        _TRANSFORMER, vocab_size=37_000, context_length=512, n_layer=6, n_head=16, d_model=1024, d_ff=4096, dropout=0.3
    ),
    "gpt2-tiny": _sized(_GPT2, **_TINY),
    **{
        f"gpt2-{name}": _sized(
            _GPT2,
            vocab_size=50_257,
            context_length=1024,
            n_layer=n_layer,
            n_head=n_head,
            d_model=64 * n_head,
            dropout=0.1,
        )
        for name, n_layer, n_head in (("124m", 12, 12), ("355m", 24, 16), ("774m", 36, 20), ("1.5b", 48, 25))
    },
    "llama-tiny": _sized(_LLAMA, **_TINY, n_kv_head=2),
    "llama2-7b": _sized(
        _LLAMA, vocab_size=32_000, context_length=4096, n_layer=32, n_head=32, d_model=4096, d_ff=11_008
    ),
    "llama3-8b": _sized(
        _LLAMA,
        vocab_size=128_256,
        context_length=8192,
        n_layer=32,
        n_head=32,
        n_kv_head=8,
        d_model=4096,
        d_ff=14_336,
        rope_theta=500_000.0,
    ),
    "moe-tiny": _sized(_MOE, **_TINY, n_kv_head=2, n_expert=4, d_ff=176),
    "mixtral-8x7b": _sized(
        _MOE,
        vocab_size=32_000,
        context_length=32_768,
        n_layer=32,
        n_head=32,
        n_kv_head=8,
        d_model=4096,
        d_ff=14_336,
        rope_theta=1_000_000.0,
    ),
    "bert-tiny": _sized(_BERT, **_TINY),
    **{
        f"bert-{name}": _sized(
            _BERT,
            vocab_size=30_522,
            context_length=512,
            n_layer=n_layer,
            n_head=n_head,
            d_model=64 * n_head,
            dropout=0.1,
        )
        for name, n_layer, n_head in (("base", 12, 12), ("large", 24, 16))
    },
    "t5-tiny": _sized(_T5, **_TINY_PAIR),
    **{
        f"t5-{name}": _sized(
            _T5,
            vocab_size=32_128,
            context_length=512,
            n_layer=n_layer,
            n_head=n_head,
            d_model=64 * n_head,
            d_ff=256 * n_head,
            dropout=0.1,
        )
        for name, n_layer, n_head in (("small", 6, 8), ("base", 12, 12), ("large", 24, 16))
    },
    "t5-v1.1-base": _sized(
        _T5_GATED,
        vocab_size=32_128,
        context_length=512,
        n_layer=12,
        n_head=12,
        d_model=768,
        d_ff=2048,
        dropout=0.1,
    ),
    "bart-tiny": _sized(_BART, **_TINY_PAIR),
    **{
        f"bart-{name}": _sized(
            _BART,
            vocab_size=50_265,
            context_length=1024,
            n_layer=n_layer,
            n_head=n_head,
            d_model=64 * n_head,
            dropout=0.1,
        )
        for name, n_layer, n_head in (("base", 6, 12), ("large", 12, 16))
    },
}
