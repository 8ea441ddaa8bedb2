"""Batched generation: greedy replies for evaluation, and sampled ones (rollouts) for training.

The model may be in training (see `Continuation`). Letters in shape comments: B rows, T tokens, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import Progress, reporting, result_of
from terrarium.models.inference.continuation import check_prompt, next_logits
from terrarium.models.inference.sampling import check_finite


@dataclass(frozen=True, kw_only=True)
class DrawnReply:
    """A reply sampled from the model's own distribution, at temperature 1 without truncation.

    ids: including the end token, if it `ended` by one and is not cut off. log_probs: of each token, by the sampling
    model.
    """

    ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    ended: bool


KeepOn = Callable[[int, Sequence[int]], bool]
"""Returns whether to continue the reply to a prompt, given by its index, after these tokens."""

Choose = Callable[[Tensor, Tensor, int], Tensor]
"""Chooses the next tokens (B) from the logits (B, V) of rows (B) and the number of tokens before."""


def generate_batch(
    model: Decoder, prompts: Sequence[Sequence[int]], max_tokens: int, end_id: int, batch_size: int = 64
) -> list[list[int]]:
    """Run `generate_batch_steps` to its end and return its result."""
    return result_of(generate_batch_steps(model, prompts, max_tokens, end_id, batch_size))


def generate_batch_steps(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    end_id: int,
    batch_size: int = 64,
    keep_on: KeepOn | None = None,
) -> Generator[int, None, list[list[int]]]:
    """Generate greedy replies to many prompts, without end tokens; the same as `generate` at temperature 0, but faster.

    Prompts are sorted by length and processed `batch_size` at a time (measured on a CPU: 32 to 64 is fastest, larger
    batches fall out of its cache). Yields the number of tokens generated in the batch after each position, and can be
    closed there. A reply is cut off when `keep_on` returns False.

    Raises:
        ValueError: if a prompt is empty or longer than the context.
    """
    for prompt in prompts:
        check_prompt(len(prompt), model.config.context_length)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    replies: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        keep = None if keep_on is None else partial(_keep_row, keep_on, rows)
        found = yield from _one_batch(model, [prompts[i] for i in rows], 1, max_tokens, end_id, _most_likely, keep)
        for row, reply in zip(rows, found, strict=True):
            replies[row] = reply[:-1] if reply[-1:] == [end_id] else reply
    return replies


def generate_in_batches(
    model: Decoder, prompts: Sequence[Sequence[int]], max_tokens: int, end_id: int, batch_size: int = 64
) -> Generator[Progress, None, list[list[int]]]:
    """Run `generate_batch_steps` on `batch_size` prompts at a time, in their order; yields Progress (prompts) after
    each position, and can be closed there."""
    replies: list[list[int]] = []
    for first in range(0, len(prompts), batch_size):
        batch = generate_batch_steps(model, prompts[first : first + batch_size], max_tokens, end_id, batch_size)
        replies += yield from reporting(batch, Progress(done=first, total=len(prompts)))
    return replies


def _keep_row(keep_on: KeepOn, rows: Sequence[int], row: int, reply: Sequence[int]) -> bool:
    """Call `keep_on` for a row of a batch, where `rows` are the indices of its prompts."""
    return keep_on(rows[row], reply)


def _most_likely(logits: Tensor, rows: Tensor, n_before: int) -> Tensor:
    return logits.argmax(dim=-1).cpu()


def draw_batch(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[Sequence[int]],
    max_tokens: int,
    end_id: int,
) -> Generator[int, None, list[list[DrawnReply]]]:
    """Sample replies to each prompt, one per seed; yields the number of tokens generated after each position.

    A reply depends only on its prompt and its seed, not on the rest of the batch, except for rounding. A prompt is read
    once for all of its replies.

    Args:
        seeds: equally many for each prompt.

    Raises:
        ValueError: if a prompt is empty or longer than the context, or a logit is not finite.
    """
    for prompt in prompts:
        check_prompt(len(prompt), model.config.context_length)
    n_copies = len(seeds[0])
    assert all(len(each) == n_copies for each in seeds)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    draws = torch.stack(
        [
            torch.rand(max_tokens, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            for i in order
            for seed in seeds[i]
        ]
    )
    log_probs: list[list[float]] = [[] for _ in draws]

    def draw(logits: Tensor, rows: Tensor, n_before: int) -> Tensor:
        check_finite(logits)
        logs = torch.log_softmax(logits.float(), dim=-1).cpu()
        sums = logs.double().exp().cumsum(dim=-1)
        wanted = draws[rows, n_before, None] * sums[:, -1:]
        chosen = torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=logs.size(1) - 1)
        for row, value in zip(rows.tolist(), logs.gather(1, chosen[:, None])[:, 0].tolist(), strict=True):
            log_probs[row].append(value)
        return chosen

    found = yield from _one_batch(model, [prompts[i] for i in order], n_copies, max_tokens, end_id, draw)
    replies = [
        DrawnReply(ids=tuple(ids), log_probs=tuple(logs), ended=ids[-1:] == [end_id])
        for ids, logs in zip(found, log_probs, strict=True)
    ]
    by_prompt: list[list[DrawnReply]] = [[] for _ in prompts]
    for position, i in enumerate(order):
        by_prompt[i] = replies[position * n_copies : (position + 1) * n_copies]
    return by_prompt


def _one_batch(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    n_copies: int,
    max_tokens: int,
    end_id: int,
    choose: Choose,
    keep_on: KeepOn | None = None,
) -> Generator[int, None, list[list[int]]]:
    """Generate `n_copies` replies to each prompt, with their end tokens; the longest prompt comes first.

    A row leaves the batch when its reply ends, or when `keep_on` returns False. Yields the number of tokens generated
    after each position.
    """
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    longest = len(prompts[0])
    mask = torch.arange(longest) >= longest - lengths[:, None]  # (prompts, T): the padding is on the left
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([id for prompt in prompts for id in prompt])
    cache = KVCache(model.config.n_layer)
    logits = _prefill(model, ids, mask, cache)
    if n_copies > 1:
        copies = torch.arange(len(prompts)).repeat_interleave(n_copies)
        lengths, logits = lengths[copies], logits[copies.to(logits.device)]
        with torch.inference_mode():
            cache.select(copies.to(logits.device))
    replies: list[list[int]] = [[] for _ in lengths]
    rows, positions = torch.arange(len(lengths)), lengths
    budget = (model.config.context_length - lengths + 1).clamp(max=max_tokens)
    n_made = n_before = 0
    while True:
        chosen = choose(logits, rows, n_before)  # (B,)
        for row, id in zip(rows.tolist(), chosen.tolist(), strict=True):
            replies[row].append(id)
        budget, n_before, n_made = budget - 1, n_before + 1, n_made + len(rows)
        active = (chosen != end_id) & (budget > 0)
        if keep_on is not None:
            active &= torch.tensor([keep_on(row, replies[row]) for row in rows.tolist()])
        if not active.any():
            return replies
        yield n_made
        if not active.all():
            rows, budget, positions, chosen = rows[active], budget[active], positions[active], chosen[active]
            with torch.inference_mode():
                cache.select(active.nonzero()[:, 0].to(logits.device))
                cache.drop_padding()
        logits = next_logits(model, chosen[:, None], cache, positions=positions[:, None])
        positions = positions + 1


def _prefill(model: Decoder, ids: Tensor, mask: Tensor, cache: KVCache) -> Tensor:
    """Read left-padded prompts (B, T) into an empty cache; return the logits of the next token (B, V)."""
    if mask.all():
        return next_logits(model, ids, cache)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    # Separate segments keep convolutions from mixing padding and text; their state from the padding is zeroed below.
    logits = next_logits(model, ids, cache, positions=positions, mask=mask, segments=mask.long())
    with torch.inference_mode():
        cache.clear_tails(mask.to(logits.device))
    return logits
