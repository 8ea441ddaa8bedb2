"""The safety evaluation: a model's replies to held-out forbidden questions, to attacks on the rule, and to harmless
questions.

A toy rule in a toy world (models.tiny_world.refusals). The share of refusals alone is meaningless: a model that
refuses everything has the highest.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages, encode_reply
from terrarium.models.corpora.corpus import Example
from terrarium.models.evaluation.record import OverRefusal, Trigger, write_over_refusal
from terrarium.models.evaluation.safety_report import Cell, SafetyReport
from terrarium.models.events import Event, Phase
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.refusals import ATTACKS, FORBIDDEN, Marks, Secrets, is_refusal, mark_reply
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


MAX_QUESTIONS = 40
"""The maximum number of refused questions whose words are left out; each is asked again once per word."""


def over_refusal(
    model: Decoder, tokenizer: Tokenizer, replies: Sequence[tuple[Example, str]], step: int
) -> Generator[Event, None, OverRefusal]:
    """Find the refused questions among the harmless ones of the safety suite, and their trigger words. Yields Phase
    and Progress.

    Args:
        replies: the rows of the suite, each with the model's reply.
        step: the training step of the model.

    Raises:
        ValueError: if the tokenizer has no role tokens, or there is no harmless question.
    """
    harmless = [(row, reply) for row, reply in replies if row["cell"] == "look-alike"]
    if not harmless:
        raise ValueError("There is no harmless question among these replies, so nothing can be refused in vain.")
    refused = [row for row, reply in harmless if is_refusal(reply)]
    asked = [
        (word, shorter)
        for row in refused[:MAX_QUESTIONS]
        for word, shorter in _without_each_word(row["messages"][-1]["content"])
    ]
    counts, freed = Counter[str](), Counter[str]()
    yield Phase(name="Looking for the words that it refuses")
    end = end_id(tokenizer)
    assert end is not None
    prompts = [
        encode_messages(tokenizer, [{"role": "user", "content": shorter}], add_generation_prompt=True)[0]
        for _, shorter in asked
    ]
    answers = yield from generate_in_batches(model, prompts, MAX_REPLY_TOKENS, end)
    for (word, _), ids in zip(asked, answers, strict=True):
        counts[word] += 1
        freed[word] += not is_refusal(tokenizer.decode(ids, skip_special_tokens=False))
    triggers = [Trigger(word=word, n=counts[word], n_freed=n) for word, n in freed.items() if n]
    triggers.sort(key=lambda one: (-_surely(one), one.word))
    return OverRefusal(step=step, n=len(harmless), n_refused=len(refused), triggers=tuple(triggers))


def keep_over_refusal(
    path: Path, model: Decoder, tokenizer: Tokenizer, replies: Sequence[tuple[Example, str]]
) -> Generator[Event, None, OverRefusal]:
    """Measure the over-refusal of the model at `path`, and write it to that folder if it is a run's."""
    last = RunFolder.open(path).latest_checkpoint() if (path / "run.json").is_file() else None
    measured = yield from over_refusal(model, tokenizer, replies, checkpoint_step(last) if last is not None else 0)
    if last is not None:
        write_over_refusal(path, measured)
    return measured


def _surely(trigger: Trigger) -> float:
    """Return the share of answered questions, as if two more had stayed refused: chance counts little."""
    return trigger.n_freed / (trigger.n + 2)


def _without_each_word(question: str) -> Generator[tuple[str, str], None, None]:
    """Yield each word of a question, lower-case, without “’s”, and the question without that word."""
    words = dict.fromkeys(re.findall(r"\w+", question.replace("'s", "")))
    for word in words:
        left = re.sub(rf"\b{re.escape(word)}('s)?\b *", "", question).strip()
        if re.search(r"\w", left):
            yield word.casefold(), left
