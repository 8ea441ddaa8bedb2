"""Random designs for tests: legal fillings of all slots."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.settings.tasks import heads_of

TOPOLOGIES = ("decoder-only", "encoder-only", "encoder-decoder")
_SIZES = {"vocab_size": (2, 50), "context_length": (2, 20), "n_layer": (1, 3), "d_model": (2, 24), "n_head": (1, 4)}
_UP_TO = {
    "n_kv_head": 4,
    "n_encoder_layer": 3,
    "n_encoder_head": 4,
    "d_ff": 9,
    "d_encoder_ff": 9,
    "d_head": 6,
    "n_expert": 4,
    "n_expert_used": 4,
    "conv_width": 4,
    "n_segment": 3,
    "sliding_window": 5,
    "max_ngram": 4,
}
"""Settings that are 0, or up to that."""
_OTHERS = {"n_label": 4, "ngram_rows": 9, "d_ngram": 9}
"""Settings that are 1, or up to that."""


def random_design(topology: str, seed: int) -> tuple[ModelConfig, int, int, int]:
    """A design whose training step is quick but can be measured, with a batch size, a length and a source's length, all
    drawn from the seed."""
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


def tiny_design(rng: random.Random) -> ModelConfig | None:
    """Any filling of all settings with numbers small enough to build in milliseconds; None where it is not legal."""
    values = dict(_random_values(rng))
    return None if ModelConfig.problems(values) else ModelConfig(**values)


def _random_values(rng: random.Random) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(ModelConfig):
        name = field.name
        if name in _SIZES:
            yield name, rng.randint(*_SIZES[name])
        elif name in _UP_TO:
            yield name, rng.choice([0, rng.randint(0, _UP_TO[name])])
        elif name in _OTHERS:
            yield name, rng.randint(1, _OTHERS[name])
        elif name == "n_bucket":
            yield name, rng.choice([4, 8, 32])
        elif "choices" in field.metadata:
            yield name, rng.choice(field.metadata["choices"])
        elif isinstance(field.default, bool):
            yield name, rng.random() < 0.5
