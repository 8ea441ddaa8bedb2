"""Random designs for tests: legal fillings of all slots that take a measurable, yet quick, training step."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from models.settings.activations import ACTIVATIONS
from models.settings.model_config import ModelConfig
from models.settings.norms import NORMS
from models.settings.positions import POSITIONS
from models.settings.tasks import heads_of

TOPOLOGIES = ("decoder-only", "encoder-only", "encoder-decoder")


def random_design(topology: str, seed: int) -> tuple[ModelConfig, int, int, int]:
    """A design with a batch size, a length and a source's length, all drawn from the seed."""
    rng = random.Random(f"{topology} {seed}")
    pick = rng.choice
    heads = pick([2, 4, 8])
    length = pick([64, 100, 160])
    values: dict[str, Any] = {
        "topology": topology,
        "vocab_size": pick([60, 300, 1000, 3000]),
        "context_length": length + pick([0, 50]),
        "n_layer": pick([1, 2, 3, 5]),
        "n_head": heads,
        "d_model": heads * pick([16, 32, 40]),
        "position": pick(list(POSITIONS)),
        "norm": pick(list(NORMS)),
        "norm_place": pick(["pre", "post"]),
        "embedding_norm": pick([True, False]),
        "n_kv_head": pick([0, 0, 1, 2]),
        "sliding_window": pick([0, 0, 20]),
        "qk_norm": pick([True, False, False]),
        "activation": pick(list(ACTIVATIONS)),
        "d_ff": pick([0, 0, 200]),
        "n_expert": pick([0, 0, 2, 4, 6]),
        "n_expert_used": pick([1, 2]),
        "conv_width": pick([0, 0, 3]),
        "tied_embeddings": pick([True, False]),
        "head_bias": pick([True, False]),
        "scaled_embeddings": pick([True, False]),
        "scaled_logits": pick([True, False]),
        "bias": pick(["all", "attention", "feed-forward", "none"]),
        "dropout": pick([0.0, 0.0, 0.1]),
        "head": pick(["language"] * 3 + [head for head in heads_of(topology) if head != "none"]),
    }
    if topology == "encoder-only":
        values |= {
            "head_transform": pick([True, False]),
            "pooler": pick([True, False]),
            "n_segment": pick([0, 2]),
        }
    source_length = length
    if topology == "encoder-decoder":
        values |= {
            "n_encoder_layer": pick([0, 1, 3]),
            "n_encoder_head": pick([0, 0, 2]),
            "d_encoder_ff": pick([0, 0, 100]),
        }
        source_length = pick([length, length // 2])
    batch_size = pick([2, 4, 8])
    values["nope_interval"] = pick([0, 0, 2])
    values |= {"max_ngram": pick([0, 0, 3]), "ngram_rows": 500}
    return ModelConfig(**values), batch_size, length, source_length


def small(config: ModelConfig, length: int) -> ModelConfig:
    """The same with a context of `length`."""
    return dataclasses.replace(config, context_length=length)
