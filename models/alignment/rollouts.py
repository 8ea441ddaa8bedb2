"""Prompts, the replies that a model draws to them, and batches of both.

Letters in shape comments: B rows (prompts × replies), T tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Corpus, Example
from terrarium.models.data.batch import Batch
from terrarium.models.data.epoch_permutations import EpochOrder, EpochPermutations
from terrarium.models.events import Event, Progress, reporting
from terrarium.models.importing.plan import SPLIT_WORDS
from terrarium.models.inference.many_replies import DrawnReply, draw_batch
from terrarium.models.tokenizers.special_tokens import end_id


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A row of a prompt dataset, and its ids with the tokens that begin a reply."""

    row: Example
    ids: tuple[int, ...]


class Prompts:
    """The distinct prompts of a split; in training, in a new order in every epoch."""

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        tokenizer: Tokenizer,
        longest: int,
        seed: int = 0,
        at_most: int | None = None,
    ) -> None:
        """Read and encode the prompts.

        Args:
            longest: the maximum number of tokens of a prompt.
            at_most: the maximum number of prompts; the first ones are used.

        Raises:
            ValueError: if there are none, none is short enough, or the tokenizer has no role tokens or no end token.
        """
        found: dict[tuple[int, ...], Prompt] = {}
        rows = corpus.rows(split)
        if not len(rows):
            raise ValueError(f"{corpus.label!r} has no prompts for {SPLIT_WORDS[split]}: use another dataset.")
        for row in rows:
            ids = tuple(encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0])
            if len(ids) <= longest:
                found.setdefault(ids, Prompt(row=row, ids=ids))
            if len(found) == at_most:
                break
        self.rows = list(found.values())
        if not self.rows:
            raise ValueError(
                f"Every prompt of {corpus.label!r} ({split}) has more than {longest} tokens, so no reply fits the "
                "context beside it: use shorter prompts, or lower align.max_tokens."
            )
        self._order = EpochPermutations(seed)

    def of_step(self, step: int, n: int) -> list[Prompt]:
        """Return the `n` prompts of a step; deterministic."""
        return [self.rows[i] for i in items_of_step(self._order, len(self.rows), step, n)]


def items_of_step(order: EpochOrder, total: int, step: int, n: int) -> list[int]:
    """Return which `n` of `total` items a step takes: every epoch has each of them once, in its own order."""
    positions = torch.arange(step * n, (step + 1) * n)
    found: list[int] = []
    for epoch in (positions // total).unique().tolist():
        found += order.take(epoch, total, positions[positions // total == epoch] % total).tolist()
    return found


def longest_prompt(context_length: int, max_tokens: int) -> int:
    """Return the maximum tokens of a prompt (at least 1) that fits the context with a reply of `max_tokens`; a reward
    model reads both as a whole.
    """
    return max(1, context_length - max_tokens)


class RowBatches:
    """The number of steps in a pass over the rows of an alignment; the TrainingStage makes the batches of a step."""

    bytes_per_token: float | None = None

    def __init__(self, corpus: Corpus, n_rows: int) -> None:
        self.n_batches = max(1, len(corpus.rows("train")) // n_rows)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        """Not used: the stage makes the batches."""
        raise AssertionError("a Stage makes the batches of an alignment")


def reply_seeds(seed: int, step: int, n_prompts: int, n_replies: int) -> list[list[int]]:
    """Return a seed for each reply of a step, for `draw_batch`."""
    return [
        [
            int.from_bytes(hashlib.blake2b(f"{seed} {step} {i} {j}".encode(), digest_size=7).digest(), "big")
            for j in range(n_replies)
        ]
        for i in range(n_prompts)
    ]


def reply_batch(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> Batch:
    """Make a row of each prompt and its reply, padded at the end; the reply's tokens have weight 1."""
    texts = [(*prompt, *reply) for prompt, reply in zip(prompts, replies, strict=True)]
    width = max(map(len, texts)) - 1
    inputs = torch.zeros(len(texts), width, dtype=torch.long)
    targets = torch.zeros_like(inputs)
    weights = torch.zeros(len(texts), width)
    for row, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        n = len(text) - 1
        inputs[row, :n] = torch.tensor(text[:-1])
        targets[row, :n] = torch.tensor(text[1:])
        weights[row, len(prompt) - 1 : n] = 1.0
    return Batch(inputs, targets, weights, n_tokens=sum(len(text) - 1 for text in texts))


def reply_text(tokenizer: Tokenizer, reply: DrawnReply) -> str:
    """Decode a reply without its end token."""
    ids = reply.ids[:-1] if reply.ended else reply.ids
    return str(tokenizer.decode(list(ids), skip_special_tokens=False)).strip()


def reply_end(tokenizer: Tokenizer) -> int:
    """Return the token that ends a reply; ValueError if the tokenizer has none."""
    end = end_id(tokenizer)
    if end is None:
        raise ValueError("This model's tokenizer has no token that ends a reply, so replies cannot be told apart.")
    return end


def draw_replies(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    seed: int = 0,
    step: int = 0,
    max_tokens: int = 80,
    n_rows: int = 256,
) -> Generator[Event, None, list[list[DrawnReply]]]:
    """Draw n replies to each prompt. They depend on (seed, step) and the weights alone. Yields Progress (replies).

    Args:
        n_rows: replies drawn together; on a CPU, larger groups have a higher throughput.

    Raises:
        ValueError: if a prompt is longer than the context, or the tokenizer has no end token.
    """
    end, seeds = reply_end(tokenizer), reply_seeds(seed, step, len(prompts), n)
    found: list[list[DrawnReply]] = [[] for _ in prompts]
    n_prompts, n_copies = max(1, n_rows // n), min(n, n_rows)
    for first in range(0, len(prompts), n_prompts):
        some = slice(first, first + n_prompts)
        for start in range(0, n, n_copies):
            own_seeds = [each[start : start + n_copies] for each in seeds[some]]
            progress = Progress(done=first * n + start, total=len(prompts) * n)
            yield progress
            drawn = yield from reporting(draw_batch(model, prompts[some], own_seeds, max_tokens, end), progress)
            for own, replies in zip(found[some], drawn, strict=True):
                own += replies
    return found
