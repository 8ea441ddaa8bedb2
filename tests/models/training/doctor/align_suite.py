"""Alignments for the doctor, each really trained in half a second: of a parent that says some letters a, or some b."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from models.alignment import judges
from models.data.corpus import build_examples_corpus
from models.data.tiny_world.wishes import WISHES
from models.files.jsonl import Row
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.align_spec import AlignSpec, usual_align
from models.settings.model_config import ModelConfig
from models.settings.run_spec import DataSpec, RunSpec
from models.settings.tune_spec import TuneSpec
from models.training.trainer import prepare_run
from tests.models.training.doctor.doctor_suite import train_spec
from tests.models.training.support import make_spec, result_of, train

CONFIG = ModelConfig(n_layer=1, n_head=2, d_model=16, context_length=48)
PARENT, PROMPTS = "said", "asked"
N_HELD_OUT = 40


@dataclass(frozen=True, kw_only=True)
class AlignRecipe:
    """A run. earns: what a reply earns; is_meant: whether it is what was meant; pairs: which replies are preferred, a
    name of PAIRS. `found` is the diagnosis that a faulty one must get, `also` what else may be said of it."""

    name: str
    stage: str
    align: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    earns: Callable[[str], float] = lambda reply: 0.0
    is_bounded: bool = True
    is_meant: Callable[[str], bool] | None = None
    pairs: str = "of a"
    found: str | None = None
    also: frozenset[str] = frozenset()


def is_of_a(reply: str) -> bool:
    """What half of the parent's replies are."""
    return set(reply) == {"a"}


def said(rng: random.Random, letter: str = "") -> str:
    """A reply as the parent's."""
    return (letter or rng.choice("ab")) * rng.randint(2, 5)


def asked(i: int, **more: object) -> Row:
    """A row with a prompt of its own for each `i`."""
    return {"messages": [{"role": "user", "content": f"Say {i}"}], **more}


def _of_a(rng: random.Random) -> tuple[str, str]:
    return said(rng, "a"), said(rng, "b")


def _longer(rng: random.Random) -> tuple[str, str]:
    return rng.choice("ab") * rng.randint(5, 9), rng.choice("ab") * rng.randint(1, 2)


def _by_chance(rng: random.Random) -> tuple[str, str]:
    a, b = _of_a(rng)
    return (a, b) if rng.random() < 0.5 else (b, a)


def _unheard(rng: random.Random) -> tuple[str, str]:
    """Both replies are none that the parent would give, and alike but for their ends."""
    start = "c" * rng.randint(2, 4)
    return f"{start}d", f"{start}e"


PAIRS: Mapping[str, Callable[[random.Random], tuple[str, str]]] = {
    "of a": _of_a,
    "the longer": _longer,
    "by chance": _by_chance,
    "unheard": _unheard,
}


def make_library(library: Library) -> RunFolder:
    """The parent, and what its alignments learn from."""
    rng = random.Random(0)
    answer = lambda: {"role": "assistant", "content": said(rng)}  # noqa: E731
    rows: list[Row] = [{"messages": [*asked(i % 100)["messages"], answer()]} for i in range(300)]
    build_examples_corpus(library, rows[:280], rows[280:], PARENT, None, task="chat")
    wished = [asked(i, wish="mentions", topic=["a", "b", "c"]) for i in range(200)]
    build_examples_corpus(library, wished[N_HELD_OUT:], wished[:N_HELD_OUT], PROMPTS, None, task="prompts")
    for name, draw in PAIRS.items():
        pairs = []
        for i in range(160):
            chosen, rejected = draw(rng)
            pairs.append(asked(i, chosen=chosen, rejected=rejected, wish="mentions", topic=["a", "b", "c"]))
        build_examples_corpus(library, pairs[N_HELD_OUT:], pairs[:N_HELD_OUT], name, None, task="preference")
    settings = {"steps": 100, "batch_size": 16, "lr": 0.03, "optimizer": "adamw", "schedule": "linear"}
    common = {"warmup_steps": 5, "eval_interval": 0, "sample_interval": 0, "checkpoint_interval": 100}
    spec = make_spec(library.home, CONFIG, **settings, **common)
    spec = dataclasses.replace(spec, name="parent", data=DataSpec(source="dataset", dataset=PARENT))
    run = result_of(prepare_run(library, spec))
    train(run, library)
    return run


def spec_of(recipe: AlignRecipe, library: Library, parent: RunFolder) -> RunSpec:
    """Short steps, with three validations."""
    drawn = {"grpo": {"n_prompts": 6, "n_replies": 4}, "ppo": {"n_prompts": 12, "n_replies": 2, "beta": 0.0}}
    settings = {**usual_align(recipe.stage), **drawn.get(recipe.stage, {}), **recipe.align}
    if recipe.stage != "reward":
        settings.setdefault("max_tokens", 12)
    align = AlignSpec(**settings)
    common = {
        "optimizer": "adamw",
        "lr": 0.01,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_steps": 0,
        "batch_size": 8,
        "steps": 24,
        "eval_interval": 8,
        "eval_batches": 5,
        "sample_interval": 0,
        "layer_interval": 0,
        "checkpoint_interval": 8,
        "keep_checkpoints": 9,
    }
    return dataclasses.replace(
        make_spec(library.home, CONFIG, **{**common, **recipe.train}),
        name=recipe.name,
        data=DataSpec(source="dataset", dataset=PROMPTS if align.task == "prompts" else recipe.pairs, task=align.task),
        tune=TuneSpec(parent=str(parent.folder), measure_forgetting=False),
        align=align,
    )


