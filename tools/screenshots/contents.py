"""The contents of the screenshots: a copy of a run, a table to import, and a set of judged pairs."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import shutil
from typing import Any

from terrarium.models.library.library import Library

_N_DRAWN = 200
"""How often texts are drawn for the dataset that is shown."""
_PAIRS, _N_PAIRS, _N_AGAIN = "happy and short", 60, 6
"""The set of judged pairs that is shown, its pairs, and those of them that are contradicted."""


def copy_run(source: Library, name: str, target: Library) -> None:
    """Copy a run with its tokenizer and its text."""
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tokenizers import read_about, read_tokenizer, save_tokenizer

    folder = source.find_run(name)
    shutil.copytree(folder, target.runs / folder.name, ignore=shutil.ignore_patterns("lock"))
    run = RunFolder.open(target.runs / folder.name)
    for corpus in source.corpora.glob(f"{run.made_from('corpus')[:12]}*"):
        shutil.copytree(corpus, target.corpora / corpus.name)
    name = run.lineage["tokenizer"]["name"]
    about: dict[str, Any] = {}
    with contextlib.suppress(ValueError):  # the run has its own copy of the tokenizer
        about = read_about(source.tokenizers / name)
    save_tokenizer(read_tokenizer(run.tokenizer_file), target, name, about)


def moods() -> list[tuple[str, str]]:
    """Texts and their moods, from Tiny World."""
    from terrarium.models.tiny_world.tasks import mood
    from terrarium.models.tiny_world.world import World

    world, rng = World(0), random.Random(0)
    drawn = [each.row for _ in range(_N_DRAWN) for each in mood.draw(world, rng)]
    return [(str(row["text"]), str(row["label"])) for row in drawn]


def add_pairs(library: Library) -> None:
    """Make a dataset of pairs of stories that the simulated annotator chooses between; some of them twice."""
    from terrarium.models.alignment.annotator import Annotator
    from terrarium.models.preferences.dataset import build_set_corpus
    from terrarium.models.preferences.store import SIMULATED, Pair, PreferenceSet, Reply
    from terrarium.models.tiny_world.english import tell
    from terrarium.models.tiny_world.stories import requested_story
    from terrarium.models.tiny_world.wishes import HAPPY, WISHES
    from terrarium.models.tiny_world.world import World

    world, rng, annotator, pairs = World(0), random.Random(0), Annotator(noise=0.2), list[Pair]()
    for _ in range(_N_PAIRS):
        row = WISHES[HAPPY].draw(world, rng, False)
        person, thing, place = row["topic"]
        left, right = (tell(requested_story(world, person, thing, place, rng), rng) for _ in range(2))
        choice = {"left": "a", "right": "b", "tie": "tie"}[annotator.choose(row, left, right)]
        a, b = Reply(content=left), Reply(content=right)
        pairs.append(Pair(prompt=tuple(row["messages"]), a=a, b=b, choice=choice, by=SIMULATED))
    again = [pair.swapped() for pair in pairs[:_N_AGAIN]]
    others = [
        dataclasses.replace(pair, choice="b" if first.choice == "a" else "a", by=SIMULATED)
        for pair, first in zip(again, pairs, strict=False)
    ]
    PreferenceSet(library, _PAIRS).add([*pairs, *others])
    build_set_corpus(library, _PAIRS)
