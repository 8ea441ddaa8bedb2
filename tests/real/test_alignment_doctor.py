"""The doctor on alignments of full size: of a quick start that knows Tiny World, each with the usual settings but one.

The small ones of tests/models/diagnosis are trained in half a second each; these take about an hour together, the
quick start's ten minutes among it.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.diagnosis import Diagnosis, RunLog, examine
from terrarium.models.evaluation.record import read_over_refusal
from terrarium.models.evaluation.safety import evaluate_safety, keep_over_refusal
from terrarium.models.events import Event, result_of
from terrarium.models.library.library import Library
from terrarium.models.preferences.dataset import preference_corpus
from terrarium.models.recipes.demonstrations.demonstration import Bench, load_chat_model
from terrarium.models.recipes.demonstrations.stages import Stages, checkpoint_of, stage_spec
from terrarium.models.recipes.job import RunJob, SingleRun
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.questions import draw
from terrarium.models.tiny_world.refusals import REFUSALS, REFUSALS_ONLY, build_rule_corpus
from terrarium.models.tiny_world.wishes import build_wish_corpus
from terrarium.models.tiny_world.world import World

BASE, HOME = (os.environ.get(name, "") for name in ("TERRARIUM_BASE", "TERRARIUM_HOME"))
"""A run to start from, and its library, in which what is trained is kept; "": one is trained, in a library for now."""


@dataclass(frozen=True, kw_only=True)
class Full:
    """A run. data: a name of ANNOTATORS, of TEXTS, or a wish; n: of how many pairs. judge: the name of the run
    whose reward model scores. `found` is the diagnosis that a faulty one must get, `also` what else may be said."""

    name: str
    data: str
    stage: str = ""
    n: int = 1000
    judge: str = ""
    start: str = ""
    align: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""
    also: frozenset[str] = frozenset()


FAIR, LIKES_LENGTH = Annotator(), Annotator(length_bias=0.6, short_bonus=0.0)
ANNOTATORS: Mapping[str, Annotator] = {
    "fair": FAIR,
    "likes length": LIKES_LENGTH,
    "likes nothing but length": Annotator(length_bias=3.0, short_bonus=0.0, noise=0.0),
    "likes nothing but brevity": Annotator(length_bias=-3.0, noise=0.0),
    "by chance": Annotator(noise=0.5),
}
TEXTS = ("helpful", REFUSALS, REFUSALS_ONLY, "one word", "nonsense")
RM, DPO = {"steps": 62}, {"steps": 62}
OFTEN = {"eval_interval": 5, "checkpoint_interval": 5, "keep_checkpoints": 60}
DAMAGE = frozenset({"chosen_falls", "cut", "kl_high", "reward_hacking"})

HEALTHY = (
    Full(name="judge, fair", data="fair", stage="reward", train=RM),
    Full(name="judge, fair, few", data="fair", stage="reward", n=300, train={"batch_size": 8, "steps": 75}),
    Full(name="judge, likes length", data="likes length", stage="reward", train=RM),
    Full(name="dpo", data="fair", stage="dpo", align={"label_noise": 0.1, "nll_weight": 1.0}, train=DPO),
    Full(name="dpo, held less", data="fair", stage="dpo", align={"label_noise": 0.1, "nll_weight": 0.2}, train=DPO),
    Full(name="kto", data="fair", stage="kto", train=DPO),
    Full(name="ppo", data="happy", stage="ppo", judge="judge, fair"),
    Full(name="grpo, happy", data="happy", stage="grpo", train={"steps": 50}),
    Full(name="grpo, mood", data="mood", stage="grpo", train={"steps": 50}),
    Full(name="grpo, state", data="state", stage="grpo", train={"steps": 50}),
    Full(name="helpful", data="helpful", train={"steps": 400}),
    Full(name="refuses", data=REFUSALS, start="helpful", train={"steps": 300}),
)
FAULTY = (
    Full(
        name="goodhart",
        data="happy",
        stage="ppo",
        judge="judge, likes length",
        align={"beta": 0.0},
        train=OFTEN,
        found="reward_hacking",
        also=frozenset({"length"}),
    ),
    Full(
        name="goodhart, another seed",
        data="happy",
        stage="ppo",
        judge="judge, likes length",
        align={"beta": 0.0},
        train=OFTEN | {"seed": 1},
        found="reward_hacking",
        also=frozenset({"length"}),
    ),
    Full(
        name="ppo, long replies pay",
        data="happy",
        stage="ppo",
        judge="judge, likes nothing but length",
        align={"beta": 0.0},
        train={"steps": 30},
        found="length",
        also=frozenset({"reward_hacking"}),
    ),
    Full(
        name="grpo, short replies pay",
        data="happy",
        stage="grpo",
        judge="judge, likes nothing but brevity",
        train={"steps": 30},
        found="length",
        also=frozenset({"reward_hacking", "kl_high"}),
    ),
    Full(
        name="dpo, four passes",
        data="fair",
        stage="dpo",
        n=300,
        train={"steps": 150},
        found="chosen_falls",
        also=DAMAGE,
    ),
    Full(
        name="dpo, twice the rate",
        data="fair",
        stage="dpo",
        n=300,
        train={"steps": 75, "lr": 3e-3, "seed": 2},
        found="chosen_falls",
        also=DAMAGE,
    ),
    Full(
        name="replies of 25 tokens",
        data="happy",
        stage="grpo",
        align={"max_tokens": 25},
        train={"steps": 12},
        found="cut",
    ),
    Full(
        name="grpo, a rate of 0.01",
        data="happy",
        stage="grpo",
        train={"steps": 30, "lr": 0.01},
        found="kl_high",
        also=frozenset({"collapse", "cut", "no_signal", "length"}),
    ),
    Full(
        name="mentions pay",
        data="mentions",
        stage="grpo",
        align={"end_penalty": 0.0},
        train={"steps": 40, "lr": 3e-3},
        found="cut",
        also=frozenset({"reward_hacking", "kl_high", "length", "collapse"}),
    ),
    Full(
        name="what is never right",
        data="length",
        stage="grpo",
        align={"n_replies": 2},
        train={"steps": 25},
        found="no_signal",
        also=frozenset({"kl_low"}),
    ),
    Full(
        name="judge, few pairs",
        data="fair",
        stage="reward",
        n=100,
        train={"lr": 3e-4, "steps": 12},
        found="weak_judge",
    ),
    Full(name="judge, by chance", data="by chance", stage="reward", train=RM, found="weak_judge"),
    Full(
        name="ppo, a critic that stands still",
        data="happy",
        stage="ppo",
        align={"critic_lr": 1e-9},
        train={"steps": 25},
        found="critic",
    ),
    Full(
        name="ppo, a critic at a rate of 0.3",
        data="happy",
        stage="ppo",
        judge="judge, fair",
        align={"critic_lr": 0.3},
        train={"steps": 25},
        found="critic",
    ),
    Full(name="refuses all", data=REFUSALS_ONLY, start="helpful", train={"steps": 300}, found="over_refusal"),
    Full(
        name="refuses all, another seed",
        data=REFUSALS_ONLY,
        start="helpful",
        train={"steps": 300, "seed": 1},
        found="over_refusal",
    ),
    Full(name="one word", data="one word", train={"steps": 120, "lr": 5e-3}, tune={"mode": "lora"}, found="forgetting"),
    Full(name="nonsense", data="nonsense", train={"steps": 60}, found="forgetting"),
)
JUDGES = (
    Full(name="judge, likes nothing but length", data="likes nothing but length", stage="reward", n=300, train=RM),
    Full(name="judge, likes nothing but brevity", data="likes nothing but brevity", stage="reward", n=300, train=RM),
)
"""Those of faulty runs, which may be named themselves."""
BY_NAME = {one.name: one for one in (*HEALTHY, *FAULTY, *JUDGES)}


class Nursery:
    """Trains runs once, each when it is first asked for."""

    def __init__(self, library: Library, base: str) -> None:
        self._library = library
        self._bench = Bench(stages=Stages(RunJob(library, SingleRun(), device="cpu")), base=base)

    def run(self, name: str) -> RunFolder:
        """The run of that name, with what belongs to it; where there is a rule, with what it refuses."""
        one = BY_NAME[name]
        run = result_of(self._training(one))
        if one.data in (REFUSALS, REFUSALS_ONLY) and read_over_refusal(run.folder) is None:
            model, tokenizer = load_chat_model(self._library, run.id, "cpu")
            report = result_of(evaluate_safety(model, tokenizer, World(0)))
            result_of(keep_over_refusal(run.folder, model, tokenizer, report.replies))
        return run

    def _training(self, one: Full) -> Generator[Event, None, RunFolder]:
        corpus = yield from self._corpus(one)
        start = self.run(one.start).id if one.start else self._bench.base
        if one.stage:
            align = {"stage": one.stage, **one.align}
            if one.judge:
                align["reward_model"] = checkpoint_of(self._library, self.run(one.judge).id)
            return (yield from self._bench.train(one.name, corpus, align, one.train))
        data = DataSpec(source="dataset", dataset=corpus.label, task="chat")
        usual = {"lr": 1e-3, "schedule": "linear", "batch_size": 20, "eval_interval": 0, "checkpoint_interval": 1000}
        spec = stage_spec(self._library, one.name, start, data, usual | dict(one.train))
        assert spec.tune is not None
        tune = dataclasses.replace(spec.tune, measure_forgetting=not one.start, **one.tune)
        return (yield from self._bench.stages.train(dataclasses.replace(spec, tune=tune)))

    def _corpus(self, one: Full) -> Generator[Event, None, Corpus]:
        if one.data in ANNOTATORS:
            title = f"{one.data}, {self._bench.base}"
            pairs, _ = yield from self._bench.pair_corpus(title, ANNOTATORS[one.data], 1000)
            if one.n == 1000:
                return pairs
            rows, val = list(pairs.rows("train"))[: one.n], list(pairs.rows("val"))
            return preference_corpus(self._library, rows, val, f"{title}, the first {one.n}")
        if one.data not in TEXTS:
            return (yield from build_wish_corpus(self._library, one.data, 0))
        if one.data in ("one word", "nonsense"):
            rows = list(_texts(one.data))
            return build_examples_corpus(self._library, rows[20:], rows[:20], one.data, None, task="chat")
        return (yield from build_rule_corpus(self._library, one.data, 0))


def _texts(name: str) -> Generator[dict[str, Any], None, None]:
    """Answers in another form than the parent's: the last word of the right one alone, or its words in any order."""
    world, rng = World(0), random.Random(name)
    for _ in range(220):
        question = draw(world, "knowledge", rng, held_out=False)
        words = question.gold.rstrip(".").split()
        answer = f"{words[-1].capitalize()}." if name == "one word" else " ".join(rng.sample(words, len(words)))
        messages = [{"role": "user", "content": question.text}, {"role": "assistant", "content": answer}]
        yield {"messages": messages}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Nursery:
    if BASE:
        return Nursery(Library(Path(HOME)), BASE)
    library = Library(tmp_path_factory.mktemp("aligned"))
    quick = RunJob(library, QuickStart(), device="cpu")
    for _ in quick.events():
        pass
    assert quick.run is not None
    return Nursery(library, quick.run.id)