@contextmanager
def judged(recipe: AlignRecipe) -> Iterator[None]:
    """Replies earn what the recipe says."""
    meant = recipe.is_meant
    wish = dataclasses.replace(
        WISHES["mentions"],
        reward=lambda row, reply: recipe.earns(reply),
        is_bounded=recipe.is_bounded,
        is_meant=None if meant is None else lambda row, reply: meant(reply),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "WISHES", MappingProxyType({**WISHES, "mentions": wish}))
        yield


def train_align(recipe: AlignRecipe, library: Library, parent: RunFolder) -> RunFolder:
    """Train it to its end, whatever that is."""
    with judged(recipe):
        return train_spec(spec_of(recipe, library, parent), library)


_LIKES_A: dict[str, Any] = {"earns": lambda reply: float(is_of_a(reply)), "is_meant": is_of_a}


def healthy() -> list[AlignRecipe]:
    """One of each stage."""
    return [
        AlignRecipe(name="a judge of pairs", stage="reward"),
        AlignRecipe(name="dpo", stage="dpo", train={"lr": 2e-3}, **_LIKES_A),
        AlignRecipe(name="kto", stage="kto", train={"steps": 16}, **_LIKES_A),
        AlignRecipe(name="ppo", stage="ppo", train={"lr": 1e-3, "steps": 16}, align={"critic_lr": 0.01}, **_LIKES_A),
        AlignRecipe(name="grpo", stage="grpo", train={"lr": 3e-3, "steps": 16}, **_LIKES_A),
    ]


_SHORT = {"steps": 8, "eval_interval": 0}


def faulty() -> list[AlignRecipe]:
    """Runs with a fault that has a name."""
    return [
        AlignRecipe(name="what never happens", stage="grpo", train=_SHORT, found="no_signal"),
        AlignRecipe(
            name="what always happens",
            stage="ppo",
            align={"end_penalty": 0.0},
            train=_SHORT,
            earns=lambda reply: 1.0,
            found="no_signal",
        ),
        AlignRecipe(
            name="one reply pays",
            stage="grpo",
            train={"lr": 0.02, "steps": 16, "eval_interval": 0},
            earns=lambda reply: float(reply == "aaa") * 2.0,
            is_bounded=False,
            found="collapse",
        ),
        AlignRecipe(
            name="letters pay",
            stage="grpo",
            train={"lr": 4e-3, "steps": 20, "eval_interval": 4, "checkpoint_interval": 4},
            align={"end_penalty": 0.0},
            earns=lambda reply: reply.count("a") / 4,
            is_bounded=False,
            is_meant=lambda reply: is_of_a(reply) and len(reply) <= 6,
            found="reward_hacking",
            also=frozenset({"length", "cut"}),
        ),
        AlignRecipe(name="cut short", stage="grpo", align={"max_tokens": 2}, train=_SHORT, found="cut"),
        AlignRecipe(
            name="a rate of 1",
            stage="grpo",
            train={**_SHORT, "lr": 1.0},
            earns=lambda reply: float(is_of_a(reply)),
            found="kl_high",
            also=frozenset({"cut"}),
        ),
        AlignRecipe(
            name="grpo, a rate of 1e-7", stage="grpo", train={**_SHORT, "lr": 1e-7}, **_LIKES_A, found="kl_low"
        ),
        AlignRecipe(name="dpo, a rate of 1e-7", stage="dpo", train={**_SHORT, "lr": 1e-7}, **_LIKES_A, found="kl_low"),
        AlignRecipe(
            name="a critic that stands still",
            stage="ppo",
            align={"critic_lr": 1e-9, "n_prompts": 6, "n_epochs": 1},
            train={"lr": 1e-4, "steps": 20, "eval_interval": 0},
            **_LIKES_A,
            found="critic",
            also=frozenset({"kl_low"}),
        ),
        AlignRecipe(
            name="ppo, a rate of 0.3",
            stage="ppo",
            align={"max_kl": 0.0},
            train={**_SHORT, "lr": 0.3},
            **_LIKES_A,
            found="large_updates",
        ),
        AlignRecipe(
            name="dpo on what nobody says",
            stage="dpo",
            pairs="unheard",
            align={"beta": 0.02},
            train={"lr": 0.03, "steps": 12, "eval_interval": 0},
            found="chosen_falls",
        ),
        AlignRecipe(
            name="dpo by chance",
            stage="dpo",
            pairs="by chance",
            train={"steps": 16},
            found="pairs_unlearned",
            also=frozenset({"chosen_falls", "cut"}),
        ),
        AlignRecipe(
            name="a judge by chance", stage="reward", pairs="by chance", train={"steps": 16}, found="weak_judge"
        ),
        AlignRecipe(
            name="a judge of lengths", stage="reward", pairs="the longer", train={"steps": 8}, found="weak_judge"
        ),
    ]
