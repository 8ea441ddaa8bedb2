"""The short list of published models: its schema, and its facts beside the published designs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from terrarium.models.design import total_parameters
from terrarium.models.interop.families import FAMILIES
from terrarium.models.interop.graphs.graphs import GRAPHS
from terrarium.models.interop.hub.catalogue import PURPOSES, instead_of, listed_models, parse_models, too_large
from terrarium.models.settings.model_config import ModelConfig

_SMOL: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100_000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    "use_cache": True,
    "vocab_size": 49_152,
}
_GPT2: dict[str, Any] = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_type": "cls_index",
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50_257,
}
_BERT: dict[str, Any] = {
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
}


def _smol(layers: int, width: int, heads: int, shared: int, inner: int) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner}
    return {**_SMOL, **sizes, "num_attention_heads": heads, "num_key_value_heads": shared}


def _bert(name: str, layers: int, width: int, inner: int, vocabulary: int, **others: Any) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner, "vocab_size": vocabulary}
    return {**_BERT, "architectures": [name], **sizes, "num_attention_heads": 12, **others}


PUBLISHED: dict[str, dict[str, Any]] = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": _smol(30, 576, 9, 3, 1536),
    "HuggingFaceTB/SmolLM2-135M": _smol(30, 576, 9, 3, 1536),
    "HuggingFaceTB/SmolLM2-360M-Instruct": _smol(32, 960, 15, 5, 2560),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": _smol(24, 2048, 32, 32, 8192) | {"rope_theta": 130_000},
    "openai-community/gpt2": _GPT2 | {"n_layer": 12},
    "distilbert/distilgpt2": _GPT2 | {"n_layer": 6, "_num_labels": 1, "id2label": {"0": "LABEL_0"}},
    "google-bert/bert-base-uncased": _bert("BertForMaskedLM", 12, 768, 3072, 30_522),
    "sentence-transformers/all-MiniLM-L6-v2": _bert("BertModel", 6, 384, 1536, 30_522),
    "dslim/bert-base-NER": _bert(
        "BertForTokenClassification", 12, 768, 3072, 28_996, id2label={str(i): f"B{i}" for i in range(9)}, _num_labels=9
    ),
    "google/flan-t5-small": {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": 1024,
        "d_kv": 64,
        "d_model": 512,
        "decoder_start_token_id": 0,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "n_positions": 512,
        "num_decoder_layers": 8,
        "num_heads": 6,
        "num_layers": 8,
        "output_past": True,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "vocab_size": 32_128,
    },
}
"""The designs that are published as config.json, as far as they decide what is computed; and what else is in them."""

QWEN3 = ModelConfig(
    vocab_size=151_936,
    context_length=40_960,
    n_layer=28,
    n_head=16,
    n_kv_head=8,
    d_model=1024,
    d_head=128,
    d_ff=3072,
    position="rope",
    norm="rmsnorm",
    activation="swiglu",
    bias="none",
    qk_norm=True,
    tied_embeddings=True,
)


def design(id: str) -> ModelConfig:
    """The published design of a listed model."""
    if id.startswith("Qwen/Qwen3-0.6B"):
        return QWEN3
    raw = PUBLISHED[id]
    family = FAMILIES[raw["architectures"][0]]
    stored = ["pooler.dense.weight", "lm_head.weight"]
    return family.refine_config(family.read_config(raw), stored)


@pytest.mark.parametrize("model", listed_models(), ids=lambda model: model.id)
def test_the_facts_of_a_model_are_those_of_its_design(model: Any) -> None:
    config = design(model.id)
    assert total_parameters(config) == model.parameters
    assert config.context_length == model.context
    assert model.architecture in (GRAPHS if model.file else FAMILIES)
    per_parameter = model.bytes / model.parameters
    # bfloat16, 8 bits with a scale for each 32, or float32, which GPT-2's files have masks beside.
    assert any(abs(per_parameter - each) < 0.03 for each in (2, 1.0725, 4)) or 4 < per_parameter < 4.5
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.id)
    assert model.good_for.endswith(".")
    assert len(model.good_for) <= 130


def test_the_list_has_models_for_each_purpose_from_small_to_large() -> None:
    models = listed_models()
    assert [model.purpose for model in models] == sorted((model.purpose for model in models), key=[*PURPOSES].index)
    assert {model.purpose for model in models} == set(PURPOSES)
    assert len(models) <= 15, "a short list"


_ENTRY = """[[model]]
id = "a/b"
name = "B"
architecture = "LlamaForCausalLM"
purpose = "chat"
licence = "mit"
parameters = 1
bytes = 2
context = 3
good_for = "Nothing."
"""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "B"\n', "", "lacks name"),
        ('name = "B"\n', 'name = "B"\nsize = 3\n', "lacks size, or it is unknown"),
        ("bytes = 2", 'bytes = "2"', "bytes of model 1 .a/b. must be a int"),
        ('licence = "mit"', 'licence = ""', "licence of model 1 .a/b. must be a str that is not empty"),
        ('purpose = "chat"', 'purpose = "fun"', "must be one of chat, base"),
        (_ENTRY, _ENTRY + _ENTRY, "a/b is there twice"),
    ],
)
def test_a_wrong_entry_is_refused(old: str, new: str, sentence: str) -> None:
    assert parse_models(_ENTRY)[0].file == ""
    with pytest.raises(ValueError, match=sentence):
        parse_models(_ENTRY.replace(old, new))


def test_what_would_fit_instead() -> None:
    large, medium, small = (f"HuggingFaceTB/SmolLM2-{size}-Instruct" for size in ("1.7B", "360M", "135M"))
    for id, n_bytes, expected in (
        (large, 2_000_000_000, medium),
        (medium, 2_000_000_000, small),
        ("somebody/large", 2_000_000_000, medium),
        (large, 1_000_000, None),
        ("google-bert/bert-base-uncased", 100_000_000, "sentence-transformers/all-MiniLM-L6-v2"),
    ):
        found = instead_of(id, n_bytes)
        assert (found.id if found is not None else None) == expected
    sentence = too_large(int(5.2 * 2**30), int(3.1 * 2**30), instead_of(large, 2_000_000_000))
    assert sentence == "Needs about 5.20 GiB of memory, and 3.10 GiB are free: SmolLM2 360M Instruct would fit."
    assert too_large(10, 5, None).endswith("close other programs first.")
