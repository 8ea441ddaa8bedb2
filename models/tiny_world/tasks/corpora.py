"""The tasks of Tiny World as datasets on disk, built when requested by name: "Tiny World 0, names"."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_corpus
from terrarium.models.events import Event, Progress
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tiny_world.splits import Drawn
from terrarium.models.tiny_world.stories import LANGUAGES
from terrarium.models.tiny_world.tasks import code, mood, names, qa, summary, translation
from terrarium.models.tiny_world.world import World

EDITION = 4
"""Increased whenever a generator changes, so that older datasets are not mistaken for its output."""
_MAX_TRIES = 400
"""Generator calls per wanted row after which a dataset counts as impossible."""


@dataclass(frozen=True, kw_only=True)
class WorldTask:
    """A dataset of each world. `task` is of TASKS; `sizes`: (split, group) → number of rows, all distinct."""

    task: str
    metric: str
    draw: Callable[[World, random.Random], list[Drawn]]
    sizes: Mapping[tuple[str, str], int]
    labels: tuple[str, ...] = ()


def _thirds(train: int, val: int, test: int) -> dict[tuple[str, str], int]:
    """Return sizes with equally many rows of each language."""
    sizes = {"train": train, "val": val, "test": test}
    return {(split, language): n for split, n in sizes.items() for language in LANGUAGES}


WORLD_TASKS: Mapping[str, WorldTask] = MappingProxyType(
    {
        "mood": WorldTask(
            task="classification",
            metric="accuracy",
            draw=mood.draw,
            labels=mood.LABELS,
            sizes={("train", "seen"): 5000, ("val", "seen"): 400, ("test", "seen"): 600, ("test", "unseen"): 600},
        ),
        "names": WorldTask(
            task="tagging",
            metric="entity_f1",
            draw=names.draw,
            labels=names.LABELS,
            sizes={
                ("train", "known"): 8000,
                ("val", "known"): 200,
                ("val", "unseen"): 200,
                ("test", "known"): 600,
                ("test", "unseen"): 600,
            },
        ),
        "qa": WorldTask(
            task="span",
            metric="exact_match",
            draw=qa.draw,
            sizes={
                ("train", "answerable"): 16_000,
                ("train", "unanswerable"): 4000,
                ("val", "answerable"): 320,
                ("val", "unanswerable"): 80,
                ("test", "answerable"): 800,
                ("test", "unanswerable"): 200,
            },
        ),
        "translation": WorldTask(
            task="text-to-text", metric="chrf2", draw=translation.draw, sizes=_thirds(10_000, 150, 500)
        ),
        "summary": WorldTask(
            task="text-to-text",
            metric="facts_right",
            draw=summary.draw,
            sizes={
                (split, group): n
                for split, n in (("train", 20_000), ("val", 200), ("test", 500))
                for group in summary.PROMPTS
            },
        ),
        "code": WorldTask(
            task="text-to-text",
            metric="pass_at_1",
            draw=code.draw,
            sizes={
                ("train", code.SEEN): 12_000,
                ("val", code.UNSEEN_COMPOSITION): 200,
                ("val", code.UNSEEN_WORDS): 200,
                ("test", code.UNSEEN_COMPOSITION): 600,
                ("test", code.UNSEEN_WORDS): 600,
            },
        ),
    }
)
_NAME = re.compile(rf"Tiny World (\d+), ({'|'.join(WORLD_TASKS)})(?:, edition {EDITION})?")


def world_task_data(name: str, seed: int = 0) -> DataSpec:
    """Return the data specification of a run on one of WORLD_TASKS."""
    task = WORLD_TASKS[name]
    dataset = f"Tiny World {seed}, {name}"
    return DataSpec(source="dataset", dataset=dataset, task=task.task, labels=task.labels, metric=task.metric)


def parse_dataset_name(dataset: str) -> tuple[str, int] | None:
    """Parse a dataset's name into a name (of WORLD_TASKS) and seed; None if it is not a dataset of Tiny World."""
    found = _NAME.fullmatch(dataset)
    return (found[2], int(found[1])) if found else None


def build_task_corpus(library: Library, name: str, seed: int) -> Generator[Event, None, Corpus]:
    """Return the dataset `name` (of WORLD_TASKS) of the world with that seed, building it if the library lacks it.

    Its splits are train, val and test; rows have the task's columns, "group", and the columns for judging. Yields
    Progress.
    """
    task = WORLD_TASKS[name]
    label = f"Tiny World {seed}, {name}, edition {EDITION}"
    if (known := find_corpus(library, label, task.task)) is not None:
        return known
    rows = yield from _draw_all(task, World(seed), random.Random(f"tiny-world-{name}-{seed}"))
    return build_examples_corpus(
        library,
        rows["train"],
        rows["val"],
        label,
        seed,
        test=rows["test"],
        task=task.task,
        labels=task.labels,
        metric=task.metric,
    )


def _draw_all(task: WorldTask, world: World, rng: random.Random) -> Generator[Event, None, dict[str, list[Example]]]:
    """Draw as many distinct rows as `sizes` asks for, by split, and shuffle each split."""
    answers = {"label", "tags", "answers", "target"}
    columns = [column for column in TASKS[task.task].columns if column not in answers]
    rows: dict[str, list[Example]] = {split: [] for split, _ in task.sizes}
    missing, total = Counter(task.sizes), sum(task.sizes.values())
    seen: set[str] = set()
    for _ in range(_MAX_TRIES * total):
        for drawn in task.draw(world, rng):
            key = str([drawn.row[column] for column in columns])
            if key in seen or missing[drawn.split, drawn.group] <= 0:
                continue
            seen.add(key)
            rows[drawn.split].append(drawn.row)
            missing[drawn.split, drawn.group] -= 1
            if len(seen) % 1000 == 0:
                yield Progress(done=len(seen), total=total)
        if len(seen) == total:
            break
    assert len(seen) == total, f"no more rows for {+missing}"
    for examples in rows.values():
        rng.shuffle(examples)
    return rows
