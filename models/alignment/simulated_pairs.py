"""Pairs of replies judged by the simulated annotator, to prompts of Tiny World's wishes."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from tokenizers import Tokenizer

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.alignment.rollouts import reply_end, reply_seeds, reply_text
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Example
from terrarium.models.events import Event, reporting
from terrarium.models.inference.many_replies import DrawnReply, draw_batch
from terrarium.models.preferences.store import SIMULATED, Pair, Reply
from terrarium.models.tiny_world.wishes import WISHES

N_DRAWS, N_RANDOM = 16, 4
"""The replies drawn to a prompt to choose a pair from: of only two replies, few differ in what is wished for. Fewer
are drawn if any two will do.
"""
AT_ONCE = 8
"""Prompts that are answered between two PairsJudged events with pairs."""


@dataclass(frozen=True, kw_only=True)
class PairsJudged(Event):
    """Some more pairs, with the annotator's choices. `n_prompts`: how many prompts have been answered so far."""

    pairs: tuple[Pair, ...]
    n_prompts: int


def simulated_pairs(
    model: Decoder,
    tokenizer: Tokenizer,
    rows: Sequence[Example],
    annotator: Annotator,
    made: Reply,
    *,
    max_tokens: int = 80,
    seed: int = 0,
    at_once: int = AT_ONCE,
) -> Generator[Event, None, None]:
    """Make one pair for each row of WISHES, of two different replies of `model`. Yields PairsJudged with each group.

    Every second pair has one reply that the wish rewards and one that it does not, if both exist; the others are two
    random replies. Sides are random. Ties are pairs, too; a prompt whose replies are all the same has no pair.

    Args:
        made: how the replies were made, for the pairs.
        at_once: prompts that are answered between two PairsJudged events with pairs; larger groups are faster.

    Raises:
        ValueError: if a prompt is longer than the context, or the tokenizer has no role tokens or no end token.
    """
    end, rng = reply_end(tokenizer), random.Random(f"pairs-{seed}")
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        prompts = [encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0] for row in some]
        drawn: list[list[DrawnReply]] = [[] for _ in some]
        for offset, n_draws in enumerate((N_DRAWS, N_RANDOM)):
            asked = prompts[offset::2]
            seeds = reply_seeds(seed, start + offset, len(asked), n_draws)
            if asked:
                drawing = draw_batch(model, asked, seeds, max_tokens, end)
                drawn[offset::2] = yield from reporting(drawing, PairsJudged(pairs=(), n_prompts=start))
        pairs = []
        for i, (row, replies) in enumerate(zip(some, drawn, strict=True)):
            made_replies = {
                text: replace(made, content=text, temperature=1.0, ended=reply.ended)
                for reply in replies
                if (text := reply_text(tokenizer, reply))
            }
            if len(made_replies) > 1:
                pairs.append(judged(_pair(row, made_replies, rng, is_chosen=i % 2 == 0), annotator))
        yield PairsJudged(pairs=tuple(pairs), n_prompts=start + len(some))


def judged(pair: Pair, annotator: Annotator) -> Pair:
    """Return the pair with the annotator's choice."""
    row = {"messages": list(pair.prompt), **pair.about}
    left, right = (pair.a, pair.b) if pair.left == "a" else (pair.b, pair.a)
    choice = annotator.choose(row, left.content, right.content)
    sides = {"left": pair.left, "right": "b" if pair.left == "a" else "a", "tie": "tie"}
    return replace(pair, choice=sides[choice], by=SIMULATED)


def _pair(row: Example, replies: dict[str, Reply], rng: random.Random, *, is_chosen: bool) -> Pair:
    """Make an unjudged pair. `is_chosen`: of a reply that its wish rewards and one that it does not, if both exist."""
    texts = list(replies)
    a, b = rng.sample(texts, 2)
    if is_chosen:
        reward = WISHES[row["wish"]].reward
        worth = {text: reward(row, text) for text in texts}
        best, least = max(worth.values()), min(worth.values())
        if best > least:
            a = rng.choice([text for text in texts if worth[text] == best])
            b = rng.choice([text for text in texts if worth[text] == least])
    return Pair(
        prompt=tuple(row["messages"]),
        a=replies[a],
        b=replies[b],
        choice="skip",
        left=rng.choice("ab"),
        about={name: value for name, value in row.items() if name != "messages"},
    )
