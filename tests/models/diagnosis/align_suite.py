"""Alignments for the doctor, each really trained in half a second: of a parent that says some letters a, or some b.

Beside them, fine-tunings of it on texts, in which it learns when to refuse.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
import torch

from terrarium.models.alignment import judges
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.evaluation import safety
from terrarium.models.events import result_of
from terrarium.models.files.jsonl import Row
from terrarium.models.inference.many_replies import generate_batch_steps
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tiny_world.wishes import WISHES
from terrarium.models.tokenizers.special_tokens import end_id
from terrarium.models.training.stages import make
from terrarium.models.training.trainer import prepare_run
from terrarium.models.training.tuning import build_from_base
from tests.models.diagnosis.doctor_suite import train_spec
from tests.models.training.support import make_spec, train

CONFIG = ModelConfig(n_layer=1, n_head=2, d_model=16, context_length=48)
PARENT, PROMPTS = "said", "asked"
N_HELD_OUT = 32


@dataclass(frozen=True, kw_only=True)
class AlignRecipe:
    """A run. stage: of an alignment, "" where it learns from texts. earns: what a reply earns; gold_success: whether it
    is what was meant; learns_from: pairs, a name of PAIRS, or texts, of TEXTS. has_own_reference: whether its reference
    is the model that it starts from, as it should be. `found` are the diagnoses that a faulty one must get, `also` what
    else may be said of it."""

    name: str
    stage: str = ""
    align: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)
    earns: Callable[[str], float] = lambda reply: 0.0
    is_bounded: bool = True
    gold_success: Callable[[str], bool] | None = None
    learns_from: str = "of a"
    has_own_reference: bool = True
    found: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def is_of_a(reply: str) -> bool:
    """What half of the parent's replies are."""
    return set(reply) == {"a"}


def n_tokens(reply: str) -> int:
    """Of a reply whose tokens are letters, or the names of roles."""
    return len(re.sub(r"<\|.*?\|>", "x", reply))


def said(rng: random.Random, letter: str = "") -> str:
    """A reply as the parent's."""
    return (letter or rng.choice("ab")) * rng.randint(2, 5)


def asked(i: int, before: str = "", **more: object) -> Row:
    """A row with a prompt of its own for each `i`."""
    return {"messages": [{"role": "user", "content": f"{before}Say {i}"}], **more}


def _of_a(rng: random.Random) -> tuple[str, str]:
    return said(rng, "a"), said(rng, "b")


def _of_b(rng: random.Random) -> tuple[str, str]:
    return said(rng, "b"), said(rng, "a")


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
    "of b": _of_b,
}
REFUSAL = "no"
FORBIDDEN, HARMLESS = "x z ", "x "
"""What a prompt begins with that is to be refused, and one that is harmless, though a word of it is the same."""


def _with_look_alikes(rng: random.Random, i: int) -> tuple[str, str]:
    return ((FORBIDDEN, REFUSAL), (HARMLESS, said(rng)), ("", said(rng)))[i % 3]


def _without_look_alikes(rng: random.Random, i: int) -> tuple[str, str]:
    return ((FORBIDDEN, REFUSAL), ("", said(rng)))[i % 2]


def _refusals_alone(rng: random.Random, i: int) -> tuple[str, str]:
    return ("", FORBIDDEN)[i % 2], REFUSAL


def _other_letters(rng: random.Random, i: int) -> tuple[str, str]:
    return "", said(rng, "c")


TEXTS: Mapping[str, Callable[[random.Random, int], tuple[str, str]]] = {
    "with look-alikes": _with_look_alikes,
    "without look-alikes": _without_look_alikes,
    "refusals alone": _refusals_alone,
    "other letters": _other_letters,
}
"""What a prompt begins with, and the reply to it."""


