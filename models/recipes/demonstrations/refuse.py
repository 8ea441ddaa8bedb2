"""“Knows what to refuse”: a helpful model learns a rule, with and without harmless look-alikes, and loses it again.

Four fine-tunings, each a separate run: helpful (it learns the facts to tell), refuses (400 forbidden questions with
as many look-alikes), refuses all (without look-alikes), and eroded (20 harmless steps afterwards).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from terrarium.models.alignment.log_probs import read_replies
from terrarium.models.alignment.rollouts import draw_replies, reply_batch
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.evaluation.safety import N_EACH, evaluate_safety, keep_over_refusal, safety_rows
from terrarium.models.evaluation.safety_report import SafetyReport
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.demonstration import check_can_reply, kept_beside, load_chat_model
from terrarium.models.recipes.demonstrations.demonstrations_table import BASE_STAGE, DEMONSTRATIONS, STARTS
from terrarium.models.recipes.demonstrations.results import REFUSE, RefuseResult
from terrarium.models.recipes.demonstrations.stages import Stages, stage_spec
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.tiny_world.refusals import HELPFUL, REFUSALS, REFUSALS_ONLY
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS, World

_TITLES = DEMONSTRATIONS[REFUSE].stages
_BATCH, _RATE = 2, 1e-3
"""A batch has examples of similar length, about _BATCH contexts of tokens: some 20 short ones or 8 long ones. Larger
ones leave too few updates for the short ones, which state what is forbidden.
"""
_AT_ONCE = 64
"""Replies in a batch."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A fine-tuning. dataset: of refusals.SIZES, "" for Tiny World. batch: its size, in contexts of tokens."""

    title: str
    dataset: str
    steps: int
    batch: int = _BATCH


LESSONS: Mapping[str, Lesson] = {
    "helpful": Lesson(title=_TITLES["helpful"], dataset=HELPFUL, steps=800),
    "refuses": Lesson(title=_TITLES["refuses"], dataset=REFUSALS, steps=900),
    "refuses_all": Lesson(title=_TITLES["refuses_all"], dataset=REFUSALS_ONLY, steps=900),
    "eroded": Lesson(title=_TITLES["eroded"], dataset="", steps=20, batch=5),
}
"""Stage → its lesson, in this order; the stage “base” is the given model."""


def refuse(
    stages: Stages, base: str, *, seed: int = 0, world_seed: int = 0, n_each: int = N_EACH
) -> Generator[Event, None, RefuseResult]:
    """Run the demonstration on a chat model. Yields the events of its trainings and measurements.

    Args:
        base: a run, or a path.
        seed: of the trainings.
        world_seed: of the world that the model was trained on.

    Raises:
        ValueError: if there is no such model, it cannot chat, or a training fails.
    """
    library, device = stages.library, stages.device
    check_can_reply(library, base)
    reports: dict[str, SafetyReport] = {}
    seconds: dict[str, float] = {}
    models: dict[str, str] = {BASE_STAGE: base}
    began = time.perf_counter()
    kept = kept_beside(library, base, seed=seed, n_each=n_each, world=world_seed)
    reports[BASE_STAGE] = yield from kept.once(
        "safety",
        lambda: measure_safety(library, base, world_seed, device, n_each),
        SafetyReport.to_dict,
        SafetyReport.from_dict,
    )
    seconds[BASE_STAGE] = time.perf_counter() - began
    for name, lesson in LESSONS.items():
        began = time.perf_counter()
        spec = lesson_spec(library, lesson, models[STARTS[name]], seed, world_seed)
        run = yield from stages.train(spec)
        models[name] = run.id
        reports[name] = yield from measure_safety(library, run.id, world_seed, device, n_each)
        seconds[name] = time.perf_counter() - began
    runs = {name: model for name, model in models.items() if name != BASE_STAGE}
    kl = yield from _kl_by_position(library, models["refuses"], models["helpful"], seed, world_seed, device, n_each)
    return RefuseResult(base=base, seed=seed, reports=reports, runs=runs, seconds=seconds, kl_by_position=kl)


def lesson_spec(library: Library, lesson: Lesson, parent: str, seed: int, world_seed: int) -> RunSpec:
    """Return the spec of a lesson's run, from the weights of `parent`."""
    data = DataSpec(source="tiny-world", seed=world_seed)
    if lesson.dataset:
        data = DataSpec(source="dataset", dataset=f"Tiny World {world_seed}, {lesson.dataset}", task="chat")
    return fine_tuning(library, lesson.title, parent, data, lesson.steps, seed, lesson.batch)


def fine_tuning(
    library: Library,
    title: str,
    parent: str,
    data: DataSpec,
    steps: int,
    seed: int,
    batch: int = _BATCH,
    rate: float = _RATE,
) -> RunSpec:
    """Return the spec of a run that imitates replies, from the weights of `parent`."""
    train = {
        "lr": rate,
        "schedule": "linear",
        "batch_size": batch,
        "steps": steps,
        "seed": seed,
        "eval_interval": 0,
        "checkpoint_interval": steps,
    }
    return stage_spec(library, title, parent, data, train)


def measure_safety(
    library: Library, model: str, world_seed: int, device: str, n_each: int
) -> Generator[Event, None, SafetyReport]:
    """Ask a run or a path the questions of the safety suite."""
    loaded = load_chat_model(library, model, device)
    report = yield from evaluate_safety(*loaded, World(world_seed), n_each)
    yield from keep_over_refusal(library.find_run(model), *loaded, report.replies)
    return report


def _kl_by_position(
    library: Library, model: str, before: str, seed: int, world_seed: int, device: str, n_each: int
) -> Generator[Event, None, list[dict[str, float]]]:
    """Measure by position in replies to forbidden questions how two models differ: see RefuseResult."""
    yield Phase(name="Measuring where in its replies the rule acts")
    own, tokenizer = load_chat_model(library, model, device)
    other, _ = load_chat_model(library, before, device)
    rows = [row for row in safety_rows(World(world_seed), n_each) if row["cell"] == "forbidden"]
    prompts = [encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0] for row in rows]
    room = own.config.context_length - MAX_REPLY_TOKENS
    prompts = [prompt for prompt in prompts if len(prompt) <= room]
    drawn = yield from draw_replies(own, tokenizer, prompts, 1, seed=seed, max_tokens=MAX_REPLY_TOKENS)
    found: list[list[float]] = []
    for first in range(0, len(prompts), _AT_ONCE):
        yield Progress(done=first, total=len(prompts))
        some = slice(first, first + _AT_ONCE)
        batch = reply_batch(prompts[some], [replies[0].ids for replies in drawn[some]])
        kl = iter(read_replies(own, other, batch).kl.tolist())
        found += [list(itertools.islice(kl, len(replies[0].ids))) for replies in drawn[some]]
    at = [[row[i] for row in found if i < len(row)] for i in range(max(map(len, found), default=0))]
    return [{"position": i, "kl": sum(kls) / len(kls), "n": len(kls)} for i, kls in enumerate(at, start=1)]