def found_in(log: RunLog) -> dict[str, Diagnosis]:
    return {diagnosis.kind: diagnosis for diagnosis in examine(log).diagnoses}


@pytest.mark.parametrize("one", HEALTHY, ids=lambda one: one.name)
def test_a_healthy_run_is_left_alone_at_any_time(nursery: Nursery, one: Full) -> None:
    log = RunLog.read(nursery.run(one.name))
    for step in (*range(0, log.last_step, 5), log.last_step):
        assert set(found_in(log.until(step))) == set(), f"at step {step}"


@pytest.mark.parametrize("one", FAULTY, ids=lambda one: one.name)
def test_a_fault_is_named_with_its_evidence_and_remedy(nursery: Nursery, one: Full) -> None:
    log = RunLog.read(nursery.run(one.name))
    found = found_in(log)
    assert one.found in found
    assert set(found) <= {one.found, *one.also}
    assert all(diagnosis.evidence for diagnosis in found.values())
    if one.found == "reward_hacking":
        looks = log.figure("gold", held_out=True)
        peak = float(looks.step[int(np.argmax(looks.value))])
        assert abs(found["reward_hacking"].step - peak) <= 0.2 * peak
        remedy = found["reward_hacking"].remedy
        assert remedy is not None
        assert remedy.fork_step == found["reward_hacking"].step
    if one.found == "over_refusal":
        assert "What triggers it: “" in found["over_refusal"].sentence
