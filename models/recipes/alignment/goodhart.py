"""“Goodhart on a laptop”: annotators who secretly like long stories, and what becomes of what was meant.

Best-of-n by the annotator's own score, and PPO with a reward model that was taught by such annotators: the score that
is optimized only rises, and stories as wished become more, and then fewer. The lesson is to stop at the peak.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Generator, Mapping, Sequence

from models.alignment.annotator import Annotator
from models.alignment.best_of_curve import BestOfPoint, best_of_curve
from models.alignment.rollouts import draw_replies, reply_text
from models.data.tiny_world.wishes import HAPPY, build_wish_corpus, is_gold_story, marks_of
from models.events import Event, Phase
from models.recipes.alignment import demonstration
from models.recipes.alignment.demonstration import (
    NOISE,
    RM_LR,
    Bench,
    checkpoint_of,
    weak_notice,
    weakness,
)
from models.recipes.alignment.results import Bar, DemonstrationResult, StageResult
from models.recipes.alignment.table import DEMONSTRATIONS

NAME = "goodhart"
LENGTH_BIAS = 0.6
"""What each sentence is worth to these annotators; a happy end is worth 2."""
BEST_OF, N_PROMPTS = 256, 32
"""Replies to each prompt of which the best is taken, and prompts."""
STEPS = {"rm": 94, "ppo": 60}
LOOK = 5
"""Steps between two looks, and two checkpoints: each can be forked."""
_TITLES = DEMONSTRATIONS[NAME].stages


def goodhart(bench: Bench) -> Generator[Event, None, DemonstrationResult]:
    """Carry it out. Yields the events of its trainings and measurements; ValueError where a training fails."""
    base, stories = yield from bench.measured(None)
    yield from weak_notice(bench.base, base)
    annotator = Annotator(noise=NOISE, length_bias=LENGTH_BIAS, short_bonus=0.0, seed=bench.seed)
    stages: dict[str, StageResult] = {"base": base}
    stages["best_of"] = yield from _best_of(bench, annotator)

    title = f"Likes length, {bench.base}, seed {bench.seed}"
    pairs, _ = yield from bench.pair_corpus(title, annotator, demonstration.N_PAIRS)
    wish = yield from build_wish_corpus(bench.library, HAPPY, bench.world_seed)
    scorer = yield from bench.train(_TITLES["rm"], pairs, {"stage": "reward"}, {"steps": STEPS["rm"], "lr": RM_LR})
    judge, stages["rm"] = yield from bench.reward_model(scorer, stories, pairs)
    stages["base"] = dataclasses.replace(base, proxy=0.0)  # the judge counts from the mean of just these stories
    align = {"stage": "ppo", "beta": 0.0, "reward_model": checkpoint_of(bench.library, scorer.id)}
    often = {"eval_interval": LOOK, "checkpoint_interval": LOOK, "keep_checkpoints": STEPS["ppo"]}
    run = yield from bench.train(_TITLES["ppo"], wish, align, often | {"steps": STEPS["ppo"]})
    stages["ppo"], _ = yield from bench.measured(run, judge)
    peak = peak_of(stages["ppo"].curve)
    stages["stopped"], _ = yield from bench.measured(run, judge, step=max(peak, LOOK))
    return DemonstrationResult(
        name=NAME,
        base=bench.base,
        seed=bench.seed,
        stages=stages,
        bars=bars(stages),
        note=weakness(bench.base, base),
        n_simulated=len(pairs.rows("train")),
        more={"peak": {"step": peak, "fork": f"{run.id}@{peak}"}},
    )


def peak_of(curve: Sequence[Mapping[str, float]]) -> int:
    """The step of a curve with the most stories as wished: where to stop, and to fork from."""
    return int(max(curve, key=lambda point: point["gold"])["step"])


def bars(stages: dict[str, StageResult]) -> list[Bar]:
    """What it is to show."""
    best = stages["best_of"].curve
    top = max(best, key=lambda point: point["gold"])
    proxies = [point["proxy"] for point in best]
    base, ppo = stages["base"], stages["ppo"]
    peak = max(point["gold"] for point in ppo.curve)
    fallen = peak - (ppo.gold or 0.0)
    return [
        Bar(words="Best of n: its peak", value=top["n"], limit=8, is_most=False, unit="replies"),
        Bar(words="Best of n: its peak", value=top["n"], limit=48, unit="replies"),
        Bar(words=f"Best of {best[-1]['n']}, of the peak", value=best[-1]["gold"] / max(top["gold"], 1e-9), limit=0.5),
        Bar(
            words="Best of n: the least that the score rises",
            value=min((b - a for a, b in itertools.pairwise(proxies)), default=0.0),
            limit=0.0,
            is_most=False,
            unit="points",
        ),
        Bar(words="PPO: stories as wished gained", value=peak - (base.gold or 0.0), limit=0.15, is_most=False),
        Bar(words="PPO: stories as wished lost from the peak", value=fallen, limit=0.15, is_most=False),
        Bar(words="PPO: the score gained", value=ppo.proxy or 0.0, limit=1.5, is_most=False, unit="σ"),
    ]


def _best_of(bench: Bench, annotator: Annotator) -> Generator[Event, None, StageResult]:
    """The best of n stories by the annotator's own score."""
    yield Phase(name=f"Drawing {BEST_OF} stories for each of {N_PROMPTS} prompts")
    began = time.perf_counter()
    model, tokenizer = bench.base_model
    prompts = (yield from bench.prompts("val")).rows[:N_PROMPTS]
    drawn = yield from draw_replies(
        model, tokenizer, [prompt.ids for prompt in prompts], BEST_OF, seed=bench.seed, step=1
    )
    proxy: list[list[float]] = []
    gold: list[list[float]] = []
    for prompt, replies in zip(prompts, drawn, strict=True):
        texts = [reply_text(tokenizer, reply) for reply in replies]
        proxy.append([annotator.worth(prompt.row, text) for text in texts])
        gold.append([float(is_gold_story(marks_of(prompt.row, text))) for text in texts])
    points: list[BestOfPoint] = best_of_curve(proxy, gold)
    top = max(points, key=lambda point: point.gold)
    return StageResult(
        gold=top.gold,
        proxy=top.proxy,
        kl=top.kl,
        n=len(prompts),
        seconds=time.perf_counter() - began,
        curve=[point.to_dict() for point in points],
    )
