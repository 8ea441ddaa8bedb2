"""“Say it twice.”: a reply format that a model learns from 1,000 examples, and the forgetting that this causes.

Two fine-tunings, each a separate run: with as many old rows, balanced by kind, and without them, after which the new
format leaks into questions that do not ask for it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping

from terrarium.models.alignment.rollouts import reply_end
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.evaluation.held_out_questions import held_out_questions
from terrarium.models.events import Event, Phase
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.recipes.demonstrations.demonstration import Bench, load_chat_model, name_of
from terrarium.models.recipes.demonstrations.demonstrations_table import BASE_STAGE, DEMONSTRATIONS
from terrarium.models.recipes.demonstrations.refuse import Lesson, lesson_spec
from terrarium.models.recipes.demonstrations.results import FORMAT, FormatResult, FormatStage
from terrarium.models.tiny_world.reply_format import (
    ASKED_KINDS,
    TWICE,
    TWICE_ONLY,
    formatted_answer,
    formatted_question,
)
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

_TITLES = DEMONSTRATIONS[FORMAT].stages
LESSONS: Mapping[str, Lesson] = {
    "format": Lesson(title=_TITLES["format"], dataset=TWICE, steps=600, batch=5),
    "no_old_rows": Lesson(title=_TITLES["no_old_rows"], dataset=TWICE_ONLY, steps=600, batch=5),
}
"""Stage → its lesson; the stage “base” is the given model.

A base that had been trained on Tiny World for long gave 78 % of the answers twice and right after 250 steps, and 92 %
after 600.
"""


def format_replies(bench: Bench) -> Generator[Event, None, FormatResult]:
    """Run the demonstration on a chat model. Yields the events of its stages; ValueError if a training fails."""
    base = yield from bench.kept.once(
        "said twice",
        lambda: _measured(bench, bench.base, time.perf_counter()),
        FormatStage.to_dict,
        FormatStage.from_dict,
    )
    stages = {BASE_STAGE: base}
    for name, lesson in LESSONS.items():
        began = time.perf_counter()
        spec = lesson_spec(bench.library, lesson, bench.base, bench.seed, bench.world_seed)
        run = yield from bench.stages.train(spec)
        stages[name] = yield from _measured(bench, run.id, began, run.id)
    return FormatResult(base=bench.base, seed=bench.seed, stages=stages)


def _measured(bench: Bench, name: str, began: float, run: str = "") -> Generator[Event, None, FormatStage]:
    """Measure held-out questions, always the same ones, with the new format and without it."""
    yield Phase(name=f"Measuring {name_of(bench.library, name)}")
    model, tokenizer = load_chat_model(bench.library, name, bench.stages.device)
    world = World(bench.world_seed)
    n_each = max(1, bench.n_each * 2 // 3)  # for three kinds, so 2 · n_each in all
    questions = [each for kind in ASKED_KINDS for each in held_out_questions(world, kind, n_each)]
    prompts = [
        encode_messages(tokenizer, [{"role": "user", "content": formatted_question(each)}], True)[0]
        for each in questions
    ]
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt) <= model.config.context_length]
    replies = yield from generate_in_batches(
        model, [prompts[i] for i in fitting], MAX_REPLY_TOKENS, reply_end(tokenizer)
    )
    said = [tokenizer.decode(ids, skip_special_tokens=False).strip() for ids in replies]
    n_right = sum(reply == formatted_answer(questions[i]) for i, reply in zip(fitting, said, strict=True))
    kinds = yield from bench.kinds(model, tokenizer)
    seconds = time.perf_counter() - began
    return FormatStage(gold=n_right / len(questions), n=len(questions), kinds=kinds, seconds=seconds, run=run)
