"""Finds the words that make a model refuse harmless questions: each word of a refused question is left out once, and
the question is asked again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Example
from terrarium.models.evaluation.record import OverRefusal, Trigger, write_over_refusal
from terrarium.models.events import Event, Phase
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.refusals import is_refusal
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS
from terrarium.models.tokenizers.special_tokens import end_id

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
