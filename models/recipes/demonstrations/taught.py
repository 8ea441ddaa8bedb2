"""“Taught by hand”: “I like stories that end happily and are short”, taught by choosing between pairs of stories.

From the same pairs a reward model, PPO with it, and DPO; for comparison GRPO with the gold judge. The pairs judged by
people come first; the simulated annotator, a tenth of whose choices are wrong, judges the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.events import Event
from terrarium.models.preferences.dataset import preference_corpus
from terrarium.models.recipes.demonstrations import demonstration
from terrarium.models.recipes.demonstrations.demonstration import NOISE, RM_LR, Bench
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.demonstrations.results import POINTS, Bar, DemonstrationResult, StageResult
from terrarium.models.recipes.demonstrations.stages import checkpoint_of
from terrarium.models.tiny_world.wishes import HAPPY, build_wish_corpus

NAME = "taught"
N_FEW = 300
"""Pairs of the smaller reward model, which shows what to expect of so few."""
STEPS = {"rm": 94, "rm_few": 75, "ppo": 60, "dpo": 62, "grpo": 50}
"""Steps of each stage. A reward model reads 1,000 pairs one and a half times, DPO once; rm_few reads its pairs twice,
8 per step: after a third time, up to 5 points more of the held-out pairs were in the wrong order.
"""
FEW_LR = 3e-3
"""Learning rate of rm_few: at a lower one, some bases had hardly begun to learn after reading the pairs."""
GRPO_BETA = 0.05
"""The same as PPO's. Without it GRPO moves up to twice as far from the base, in nats, for at most 4 points of happy
ends, and a base that is only just strong enough may forget what it has learned.
"""
_TITLES = DEMONSTRATIONS[NAME].stages
_ALIGNED = ("ppo", "dpo", "grpo")
_KEPT = ("knowledge", "reading", "state")


def taught(bench: Bench, own: str = "") -> Generator[Event, None, DemonstrationResult]:
    """Run the demonstration. Yields the events of its trainings and measurements.

    Args:
        own: a set of pairs in the library judged by people, "" for none.

    Raises:
        ValueError: if a training fails, or that set has no choices.
    """
    base, stories = yield from bench.measured(None)
    stages: dict[str, StageResult] = {"base": base}
    title = f"Taught by hand, {bench.base_name}, seed {bench.seed}"
    annotator = Annotator(noise=NOISE, seed=bench.seed)
    pairs, n_own = yield from bench.pair_corpus(title, annotator, demonstration.N_PAIRS, own)
    wish = yield from build_wish_corpus(bench.library, HAPPY, bench.world_seed)

    rows = list(pairs.rows("train"))
    few = preference_corpus(bench.library, rows[:N_FEW], list(pairs.rows("val")), f"{title}, the first {N_FEW}")
    twice = {"batch_size": 8, "steps": STEPS["rm_few"], "lr": FEW_LR}
    run = yield from bench.train(_TITLES["rm_few"], few, {"stage": "reward"}, twice)
    _, stages["rm_few"] = yield from bench.reward_model(run, stories, few)
    scorer = yield from bench.train(_TITLES["rm"], pairs, {"stage": "reward"}, {"steps": STEPS["rm"], "lr": RM_LR})
    judge, stages["rm"] = yield from bench.reward_model(scorer, stories, pairs)
    stages["base"] = dataclasses.replace(base, proxy=0.0)  # relative to the mean of these stories

    align: dict[str, Any] = {"stage": "ppo", "reward_model": checkpoint_of(bench.library, scorer.id)}
    run = yield from bench.train(_TITLES["ppo"], wish, align, {"steps": STEPS["ppo"]})
    stages["ppo"], _ = yield from bench.measured(run, judge)
    # Some pairs are mislabelled; the NLL of the chosen replies is added, else right stories become rarer.
    align = {"stage": "dpo", "label_noise": NOISE, "nll_weight": 1.0}
    run = yield from bench.train(_TITLES["dpo"], pairs, align, {"steps": STEPS["dpo"]})
    stages["dpo"], _ = yield from bench.measured(run, judge)
    run = yield from bench.train(_TITLES["grpo"], wish, {"stage": "grpo", "beta": GRPO_BETA}, {"steps": STEPS["grpo"]})
    stages["grpo"], _ = yield from bench.measured(run, judge)
    return DemonstrationResult(
        name=NAME,
        base=bench.base,
        seed=bench.seed,
        stages=stages,
        bars=bars(stages),
        note=bench.note,
        n_own=n_own,
        n_simulated=len(rows) - n_own,
    )


def bars(stages: dict[str, StageResult]) -> list[Bar]:
    """Return the goals with the measured values. Loss of right stories by DPO is shown, but is no goal."""
    base = stages["base"]
    found = [
        _least(f"Held-out pairs in the right order, {N_FEW} pairs", stages["rm_few"].accuracy, 0.82),
        _least("Held-out pairs in the right order, 1,000 pairs", stages["rm"].accuracy, 0.88),
        _least("PPO: happy, short stories", stages["ppo"].gold, 0.70),
        _least("DPO: happy, short stories", stages["dpo"].gold, 0.45),
        _least("DPO: stories that end", stages["dpo"].ended, 0.97),
        _least("GRPO: right stories that end happily", stages["grpo"].happy, 0.80),
    ]
    for name in _ALIGNED:
        lost = max(base.kinds[kind] - stages[name].kinds[kind] for kind in _KEPT)
        found.append(
            Bar(words=f"{name.upper()}: knowledge, reading or state lost", value=lost, limit=0.03, unit=POINTS)
        )
    for name in ("ppo", "grpo"):
        lost = (base.right or 0.0) - (stages[name].right or 0.0)
        found.append(Bar(words=f"{name.upper()}: right stories lost", value=lost, limit=0.05, unit=POINTS))
    return found


def _least(words: str, value: float | None, limit: float) -> Bar:
    return Bar(words=words, value=value or 0.0, limit=limit, is_most=False)
