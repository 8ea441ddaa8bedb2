"""GPT-2, LLaMA and Mistral: the same logits as transformers, both ways."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models import load_model
from terrarium.models.settings.model_config import ModelConfig
from tests.models.interop.support import assert_close, padding_masks, save_theirs, shake

VOCAB = 97
CONTEXT = 24


def gpt2(seed: int, **options: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        **{"vocab_size": VOCAB, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4, **options}
    )
    return shake(GPT2LMHeadModel(config), seed)


def _sizes(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "hidden_size": 32,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "eos_token_id": 7,
        **options,
    }


def llama(seed: int, **options: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return shake(LlamaForCausalLM(LlamaConfig(**_sizes(options))), seed)


def mistral(seed: int, **options: Any) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return shake(MistralForCausalLM(MistralConfig(**_sizes({"num_key_value_heads": 2, **options}))), seed)


def compare(folder: Path, theirs: Any, length: int) -> ModelConfig:
    """Load `folder` as ours, and hold its logits against those of their model for every kind of padding."""
    ours, tokenizer = load_model(folder)
    assert tokenizer is None
    assert not ours.training
    ids = torch.randint(0, VOCAB, (3, length), generator=torch.Generator().manual_seed(length))
    for mask in padding_masks(3, length).values():
        with torch.no_grad():
            assert_close(ours(ids, mask=mask), theirs(ids, attention_mask=mask.long()).logits, mask)
    with torch.no_grad():
        assert_close(ours(ids), theirs(ids).logits)
    return ours.config


GPT2_OPTIONS: list[dict[str, Any]] = [
    {},
    {"n_inner": 40, "activation_function": "gelu", "layer_norm_epsilon": 1e-3},
    {"activation_function": "relu", "scale_attn_weights": False},
    {"tie_word_embeddings": False, "n_head": 2, "n_layer": 3},
    {"n_embd": 24, "n_head": 3, "activation_function": "gelu_pytorch_tanh", "reorder_and_upcast_attn": True},
]


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("options", GPT2_OPTIONS)
def test_gpt2(options: dict[str, Any], sharded: bool, tmp_path: Path) -> None:
    theirs = gpt2(1, **options)
    compare(save_theirs(theirs, tmp_path, sharded=sharded), theirs, CONTEXT)


ROPE: list[dict[str, Any]] = [
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "factor": 2.5, "rope_theta": 10_000.0},
    {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0},
    {
        "rope_type": "llama3",
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 12,
        "rope_theta": 100.0,
    },
    {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 12, "rope_theta": 200.0},
    {
        "rope_type": "yarn",
        "factor": 2.0,
        "original_max_position_embeddings": 12,
        "beta_fast": 8.0,
        "beta_slow": 0.5,
        "attention_factor": 1.3,
        "rope_theta": 50.0,
    },
    {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 12,
        "mscale": 0.7,
        "mscale_all_dim": 1.5,
        "rope_theta": 50.0,
    },
]
LLAMA_OPTIONS: list[dict[str, Any]] = [
    {"num_key_value_heads": 2, "hidden_act": "gelu"},
    {"num_key_value_heads": 1, "attention_bias": True},
    {"mlp_bias": True, "tie_word_embeddings": True},
    {"attention_bias": True, "mlp_bias": True, "head_dim": 12, "rms_norm_eps": 1e-3},
    {"head_dim": 4, "num_key_value_heads": 2, "hidden_act": "gelu_pytorch_tanh"},
    *({"rope_parameters": rope} for rope in ROPE),
]


@pytest.mark.parametrize("options", LLAMA_OPTIONS)
def test_llama(options: dict[str, Any], tmp_path: Path) -> None:
    theirs = llama(2, **options)
    config = compare(save_theirs(theirs, tmp_path, sharded="rope_parameters" not in options), theirs, CONTEXT)
    assert config.end_id == 7


def test_llama_beyond_the_trained_length(tmp_path: Path) -> None:
    theirs = llama(3, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0})
    config = compare(save_theirs(theirs, tmp_path), theirs, 2 * CONTEXT)
    assert config.context_length == 2 * CONTEXT


@pytest.mark.parametrize("rope", ROPE)
def test_the_old_spelling_of_rope_scaling(rope: dict[str, Any], tmp_path: Path) -> None:
    theirs = llama(4, rope_parameters=dict(rope))
    raw = json.loads((save_theirs(theirs, tmp_path) / "config.json").read_text())
    del raw["rope_parameters"]
    old = {("type" if key == "rope_type" else key): value for key, value in rope.items() if key != "rope_theta"}
    raw |= {"rope_theta": rope["rope_theta"], "rope_scaling": None if old["type"] == "default" else old}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    compare(tmp_path, theirs, CONTEXT)


@pytest.mark.parametrize(
    "options", [{"sliding_window": 5}, {"sliding_window": None, "head_dim": 6}, {"tie_word_embeddings": True}]
)
def test_mistral(options: dict[str, Any], tmp_path: Path) -> None:
    theirs = mistral(5, **options)
    compare(save_theirs(theirs, tmp_path), theirs, CONTEXT)


@pytest.mark.parametrize("seed", range(6))
def test_random_configurations(seed: int, tmp_path: Path) -> None:
    """All at once: shapes, sharing of heads, biases, rotations, windows, tied or not."""
    draw = random.Random(seed)
    n_head = draw.choice((2, 4, 6))
    options: dict[str, Any] = {
        "num_attention_heads": n_head,
        "hidden_size": n_head * draw.choice((4, 8, 10)),
        "num_key_value_heads": draw.choice([n for n in (1, 2, 3, 6) if n_head % n == 0]),
        "head_dim": draw.choice((None, 6, 8)),
        "intermediate_size": draw.randint(8, 70),
        "num_hidden_layers": draw.randint(1, 4),
        "tie_word_embeddings": draw.random() < 0.5,
        "rms_norm_eps": draw.choice((1e-6, 1e-5, 1e-2)),
        "rope_parameters": dict(draw.choice(ROPE)),
    }
    kind, more = draw.choice(
        (
            (llama, {"attention_bias": draw.random() < 0.5, "mlp_bias": draw.random() < 0.5}),
            (mistral, {"sliding_window": draw.choice((None, 1, 7, CONTEXT))}),
        )
    )
    theirs = kind(seed, **options, **more)
    compare(save_theirs(theirs, tmp_path / "llama", sharded=draw.random() < 0.5), theirs, draw.randint(1, CONTEXT))
    n_head = draw.randint(1, 5)
    theirs = gpt2(
        seed,
        n_head=n_head,
        n_embd=n_head * draw.randint(1, 9),
        n_layer=draw.randint(1, 4),
        n_inner=draw.choice((None, draw.randint(1, 50))),
        activation_function=draw.choice(("gelu", "gelu_new", "relu")),
        scale_attn_weights=draw.random() < 0.7,
        tie_word_embeddings=draw.random() < 0.5,
    )
    compare(save_theirs(theirs, tmp_path / "gpt2"), theirs, draw.randint(1, CONTEXT))
