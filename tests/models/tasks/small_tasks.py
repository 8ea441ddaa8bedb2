"""Tiny datasets that a model learns in seconds, and runs on them."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tokenizers import save_tokenizer, train_tokenizer
from terrarium.models.training.trainer import prepare_run

PEOPLE = ("anna", "ben", "carl", "dora")
PLACES = ("rome", "oslo", "bonn", "lima")
THINGS = ("key", "lamp", "hat")
MOODS = {"glad": ("smiles", "laughs", "sings"), "sad": ("cries", "weeps"), "angry": ("shouts", "growls")}

DESIGNS = {
    topology: ModelConfig(
        topology=topology, context_length=24, n_layer=1, d_model=32, n_head=2, position="rope", conv_width=3
    )
    for topology in ("encoder-only", "decoder-only", "encoder-decoder")
}


def _mood(rng: random.Random) -> tuple[str, str]:
    mood = rng.choice(list(MOODS))
    words = [rng.choice(PEOPLE), rng.choice(MOODS[mood]), "in", rng.choice(PLACES)]
    return " ".join(words[: rng.choice([2, 4])]), mood


def make_row(task: str, rng: random.Random) -> dict[str, Any]:
    text, mood = _mood(rng)
    match task:
        case "classification":
            return {"text": text, "label": mood}
        case "multi-label":
            words = text.split()
            return {"text": text, "labels": [mood, *(["place"] if words[-1] in PLACES else [])]}
        case "regression":
            return {"text": text, "score": float(list(MOODS).index(mood) - 1)}
        case "tagging":
            words = [rng.choice(PEOPLE), *rng.choice([[], ["of", rng.choice(PLACES)]]), "took", rng.choice(THINGS)]
            words += ["to", rng.choice(PLACES)]
            tags = ["O"] * len(words)
            tags[0], tags[-1] = "B-PER", "B-LOC"
            if "of" in words:
                tags[1] = tags[2] = "I-PER"
            return {"words": words, "tags": tags}
        case "span":
            people = rng.sample(PEOPLE, 3)
            has = {who: rng.choice(THINGS) for who in people[:2]}
            context = " and ".join(f"{who} has {thing}" for who, thing in has.items())
            who = rng.choice(people)
            answers = []
            if who in has:
                start = context.index(f"{who} has ") + len(f"{who} has ")
                answers = [{"text": has[who], "start": start}]
            return {"question": f"what has {who} ?", "context": context, "answers": answers}
        case _:
            return {"source": text, "target": " ".join(reversed(text.split()))}


def driven(work: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
    """All events of a generator, and its result."""
    seen = []
    while True:
        try:
            seen.append(next(work))
        except StopIteration as end:
            return seen, end.value


def make_dataset(library: Library, task: str, n: int = 300, **options: Any) -> Corpus:
    rng = random.Random(task)
    splits = [[make_row(task, rng) for _ in range(size)] for size in (n, 60, 60)]
    labels = {"tagging": ("O", "B-PER", "I-PER", "B-LOC")}.get(task, ())
    settings = {"label": task, "seed": None, "test": splits[2], "task": task, "labels": labels, **options}
    return build_examples_corpus(library, splits[0], splits[1], **settings)


def word_tokenizer() -> Tokenizer:
    words = [*PEOPLE, *PLACES, *THINGS, *(word for mood in MOODS.values() for word in mood)]
    return train_tokenizer([" " + " ".join([*words, "in of took to has and what ?"])] * 3, "word", 100)


def make_task_spec(library: Library, task: str, topology: str, **train: Any) -> RunSpec:
    """A spec of a dataset that is there already, for a few seconds."""
    if not (library.tokenizers / "words").exists():
        save_tokenizer(word_tokenizer(), library, "words", {})
    settings: dict[str, Any] = {
        "steps": 80,
        "batch_size": 32,
        "eval_interval": 40,
        "sample_interval": 0,
        "checkpoint_interval": 40,
        "warmup_steps": 5,
    }
    return RunSpec(
        name=f"{task} {topology}",
        model=DESIGNS[topology],
        tokenizer=TokenizerSpec(path="words"),
        data=DataSpec(source="dataset", dataset=task),
        train=TrainConfig(**(settings | train)),
    )


def make_task_run(library: Library, task: str, topology: str, **train: Any) -> RunFolder:
    return result_of(prepare_run(library, make_task_spec(library, task, topology, **train)))
