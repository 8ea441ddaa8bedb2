"""Designs to draw: the presets, and others drawn at random from all slots."""

from __future__ import annotations

import dataclasses
import random

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

_SKIPPED = ("start_id", "end_id", "vocab_size", "context_length")


def random_designs(n: int, seed: int = 0) -> list[ModelConfig]:
    """`n` legal designs with values all over the slots."""
    rng, found = random.Random(seed), []
    while len(found) < n:
        values = {f.name: _draw(f, rng) for f in dataclasses.fields(ModelConfig) if f.name not in _SKIPPED}
        values |= {"vocab_size": rng.randint(50, 5000), "context_length": rng.randint(8, 512)}
        values |= {"d_model": rng.choice((24, 48, 96)), "n_head": rng.choice((1, 2, 4, 12))}
        values |= {"n_encoder_head": rng.choice((0, 2, 6)), "n_kv_head": rng.choice((0, 1, 2))}
        if not ModelConfig.problems(values):
            found.append(ModelConfig(**values))
    return found


def _draw(f: dataclasses.Field[object], rng: random.Random) -> object:
    if f.metadata.get("choices"):
        return rng.choice(f.metadata["choices"])
    if isinstance(f.default, bool):
        return rng.random() < 0.5
    if isinstance(f.default, int) and "range" in f.metadata:
        return rng.choice((f.default, min(max(rng.randint(1, 20), f.metadata["range"][0]), f.metadata["range"][1])))
    return f.default


DESIGNS = {**PRESETS, **{f"random-{i}": config for i, config in enumerate(random_designs(24))}}
