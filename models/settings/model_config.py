"""The description of an architecture: validated slots, without tensors, and what contradicts what, with advice.

It does not import torch, so that forms, diagrams and the command line can use it freely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from terrarium.models.settings.block_references import reference_problems
from terrarium.models.settings.derived_slots import DerivedSlots
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.slots import (
    Problem,
    SettingError,
    draft,
    field_problems,
    settings_from_dict,
    settings_to_dict,
)
from terrarium.models.settings.tasks import TASKS, heads_of


@dataclass(frozen=True, kw_only=True)
class ModelConfig(DerivedSlots):
    """The slots of a model's architecture, validated: illegal values raise SettingError.

    Every valid config can be built and trained; published architectures are in models.settings.presets.
    """

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SettingError(problem)

    def encoder(self) -> ModelConfig:
        """Return the config of an encoder-decoder's encoder, as an encoder-only model without a head."""
        assert self.topology == "encoder-decoder"
        n_head = self.n_encoder_head or self.n_head
        return dataclasses.replace(
            self,
            topology="encoder-only",
            head="none",
            n_layer=self.n_encoder_layer or self.n_layer,
            n_head=n_head,
            n_kv_head=0 if self.n_encoder_head else self.n_kv_head,
            d_ff=self.d_encoder_ff or self.d_ff,
            n_encoder_layer=0,
            n_encoder_head=0,
            d_encoder_ff=0,
        )

    def for_task(self, task: str, labels: Sequence[str] = ()) -> ModelConfig:
        """Return this design with the head of a task, and one output per label (regression: one).

        An encoder gains or loses the pooler together with a sequence head, as in BERT's classes.

        Raises:
            ValueError: if a model of this topology cannot learn the task.
        """
        heads = TASKS[task].heads
        if self.topology not in heads:
            raise ValueError(
                f"{TASKS[task].title} cannot be learned by a model that is {self.topology}: use one that is "
                f"{' or '.join(heads)}."
            )
        n_label = 1 if task == "regression" else len(labels) or self.n_label
        head, pooler = heads[self.topology], self.pooler
        if self.topology == "encoder-only" and head != self.head:
            pooler = head == "sequence"
        return dataclasses.replace(self, head=head, n_label=n_label, pooler=pooler)

    @property
    def is_reward_model(self) -> bool:
        """Whether it is a decoder with a sequence head of one output."""
        return (self.topology, self.head, self.n_label) == ("decoder-only", "sequence", 1)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict, as written to files; the inverse of `from_dict`."""
        return settings_to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "the design") -> ModelConfig:
        """Build from parsed JSON or TOML.

        Raises:
            ValueError: for an unknown key, a wrong type or an illegal value, naming `where`.
        """
        return settings_from_dict(cls, upgraded(data), where)

    @classmethod
    def problems(cls, values: dict[str, Any]) -> list[Problem]:
        """Return all problems of these settings (the others at their defaults), each on the slot that causes it."""
        return _problems(draft(DerivedSlots, values))


def upgraded(data: Any) -> Any:
    """Convert `data` from the format of the first version, in which `bias` was true or false."""
    if isinstance(data, dict) and isinstance(data.get("bias"), bool):
        return {**data, "bias": "all" if data["bias"] else "none"}
    return data


def differences(before: ModelConfig, after: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return the slots that differ, in slot order, with both values."""
    pairs = {f.name: (getattr(before, f.name), getattr(after, f.name)) for f in fields(ModelConfig)}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _problems(slots: DerivedSlots) -> list[Problem]:
    """Return the problems of single fields or, if there are none, the conflicts between fields."""
    return field_problems(slots) or conflicts(slots)


def objective_of(model: ModelConfig, wanted: str = "auto") -> str:
    """Return the objective of a design on plain text: next-token, masked-tokens, span-corruption or denoising.

    wanted: TrainConfig.objective, used by encoder-decoders only.
    """
    if model.topology == "decoder-only":
        return "next-token"
    if model.topology == "encoder-only":
        return "masked-tokens"
    if wanted != "auto":
        return wanted
    return "denoising" if model.position == "learned" else "span-corruption"


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
