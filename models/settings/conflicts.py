"""The rules between the slots of a design: what does not go together, and what to change. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.settings.positions import scheme_of
from models.settings.slots import Problem

if TYPE_CHECKING:
    from models.settings.model_config import ModelConfig


def conflicts(config: ModelConfig) -> list[Problem]:
    """What does not go together in a design whose single slots are all legal, each on the slot that causes it."""
    found = [
        ("n_head", _head_conflict(config)),
        ("n_kv_head", _kv_head_conflict(config)),
        ("n_encoder_head", _encoder_head_conflict(config)),
        ("d_head" if config.d_head else "n_head", _rotation_conflict(config)),
        ("rope_high_rotations", _rope_scaling_conflict(config)),
        ("rope_scaling", _dynamic_scaling_conflict(config)),
        ("max_distance", _bucket_conflict(config)),
        ("n_expert_used", _expert_conflict(config)),
        ("head", _head_kind_conflict(config)),
        ("start_id", _token_conflict(config, "start_id")),
        ("end_id", _token_conflict(config, "end_id")),
    ]
    return [Problem(name, sentence) for name, sentence in found if sentence]


def _head_conflict(config: ModelConfig) -> str | None:
    if config.d_head or config.d_model % config.n_head == 0:
        return None
    nearest = _nearest_divisors(config.d_model, config.n_head)
    return f"n_head {config.n_head} does not divide d_model {config.d_model}: use {nearest}."


def _kv_head_conflict(config: ModelConfig) -> str | None:
    if config.n_head % config.kv_heads == 0:
        return None
    nearest = _nearest_divisors(config.n_head, config.kv_heads)
    return f"n_kv_head {config.kv_heads} does not divide n_head {config.n_head}: use {nearest}."


def _encoder_head_conflict(config: ModelConfig) -> str | None:
    heads = config.n_encoder_head
    if config.topology != "encoder-decoder" or config.d_head or not heads or config.d_model % heads == 0:
        return None
    nearest = _nearest_divisors(config.d_model, heads)
    return f"n_encoder_head {heads} does not divide d_model {config.d_model}: use {nearest}."


def _rotation_conflict(config: ModelConfig) -> str | None:
    if scheme_of(config).place != "queries":
        return None
    odd = next((width for width in _head_widths(config) if width % 2 or not width), None)
    if odd is None:
        return None
    return f"RoPE rotates pairs of numbers, and a head is {odd} wide: change d_model, n_head or d_head to make it even."


def _head_widths(config: ModelConfig) -> list[int]:
    """Numbers per head, of the decoder's and of the encoder's layers."""
    if config.topology == "encoder-decoder" and config.n_encoder_head and not config.d_head:
        return [config.head_dim, config.d_model // config.n_encoder_head]
    return [config.head_dim]


def _rope_scaling_conflict(config: ModelConfig) -> str | None:
    if config.position != "rope" or config.rope_scaling not in ("llama3", "yarn"):
        return None
    if config.rope_low_rotations < config.rope_high_rotations:
        return None
    return (
        f"rope_high_rotations {config.rope_high_rotations:g} must be more than rope_low_rotations "
        f"{config.rope_low_rotations:g}: use {4 * max(config.rope_low_rotations, 1):g}."
    )


def _dynamic_scaling_conflict(config: ModelConfig) -> str | None:
    if config.position != "rope" or config.rope_scaling != "dynamic" or min(_head_widths(config)) > 2:
        return None
    return "Dynamic scaling needs heads wider than 2: choose another rope_scaling, or change d_model, n_head or d_head."


def _bucket_conflict(config: ModelConfig) -> str | None:
    if config.position != "t5" or config.max_distance > config.n_bucket // 2:
        return None
    return (
        f"max_distance {config.max_distance} must be more than half of n_bucket {config.n_bucket}: "
        f"use {4 * config.n_bucket}."
    )


def _expert_conflict(config: ModelConfig) -> str | None:
    if not config.n_expert or 1 <= config.n_expert_used <= config.n_expert:
        return None
    return (
        f"n_expert_used {config.n_expert_used} must lie between 1 and n_expert {config.n_expert}: "
        f"use {min(2, config.n_expert)}."
    )


def _head_kind_conflict(config: ModelConfig) -> str | None:
    if config.topology == "encoder-only" or config.head == "language":
        return None
    return f"A {config.topology} model writes tokens, so its head cannot be {config.head!r}: use language."


def _token_conflict(config: ModelConfig, name: str) -> str | None:
    id = getattr(config, name)
    if id < config.vocab_size:
        return None
    return f"{name} {id} is no token of a vocabulary of {config.vocab_size}: use one below it, or -1."


def _nearest_divisors(n: int, wanted: int) -> str:
    """The divisors of `n` around `wanted`, as words: '4 or 6'."""
    divisors = [d for d in range(1, min(n, 4 * wanted) + 1) if n % d == 0]
    below = max((d for d in divisors if d < wanted), default=None)
    above = min((d for d in divisors if d > wanted), default=None)
    return " or ".join(str(d) for d in (below, above) if d is not None)
