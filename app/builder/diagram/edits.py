"""Edits on the diagram: a changed setting, and further changes that keep the design legal. No Qt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

Changes = dict[str, Any]

STEPPED = ("n_layer", "n_encoder_layer", "n_head", "n_encoder_head", "n_kv_head", "d_model", "d_ff", "n_expert")
"""Settings with ± buttons."""

_RANGES = {f.name: f.metadata["range"] for f in fields(ModelConfig) if "range" in f.metadata}
_MAX_TRIES = 512


def effective_value(config: ModelConfig, name: str) -> Any:
    """Return the effective value of setting `name`: the derived value if 0 means "default"."""
    in_use: dict[str, Callable[[], Any]] = {
        "n_kv_head": lambda: config.kv_heads,
        "d_head": lambda: config.head_dim,
        "d_ff": lambda: config.ff_width,
        "n_encoder_layer": lambda: config.n_encoder_layer or config.n_layer,
        "n_encoder_head": lambda: config.n_encoder_head or config.n_head,
        "d_encoder_ff": lambda: config.encoder().ff_width if config.topology == "encoder-decoder" else config.ff_width,
    }
    return in_use[name]() if name in in_use else getattr(config, name)


def step(config: ModelConfig, name: str, direction: int) -> Changes:
    """Return the changes that set `name` to its next larger (direction 1) or smaller (-1) legal value, {} if none.

    Unless d_head is set, heads step through the divisors of the width, the width through multiples of the heads.
    """
    low, high = _RANGES[name]
    for value in _candidates(config, name, direction):
        if not max(low, 1) <= value <= high:
            break
        changes = repaired(config, name, value)
        if changes[name] == value and _is_legal(config, changes):
            return changes
    return {}


def repaired(config: ModelConfig, name: str, value: Any) -> Changes:
    """Return the change of one setting, with further changes that make the design legal if simple ones do.

    They may replace the value itself by a legal one nearby. Otherwise, return the change alone; its problem is then
    shown to the user.
    """
    changes: Changes = {name: value}
    if _is_legal(config, changes):
        return changes
    for more in _remedies(config, name, value):
        repaired = {**changes, **more}
        if _is_legal(config, repaired):
            return {key: new for key, new in repaired.items() if key == name or new != getattr(config, key)}
    return changes


def _is_legal(config: ModelConfig, changes: Changes) -> bool:
    return not ModelConfig.problems({**vars(config), **changes})


def _rotates(config: ModelConfig) -> bool:
    """Return whether RoPE rotates pairs of numbers, so that the head width must be even."""
    return scheme_of(config).applied_to == "queries"


def _candidates(config: ModelConfig, name: str, direction: int) -> Iterable[int]:
    value = int(effective_value(config, name))
    if (name in ("n_head", "n_encoder_head") and not config.d_head) or name == "n_kv_head":
        possible = sorted(_divisors_around(config.n_head if name == "n_kv_head" else config.d_model, value))
        return [d for d in possible[::direction] if (d - value) * direction > 0]
    unit = 1
    if name == "d_model":
        # Steps of about an eighth of the width that keep the head width an integer, and even with RoPE.
        unit = 8 if config.d_head else math.lcm(config.n_head, config.n_encoder_head or 1)
        unit *= 2 if _rotates(config) and not config.d_head else 1
        unit *= max(1, round(value / 8 / unit))
    elif name in ("d_ff", "d_encoder_ff"):
        unit = max(8, value // 8 // 8 * 8)
    first = (value // unit + 1) * unit if direction > 0 else (-(-value // unit) - 1) * unit
    return (first + direction * unit * i for i in range(_MAX_TRIES))


def _remedies(config: ModelConfig, name: str, value: Any) -> Iterable[Changes]:
    """Yield changes that may make a new value of `name` legal, the most promising first."""
    if name in ("n_head", "n_encoder_head"):
        yield from _remedies_of_heads(config, name, int(value))
    elif name == "n_kv_head":
        yield from ({name: count} for count in _divisors_around(config.n_head, int(value)))
    elif name == "d_model":
        unit = math.lcm(config.n_head, config.n_encoder_head or 1) * (2 if _rotates(config) else 1)
        yield {name: max(unit, round(value / unit) * unit)}
    elif name == "d_head":
        yield {name: int(value) + 1}
    elif name in ("n_expert", "n_expert_used"):
        if name == "n_expert":
            yield {"n_expert_used": max(1, min(config.n_expert_used, int(value)))}
        yield {name: max(1, min(int(value), config.n_expert or 1))}
    elif name == "topology":
        yield {"head": "language"}
    elif name == "vocab_size":
        yield {key: -1 for key in ("start_id", "end_id") if getattr(config, key) >= value}
    elif name in ("n_bucket", "max_distance"):
        yield {"max_distance": 4 * config.n_bucket if name == "max_distance" else 4 * int(value)}
    elif name == "position":
        for count in _divisors_around(config.d_model, config.n_head):
            yield {"n_head": count, "n_kv_head": 0}


def _remedies_of_heads(config: ModelConfig, name: str, value: int) -> Iterable[Changes]:
    counts = [value] if config.d_head else [value, *_divisors_around(config.d_model, value)]
    for count in counts:
        yield {name: count}
        if name == "n_head" and config.n_kv_head:
            shared = config.n_head // config.n_kv_head  # keep about the same number of heads per key
            for groups in _divisors_around(count, max(1, round(count / shared))):
                yield {name: count, "n_kv_head": groups}


def _divisors_around(n: int, wanted: int) -> list[int]:
    """Return the divisors of `n`, the nearest to `wanted` first."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)}, key=lambda d: (abs(d - wanted), -d))
