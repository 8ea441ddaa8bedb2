"""The smallest changes that make training fit into memory. No torch import."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.models.design import training_memory
from terrarium.models.extensions.entries import COUNTS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS, find_optimizer

MIN_CONTEXT, MIN_FF, MIN_VOCABULARY = 16, 8, 261
"""Lower bounds of proposals. 261: every byte and the special tokens."""

_LEAN_OPTIMIZER = "muon"
"""The optimizer to propose instead of one with more state."""

Change = tuple[dict[str, Any], str]
"""New values of slots, and a sentence for the user that proposes them."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change that makes training fit: a sentence for the user, the settings, and the estimate."""

    sentence: str
    model: dict[str, Any]
    """Slots of ModelConfig with their new values."""
    train: dict[str, Any]
    """Settings of TrainConfig with their new values."""
    bytes: int
    """The estimated memory with the change."""


def split_update(texts: int, at_most: int) -> tuple[int, int]:
    """Return the size and number of micro-batches, of `at_most` texts each, for updates of `texts` texts.

    They add up to `texts` if that takes at most about twice as many micro-batches as needed, else to slightly more.
    """
    largest = min(texts, at_most)
    for size in range(largest, largest // 2, -1):
        if texts % size == 0:
            return size, texts // size
    accum = -(-texts // largest)
    return -(-texts // accum), accum


def describe_update(texts: int, batch_size: int, grad_accum_steps: int) -> str:
    """Describe the effect of these settings on a run with updates of `texts` texts."""
    found = batch_size * grad_accum_steps
    return "it learns the same" if found == texts else f"an update reads {found} texts instead of {texts}"


def proposals(
    config: ModelConfig,
    batch_size: int,
    optimizer: str,
    budget_bytes: int,
    *,
    grad_accum_steps: int = 1,
    device: str = "cpu",
    precision: str = "float32",
    recomputes: bool = False,
    state_dtype: str = "float32",
) -> list[Proposal]:
    """Propose changes, each of which alone makes training fit into `budget_bytes`, with texts as long as the context.

    The least costly come first: a smaller batch with gradient accumulation, activation checkpointing, optimizer states
    in bfloat16, an optimizer with less state, no dropout, a shorter context, fewer experts, fewer layers, a narrower
    feed-forward, a narrower model, a smaller vocabulary; each changed as little as necessary. If none of the first four
    suffices, the others may be combined with a batch of one; if no single change suffices, everything shrinks together.
    Returns [] if training already fits, or if nothing helps.

    Args:
        recomputes, state_dtype: see `cost.memory`; options already in use are not proposed.
    """

    def needed(
        model: ModelConfig, batch: int, rule: str, recomputes: bool = recomputes, state_dtype: str = state_dtype
    ) -> int:
        parts = training_memory(
            model,
            batch,
            model.context_length,
            rule,
            device=device,
            precision=precision,
            recomputes=recomputes,
            accumulates=batch < batch_size * grad_accum_steps,
            state_dtype=state_dtype,
        )
        return sum(parts.values())

    def batched(batch: int) -> dict[str, Any]:
        """Return the settings for micro-batches of at most `batch` texts (see `split_update`)."""
        size, accum = split_update(batch_size * grad_accum_steps, batch)
        return {"batch_size": size, "grad_accum_steps": accum}

    def changed(change: Change) -> ModelConfig:
        return dataclasses.replace(config, **change[0])

    if needed(config, batch_size, optimizer) <= budget_bytes:
        return []
    found: list[Proposal] = []
    batches = range(batch_size - 1, 0, -1)
    at = _first(len(batches), lambda i: True, lambda i: needed(config, batches[i], optimizer) <= budget_bytes)
    if at is not None:
        train = batched(batches[at])
        batch, accum = train["batch_size"], train["grad_accum_steps"]
        sentence = (
            f"Use a batch_size of {batch} instead of {batch_size}, and grad_accum_steps {accum} to make up for it: "
            f"{describe_update(batch_size * grad_accum_steps, batch, accum)}, in less memory."
        )
        found.append(Proposal(sentence=sentence, model={}, train=train, bytes=needed(config, batch, optimizer)))
    if not recomputes and (size := needed(config, batch_size, optimizer, recomputes=True)) <= budget_bytes:
        sentence = (
            "Use activation checkpointing: the backward pass computes each block again instead of keeping it. It "
            "learns the same, for about a third more work."
        )
        found.append(Proposal(sentence=sentence, model={}, train={"activation_checkpointing": True}, bytes=size))
    if state_dtype == "float32" and (
        (size := needed(config, batch_size, optimizer, state_dtype="bfloat16")) <= budget_bytes
    ):
        sentence = "Keep the optimizer states in bfloat16 (state_dtype): they take half the memory."
        found.append(Proposal(sentence=sentence, model={}, train={"state_dtype": "bfloat16"}, bytes=size))
    rule, leaner = find_optimizer(optimizer), OPTIMIZERS[_LEAN_OPTIMIZER]
    if (
        leaner.matrix_states < rule.matrix_states
        and (size := needed(config, batch_size, _LEAN_OPTIMIZER)) <= budget_bytes
    ):
        sentence = (
            f"Use {leaner.title} instead of {rule.title}: it keeps {leaner.state_size.partition(',')[0]} instead of "
            f"{COUNTS[rule.matrix_states]}."
        )
        found.append(Proposal(sentence=sentence, model={}, train={"optimizer": _LEAN_OPTIMIZER}, bytes=size))
    sizes = (batch_size, 1) if not found and batch_size > 1 else (batch_size,)
    for shrink in (_dropout, _context, _experts, _layers, _feed_forward, _width, _vocabulary, _all_round):
        if shrink is _all_round and found:
            break
        changes = shrink(config)

        def is_legal(i: int, changes: Sequence[Change] = changes) -> bool:
            return not ModelConfig.problems({**vars(config), **changes[i][0]})

        for batch in sizes[-1:] if shrink is _all_round else sizes:

            def fits(i: int, changes: Sequence[Change] = changes, batch: int = batch) -> bool:
                return needed(changed(changes[i]), batch, optimizer) <= budget_bytes

            at = _first(len(changes), is_legal, fits)
            if at is None:
                continue
            slots, sentence = changes[at]
            train = {} if batch == batch_size else batched(batch)
            if train:
                sentence += f" And a batch_size of 1, with grad_accum_steps {train['grad_accum_steps']}."
            size = needed(changed(changes[at]), batch, optimizer)
            found.append(Proposal(sentence=sentence, model=slots, train=train, bytes=size))
            break
    return found


def _first(n: int, is_legal: Callable[[int], bool], fits: Callable[[int], bool]) -> int | None:
    """Return the index of the first legal change of 0…n−1 that fits, or None, by bisection: later ones need less.

    There may be hundreds of changes, so only those that the bisection visits are evaluated.
    """
    best = next((i for i in range(n - 1, -1, -1) if is_legal(i)), None)
    if best is None or not fits(best):
        return None
    low, high = 0, best
    while low < high:
        middle = (low + high) // 2
        at = next((i for i in range(middle, high) if is_legal(i)), None)
        if at is None:
            high = middle
        elif fits(at):
            best, high = at, middle
        else:
            low = at + 1
    return best


def _dropout(config: ModelConfig) -> Sequence[Change]:
    if not config.dropout:
        return []
    return [({"dropout": 0.0}, "Train without dropout: attention then never writes its scores out.")]


def _context(config: ModelConfig) -> Sequence[Change]:
    was = config.context_length
    step = max(8, was // 2048)
    lengths = range((was - 1) // step * step, MIN_CONTEXT - 1, -step)
    return [({"context_length": n}, f"Use a context_length of {n:,} instead of {was:,}.") for n in lengths]


def _experts(config: ModelConfig) -> Sequence[Change]:
    was, used = config.n_expert, config.n_expert_used
    if not was:
        return []
    return [({"n_expert": n}, f"Use {n} experts instead of {was}.") for n in range(was - 1, used - 1, -1)]


def _layers(config: ModelConfig) -> Sequence[Change]:
    """Propose fewer layers; the encoder's depth shrinks in proportion if it has its own."""
    was, encoder = config.n_layer, config.n_encoder_layer
    changes = []
    for n in range(was - 1, 0, -1):
        slots = {"n_layer": n} | ({"n_encoder_layer": max(1, encoder * n // was)} if encoder else {})
        changes.append((slots, f"Use {n} layer{'s' * (n > 1)} instead of {was}."))
    return changes


def _feed_forward(config: ModelConfig) -> Sequence[Change]:
    was = config.ff_width
    step = max(8, was // 512 // 8 * 8)
    widths = range((was - 1) // step * step, MIN_FF - 1, -step)
    changes = []
    for n in widths:
        slots = {"d_ff": n} | ({"d_encoder_ff": min(config.d_encoder_ff, n)} if config.d_encoder_ff else {})
        changes.append((slots, f"Use a feed-forward width (d_ff) of {n:,} instead of {was:,}."))
    return changes


def _width(config: ModelConfig) -> Sequence[Change]:
    """Propose fewer heads of the same width, with d_model and d_ff in proportion."""
    changes: list[Change] = []
    for heads in range(config.n_head - 1, 0, -1):
        share = heads / config.n_head
        slots: dict[str, Any] = {"n_head": heads, "d_model": config.d_model * heads // config.n_head}
        if config.n_kv_head:
            slots["n_kv_head"] = max(n for n in range(1, heads + 1) if heads % n == 0 and n <= config.n_kv_head)
        if config.n_encoder_head:
            slots["n_encoder_head"] = heads
        for name in ("d_ff", "d_encoder_ff"):
            if getattr(config, name):
                slots[name] = max(MIN_FF, round(getattr(config, name) * share) // 8 * 8)
        words = f"Use a width (d_model) of {slots['d_model']:,} with {heads} head{'s' * (heads > 1)} instead of "
        changes.append((slots, f"{words}{config.d_model:,} with {config.n_head}."))
    return changes


def _vocabulary(config: ModelConfig) -> Sequence[Change]:
    was = config.vocab_size
    step = max(8, was // 512)
    sizes = range((was - 1) // step * step, MIN_VOCABULARY - 1, -step)
    return [
        ({"vocab_size": n}, f"Train a tokenizer with a vocab_size of {n:,} instead of {was:,} for it.") for n in sizes
    ]


def _all_round(config: ModelConfig) -> Sequence[Change]:
    """Propose fewer layers, a narrower model and a shorter context together, a sixteenth at a time."""
    changes: list[Change] = []
    by_heads = {slots["n_head"]: slots for slots, _ in _width(config)}
    for share in range(15, 0, -1):
        layers = max(1, config.n_layer * share // 16)
        slots = dict(by_heads.get(max(1, config.n_head * share // 16), {}))
        slots["n_layer"] = layers
        if config.n_expert:
            slots["n_expert"] = max(config.n_expert_used, config.n_expert * share // 16)
        if config.n_encoder_layer:
            slots["n_encoder_layer"] = max(1, config.n_encoder_layer * share // 16)
        slots["context_length"] = max(MIN_CONTEXT, config.context_length * share // 16 // 8 * 8)
        words = f"{layers} layer{'s' * (layers > 1)}, {slots.get('d_model', config.d_model):,} wide, context_length"
        changes.append((slots, f"Use a smaller design all round: {words} {slots['context_length']:,}."))
    return changes
