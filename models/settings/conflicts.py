"""Constraints between the slots of a design, with advice on what to change. No torch."""

from __future__ import annotations

from terrarium.models.settings.block_references import reference_problems
from terrarium.models.settings.derived_slots import DerivedSlots
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.slots import Problem
from terrarium.models.settings.tasks import heads_of


def conflicts(slots: DerivedSlots) -> list[Problem]:
    """Return the conflicts between slots that are legal on their own, each reported on the slot that causes it."""
    found: list[tuple[str, str | None]] = [
        ("n_head", _head_conflict(slots)),
        ("n_kv_head", _kv_head_conflict(slots)),
        ("n_encoder_head", _encoder_head_conflict(slots)),
        ("d_head" if slots.d_head else "n_head", _rotation_conflict(slots)),
        ("rope_high_rotations", _rope_scaling_conflict(slots)),
        ("rope_scaling", _dynamic_scaling_conflict(slots)),
        ("max_distance", _bucket_conflict(slots)),
        ("n_expert_used", _expert_conflict(slots)),
        ("lookback", _lookback_conflict(slots)),
        ("max_ngram", _ngram_conflict(slots)),
        ("head", _head_kind_conflict(slots)),
        ("start_id", _token_conflict(slots, "start_id")),
        ("end_id", _token_conflict(slots, "end_id")),
    ]
    found += [*reference_problems(slots).items(), *_custom_conflicts(slots)]
    return [Problem(name, sentence) for name, sentence in found if sentence]


def _custom_conflicts(slots: DerivedSlots) -> list[tuple[str, str]]:
    """Return the conflicts of custom blocks with settings of the parts that they replace."""
    found = []
    if slots.feed_forward_block and slots.n_expert:
        found.append(
            ("n_expert", "A custom feed-forward is not a mixture of experts: use n_expert 0, or none of them.")
        )
    if slots.position_block and slots.position != "none":
        found.append(
            ("position", 'A custom position block replaces the built-in positions: use position "none" with it.')
        )
    if slots.looks_back and slots.has_custom_blocks:
        found.append(("lookback", "The look-back layer is made of built-in parts: use lookback 0 with custom blocks."))
    return found


def _head_conflict(slots: DerivedSlots) -> str | None:
    if slots.d_head or slots.d_model % slots.n_head == 0:
        return None
    nearest = _nearest_divisors(slots.d_model, slots.n_head)
    return f"n_head {slots.n_head} does not divide d_model {slots.d_model}: use {nearest}."


def _kv_head_conflict(slots: DerivedSlots) -> str | None:
    if slots.n_head % slots.kv_heads == 0:
        return None
    nearest = _nearest_divisors(slots.n_head, slots.kv_heads)
    return f"n_kv_head {slots.kv_heads} does not divide n_head {slots.n_head}: use {nearest}."


def _encoder_head_conflict(slots: DerivedSlots) -> str | None:
    heads = slots.n_encoder_head
    if slots.topology != "encoder-decoder" or slots.d_head or not heads or slots.d_model % heads == 0:
        return None
    nearest = _nearest_divisors(slots.d_model, heads)
    return f"n_encoder_head {heads} does not divide d_model {slots.d_model}: use {nearest}."


def _rotation_conflict(slots: DerivedSlots) -> str | None:
    if scheme_of(slots).applied_to != "queries":
        return None
    odd = next((width for width in _head_widths(slots) if width % 2 or not width), None)
    if odd is None:
        return None
    return f"RoPE rotates pairs of numbers, but a head is {odd} wide: change d_model, n_head or d_head to make it even."


def _head_widths(slots: DerivedSlots) -> list[int]:
    """Return the head widths of the decoder's layers and, if they may differ, of the encoder's."""
    if slots.topology == "encoder-decoder" and slots.n_encoder_head and not slots.d_head:
        return [slots.head_dim, slots.d_model // slots.n_encoder_head]
    return [slots.head_dim]


def _rope_scaling_conflict(slots: DerivedSlots) -> str | None:
    if slots.position != "rope" or slots.rope_scaling not in ("llama3", "yarn"):
        return None
    if slots.rope_low_rotations < slots.rope_high_rotations:
        return None
    return (
        f"rope_high_rotations {slots.rope_high_rotations:g} must be more than rope_low_rotations "
        f"{slots.rope_low_rotations:g}: use {4 * max(slots.rope_low_rotations, 1):g}."
    )


def _dynamic_scaling_conflict(slots: DerivedSlots) -> str | None:
    if slots.position != "rope" or slots.rope_scaling != "dynamic" or min(_head_widths(slots)) > 2:
        return None
    return "Dynamic scaling needs heads wider than 2: choose another rope_scaling, or change d_model, n_head or d_head."


def _bucket_conflict(slots: DerivedSlots) -> str | None:
    if slots.position != "t5" or slots.max_distance > slots.n_bucket // 2:
        return None
    return (
        f"max_distance {slots.max_distance} must be more than half of n_bucket {slots.n_bucket}: "
        f"use {4 * slots.n_bucket}."
    )


def _expert_conflict(slots: DerivedSlots) -> str | None:
    if not slots.n_expert or 1 <= slots.n_expert_used <= slots.n_expert:
        return None
    return (
        f"n_expert_used {slots.n_expert_used} must lie between 1 and n_expert {slots.n_expert}: "
        f"use {min(2, slots.n_expert)}."
    )


def _lookback_conflict(slots: DerivedSlots) -> str | None:
    if not slots.lookback or not slots.qk_norm:
        return None
    is_plain = slots.topology == "decoder-only" and slots.position == "rope" and not slots.n_expert
    if not is_plain or slots.norm != "rmsnorm" or slots.norm_place != "pre":
        return (
            "Heads that look back need a decoder-only model with RoPE, RMSNorm before, and no experts: use lookback 0."
        )
    if slots.kv_heads != slots.n_head:
        return f"Heads that look back do not share keys: use n_kv_head {slots.n_head}, or lookback 0."
    if slots.n_head % slots.lookback:
        nearest = _nearest_divisors(slots.n_head, slots.lookback)
        return f"lookback {slots.lookback} does not divide n_head {slots.n_head}: use {nearest}, or 0."
    return None


def _ngram_conflict(slots: DerivedSlots) -> str | None:
    if slots.topology == "decoder-only" and slots.max_ngram == 1:
        return "N-grams of a single token are the tokens themselves: use max_ngram 2 or more, or 0 for none."
    if slots.has_ngrams and slots.looks_back:
        return (
            "Heads that look back rely on a channel that is the same in all embeddings, which n-grams change: use "
            "max_ngram 0, or lookback 0."
        )
    return None


def _head_kind_conflict(slots: DerivedSlots) -> str | None:
    heads = heads_of(slots.topology)
    if slots.head in heads:
        return None
    article = "An" if slots.topology.startswith("e") else "A"
    return f"{article} {slots.topology} model cannot have the head {slots.head!r}: use {' or '.join(heads)}."


def _token_conflict(slots: DerivedSlots, name: str) -> str | None:
    id = getattr(slots, name)
    if id < slots.vocab_size:
        return None
    return f"{name} {id} is outside the vocabulary of {slots.vocab_size}: use a smaller id, or -1."


def _nearest_divisors(n: int, wanted: int) -> str:
    """Return the divisors of `n` next to `wanted`, as text: '4 or 6'."""
    divisors = [d for d in range(1, min(n, 4 * wanted) + 1) if n % d == 0]
    below = max((d for d in divisors if d < wanted), default=None)
    above = min((d for d in divisors if d > wanted), default=None)
    return " or ".join(str(d) for d in (below, above) if d is not None)
