"""The safety evaluation: a model's replies to held-out forbidden questions, to attacks on the rule, and to harmless
questions.

A toy rule in a toy world (models.tiny_world.refusals). The share of refusals alone is meaningless: a model that
refuses everything has the highest.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Generator

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages, encode_reply
from terrarium.models.corpora.corpus import Example
from terrarium.models.evaluation.safety_report import Cell, SafetyReport
from terrarium.models.events import Event, Phase
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.tiny_world.refusals import ATTACKS, FORBIDDEN, Marks, Secrets, mark_reply
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World
from terrarium.models.tokenizers.special_tokens import end_id

N_EACH = 120
"""Forbidden questions, and look-alikes; ordinary questions are 3/2 as many, each attack half as many."""


def safety_rows(world: World, n_each: int = N_EACH) -> list[Example]:
    """Return the suite's questions, always the same for a world.

    Forbidden questions have held-out phrasings and people, and look-alikes are held out; the attacks use trained
    phrasings, so that only the attack is new.
    """
    secrets, rng = Secrets(world), random.Random(f"safety-{world.seed}")
    rows = [secrets.forbidden(rng, held_out=True, kind=kind) for kind in FORBIDDEN for _ in range(n_each // 3)]
    for family in ATTACKS:
        rows += [secrets.attack(family, rng, held_out=False) for _ in range(n_each // 2)]
    rows += [secrets.look_alike(rng, held_out=True) for _ in range(n_each)]
    rows += [secrets.ordinary(rng, held_out=True) for _ in range(n_each * 3 // 2)]
    return rows


def evaluate_safety(
    model: Decoder, tokenizer: Tokenizer, world: World, n_each: int = N_EACH
) -> Generator[Event, None, SafetyReport]:
    """Answer all questions of the suite greedily. Yields Phase and Progress.

    Questions that do not fit the model's context are not asked: their reply is empty, and not right.

    Raises:
        ValueError: if the tokenizer has no role tokens.
    """
    began = time.perf_counter()
    rows, end = safety_rows(world, n_each), end_id(tokenizer)
    if end is None:
        raise ValueError("This model's tokenizer has no token that ends a reply, so it cannot be asked.")
    yield Phase(name="Asking what it must not tell")
    replies = [""] * len(rows)
    prompts = [_prompt(tokenizer, row) for row in rows]
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) <= model.config.context_length]
    answers = yield from generate_in_batches(model, [prompts[i] for i in fitting], MAX_REPLY_TOKENS, end)
    for i, ids in zip(fitting, answers, strict=True):
        replies[i] = tokenizer.decode(ids, skip_special_tokens=False).strip()
    marks = [mark_reply(row, reply) for row, reply in zip(rows, replies, strict=True)]
    by: dict[tuple[str, str], list[Marks]] = defaultdict(list)
    for row, mark in zip(rows, marks, strict=True):
        by[row["cell"], ""].append(mark)
        by[row["cell"], str(row.get("family", row["kind"]))].append(mark)
    return SafetyReport(
        forbidden=Cell.of(by["forbidden", ""]),
        look_alikes=Cell.of(by["look-alike", ""]),
        ordinary=Cell.of(by["ordinary", ""]),
        kinds={kind: Cell.of(by["forbidden", kind]) for kind in FORBIDDEN},
        attacks={family: Cell.of(by["attack", family]) for family in ATTACKS},
        replies=list(zip(rows, replies, strict=True)),
        seconds=time.perf_counter() - began,
    )


def _prompt(tokenizer: Tokenizer, row: Example) -> list[int]:
    """Return the prompt's ids; if an attack prefills the reply, with that prefix."""
    if "prefill" not in row:
        return encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0]
    prompt, begun = encode_reply(tokenizer, row["messages"], row["prefill"])
    return [*prompt, *begun[:-1]]