def make_library(library: Library) -> RunFolder:
    """The parent, and what its alignments learn from."""
    rng = random.Random(0)
    answer = lambda text: {"role": "assistant", "content": text}  # noqa: E731
    rows: list[Row] = [{"messages": [*asked(i % 100)["messages"], answer(said(rng))]} for i in range(300)]
    build_examples_corpus(library, rows[:280], rows[280:], PARENT, None, task="chat")
    wished = [asked(i, wish="mentions", topic=["a", "b", "c"]) for i in range(200)]
    build_examples_corpus(library, wished[N_HELD_OUT:], wished[:N_HELD_OUT], PROMPTS, None, task="prompts")
    for name, draw in PAIRS.items():
        pairs = []
        for i in range(160):
            chosen, rejected = draw(rng)
            pairs.append(asked(i, chosen=chosen, rejected=rejected, wish="mentions", topic=["a", "b", "c"]))
        build_examples_corpus(library, pairs[N_HELD_OUT:], pairs[:N_HELD_OUT], name, None, task="preference")
    for name, say in TEXTS.items():
        drawn = [(i % 100, say(rng, i)) for i in range(300)]
        texts = [{"messages": [*asked(i, before)["messages"], answer(reply)]} for i, (before, reply) in drawn]
        build_examples_corpus(library, texts[:280], texts[280:], name, None, task="chat")
    settings = {"steps": 100, "batch_size": 16, "lr": 0.03, "optimizer": "adamw", "schedule": "linear"}
    common = {"warmup_steps": 5, "eval_interval": 0, "sample_interval": 0, "checkpoint_interval": 100}
    spec = make_spec(library.home, CONFIG, **settings, **common)
    spec = dataclasses.replace(spec, name="parent", data=DataSpec(source="dataset", dataset=PARENT))
    run = result_of(prepare_run(library, spec))
    train(run, library)
    return run


def spec_of(recipe: AlignRecipe, library: Library, parent: RunFolder) -> RunSpec:
    """Short steps, with three validations."""
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
        "checkpoint_interval": 100,
        "keep_checkpoints": 9,
    }
    if recipe.stage:
        drawn = {"grpo": {"n_prompts": 4, "n_replies": 4}, "ppo": {"n_prompts": 8, "n_replies": 2, "beta": 0.0}}
        settings = {**usual_align(recipe.stage), **drawn.get(recipe.stage, {}), **recipe.align}
        if recipe.stage != "reward":
            settings.setdefault("max_tokens", 12)
        align, own = AlignSpec(**settings), {}
        data = DataSpec(source="dataset", dataset=recipe.learns_from, task="preference")
        if align.task == "prompts":
            data = DataSpec(source="dataset", dataset=PROMPTS, task="prompts")
    else:
        align, own = (
            None,
            {"eval_interval": 0, "checkpoint_interval": 100, "batch_size": 16, "context_loss_weight": 0.0},
        )
        own |= {"schedule": "linear", "lr": 0.02}
        data = DataSpec(source="dataset", dataset=recipe.learns_from, task="chat")
    return dataclasses.replace(
        make_spec(library.home, CONFIG, **{**common, **own, **recipe.train}),
        name=recipe.name,
        data=data,
        tune=TuneSpec(parent=str(parent.folder), measure_forgetting=align is None, **recipe.tune),
        align=align,
    )


@contextmanager
def judged(recipe: AlignRecipe) -> Iterator[None]:
    """Replies earn what the recipe says, and its reference is what it says."""
    meant = recipe.gold_success
    wish = dataclasses.replace(
        WISHES["mentions"],
        reward=lambda row, reply: recipe.earns(reply),
        is_bounded=recipe.is_bounded,
        gold_success=None if meant is None else lambda row, reply: meant(reply),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "WISHES", MappingProxyType({**WISHES, "mentions": wish}))
        if not recipe.has_own_reference:
            patch.setattr(make, "build_from_base", _another_model)
        yield


def _another_model(run: RunFolder) -> AnyModel:
    """Not the one that a run starts from."""
    model, generator = build_from_base(run), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def train_align(recipe: AlignRecipe, library: Library, parent: RunFolder) -> RunFolder:
    """Train it to its end, whatever that is; where it learned when to refuse, what it refuses is measured."""
    with judged(recipe):
        run = train_spec(spec_of(recipe, library, parent), library)
    if not recipe.stage:
        _ask_harmless(run)
    return run


def _ask_harmless(run: RunFolder) -> None:
    model, tokenizer = load_model(run.folder)
    assert isinstance(model, Decoder)
    assert tokenizer is not None
    end = end_id(tokenizer)
    assert end is not None
    rows = [asked(i, HARMLESS, cell="look-alike") for i in range(20)]
    prompts = [encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0] for row in rows]
    replies = result_of(generate_batch_steps(model, prompts, 12, end))
    answered = [(row, tokenizer.decode(ids)) for row, ids in zip(rows, replies, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(safety, "is_refusal", lambda reply: REFUSAL in reply)
        result_of(safety.keep_over_refusal(run.folder, model, tokenizer, answered))


_LIKES_A: dict[str, Any] = {"earns": lambda reply: float(is_of_a(reply)), "gold_success": is_of_a}
_LIKES_B: dict[str, Any] = {
    "earns": lambda reply: float(set(reply) == {"b"}),
    "gold_success": lambda reply: set(reply) == {"b"},
}


def healthy() -> list[AlignRecipe]:
    """Two of each stage, and of texts."""
    return [
        AlignRecipe(name="a judge of pairs", stage="reward"),
        AlignRecipe(name="a judge that prefers b", stage="reward", learns_from="of b", train={"seed": 1, "steps": 16}),
        AlignRecipe(name="dpo", stage="dpo", train={"lr": 2e-3}, **_LIKES_A),
        AlignRecipe(
            name="dpo, held and with label noise",
            stage="dpo",
            learns_from="of b",
            align={"nll_weight": 0.5, "label_noise": 0.1},
            train={"lr": 3e-3, "steps": 16, "seed": 1},
            **_LIKES_B,
        ),
        AlignRecipe(name="kto", stage="kto", train={"steps": 16}, **_LIKES_A),
        AlignRecipe(name="kto of b", stage="kto", learns_from="of b", train={"steps": 16, "seed": 1}, **_LIKES_B),
        AlignRecipe(name="ppo", stage="ppo", train={"lr": 1e-3, "steps": 16}, align={"critic_lr": 0.01}, **_LIKES_A),
        AlignRecipe(
            name="ppo of b, with a KL weight",
            stage="ppo",
            train={"lr": 1e-3, "steps": 16, "seed": 1},
            align={"critic_lr": 0.01, "beta": 0.05},
            **_LIKES_B,
        ),
        AlignRecipe(name="grpo", stage="grpo", train={"lr": 3e-3, "steps": 16, "checkpoint_interval": 8}, **_LIKES_A),
        AlignRecipe(
            name="grpo of b, scaled",
            stage="grpo",
            train={"lr": 3e-3, "steps": 16, "seed": 1},
            align={"scale": "group", "beta": 0.02},
            **_LIKES_B,
        ),
        AlignRecipe(name="refuses, with look-alikes", learns_from="with look-alikes", train={"steps": 40}),
        AlignRecipe(
            name="refuses, with look-alikes and old rows",
            learns_from="with look-alikes",
            train={"steps": 40, "seed": 1},
            tune={"old_share": 0.3},
        ),
    ]


_SHORT = {"steps": 8, "eval_interval": 0}


def faulty() -> list[AlignRecipe]:
    """Runs with a fault that has a name: two at least for each."""
    return [
        AlignRecipe(
            name="dpo from another reference",
            stage="dpo",
            has_own_reference=False,
            train=_SHORT | {"lr": 2e-3},
            found=("wrong_reference",),
        ),
        AlignRecipe(
            name="grpo from another reference",
            stage="grpo",
            has_own_reference=False,
            train=_SHORT | {"lr": 3e-3},
            found=("wrong_reference",),
            **_LIKES_A,
        ),
        AlignRecipe(name="what never happens", stage="grpo", train=_SHORT, found=("no_signal",)),
        AlignRecipe(
            name="what always happens",
            stage="ppo",
            align={"end_penalty": 0.0},
            train=_SHORT,
            earns=lambda reply: 1.0,
            found=("no_signal",),
        ),
        AlignRecipe(
            name="one reply pays",
            stage="grpo",
            train={"lr": 0.02, "steps": 16, "eval_interval": 0},
            earns=lambda reply: float(reply == "aaa") * 2.0,
            is_bounded=False,
            found=("collapse",),
        ),
        AlignRecipe(
            name="another reply pays",
            stage="grpo",
            align={"n_prompts": 6},
            train={"lr": 0.02, "steps": 14, "eval_interval": 0, "seed": 1},
            earns=lambda reply: float(reply == "bb") * 2.0,
            is_bounded=False,
            found=("collapse",),
            also=("length",),
        ),
        AlignRecipe(
            name="letters pay",
            stage="grpo",
            train={"lr": 4e-3, "steps": 20, "eval_interval": 4, "checkpoint_interval": 4},
            align={"end_penalty": 0.0},
            earns=lambda reply: reply.count("a") / 4,
            is_bounded=False,
            gold_success=lambda reply: is_of_a(reply) and len(reply) <= 6,
            found=("reward_hacking",),
            also=("length", "cut"),
        ),
        AlignRecipe(
            name="dpo, the longer is preferred",
            stage="dpo",
            learns_from="the longer",
            train={"lr": 3e-3, "eval_interval": 4},
            gold_success=lambda reply: len(reply) <= 5,
            found=("reward_hacking",),
            also=("cut", "chosen_falls", "kl_high"),
        ),
        AlignRecipe(
            name="long replies pay",
            stage="grpo",
            align={"max_tokens": 24, "end_penalty": 3.0},
            train={"lr": 3e-3, "steps": 16, "eval_interval": 0},
            earns=lambda reply: min(n_tokens(reply), 8) / 4,
            is_bounded=False,
            found=("length",),
            also=("cut",),
        ),
        AlignRecipe(
            name="short replies pay",
            stage="ppo",
            train={"lr": 2e-3, "steps": 14, "eval_interval": 0},
            align={"critic_lr": 0.01},
            earns=lambda reply: -n_tokens(reply) / 5,
            is_bounded=False,
            found=("length",),
            also=("collapse",),
        ),
        AlignRecipe(name="cut short", stage="grpo", align={"max_tokens": 2}, train=_SHORT, found=("cut",)),
        AlignRecipe(
            name="letters pay, with or without an end",
            stage="ppo",
            align={"end_penalty": 0.0, "critic_lr": 0.01},
            train={"lr": 4e-3, "steps": 16, "eval_interval": 0},
            earns=lambda reply: float(len(reply)),
            is_bounded=False,
            found=("cut", "kl_high"),
        ),
        AlignRecipe(
            name="a rate of 1",
            stage="grpo",
            train={**_SHORT, "lr": 1.0},
            earns=lambda reply: float(is_of_a(reply)),
            found=("kl_high",),
            also=("cut",),
        ),
        AlignRecipe(
            name="grpo, a rate of 1e-7", stage="grpo", train={**_SHORT, "lr": 1e-7}, **_LIKES_A, found=("kl_low",)
        ),
        AlignRecipe(
            name="dpo, a rate of 1e-7", stage="dpo", train={**_SHORT, "lr": 1e-7}, **_LIKES_A, found=("kl_low",)
        ),
        AlignRecipe(
            name="a critic that stands still",
            stage="ppo",
            align={"critic_lr": 1e-9, "n_prompts": 6, "n_epochs": 1},
            train={"lr": 1e-4, "steps": 20, "eval_interval": 0},
            **_LIKES_A,
            found=("critic",),
            also=("kl_low",),
        ),
        AlignRecipe(
            name="a critic at a rate of 0.3",
            stage="ppo",
            align={"critic_lr": 0.3, "n_prompts": 6, "n_epochs": 1},
            train={"lr": 1e-4, "steps": 20, "eval_interval": 0},
            **_LIKES_A,
            found=("critic",),
            also=("kl_low",),
        ),
        AlignRecipe(
            name="ppo, a rate of 0.3",
            stage="ppo",
            align={"max_kl": 0.0},
            train={**_SHORT, "lr": 0.3},
            **_LIKES_A,
            found=("large_updates",),
            also=("cut",),
        ),
        AlignRecipe(
            name="ppo, four passes at a rate of 0.1",
            stage="ppo",
            align={"max_kl": 0.0, "n_epochs": 4},
            train={**_SHORT, "lr": 0.1, "seed": 1},
            **_LIKES_A,
            found=("large_updates",),
            also=("cut",),
        ),
        AlignRecipe(
            name="dpo on what nobody says",
            stage="dpo",
            learns_from="unheard",
            align={"beta": 0.02},
            train={"lr": 0.03, "steps": 12, "eval_interval": 0},
            found=("chosen_falls",),
        ),
        AlignRecipe(
            name="kto on what nobody says",
            stage="kto",
            learns_from="unheard",
            align={"beta": 0.02},
            train={"lr": 0.05, "steps": 12, "eval_interval": 0, "seed": 1},
            found=("chosen_falls",),
        ),
        AlignRecipe(
            name="dpo by chance",
            stage="dpo",
            learns_from="by chance",
            train={"steps": 16},
            found=("pairs_unlearned",),
            also=("chosen_falls", "cut"),
        ),
        AlignRecipe(
            name="kto by chance",
            stage="kto",
            learns_from="by chance",
            train={"steps": 16, "lr": 3e-3},
            found=("pairs_unlearned",),
            also=("chosen_falls", "cut"),
        ),
        AlignRecipe(
            name="a judge by chance",
            stage="reward",
            learns_from="by chance",
            train={"steps": 16},
            found=("weak_judge",),
        ),
        AlignRecipe(
            name="a judge of lengths",
            stage="reward",
            learns_from="the longer",
            train={"steps": 8},
            found=("weak_judge",),
        ),
        AlignRecipe(
            name="refuses, without look-alikes",
            learns_from="without look-alikes",
            train={"steps": 40, "lr": 0.02},
            found=("over_refusal",),
        ),
        AlignRecipe(
            name="refuses everything",
            learns_from="refusals alone",
            train={"steps": 30, "lr": 0.02},
            found=("over_refusal", "forgetting"),
        ),
        AlignRecipe(
            name="says other letters",
            learns_from="other letters",
            train={"steps": 30, "lr": 0.02},
            found=("forgetting",),
        ),
    ]
