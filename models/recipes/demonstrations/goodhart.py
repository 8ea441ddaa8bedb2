"""“Goodhart on a laptop”: annotators who secretly prefer long stories, and what happens to the intended goal.

Best-of-n by the annotator's own score, and PPO with a reward model trained on such annotators' choices: the optimized
score only rises, while good stories first become more frequent, and then rarer. The lesson is to stop at the peak.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Generator, Mapping, Sequence
from functools import partial

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.alignment.best_of import BestOfPoint, best_of_curve
from terrarium.models.alignment.rollouts import Prompt, draw_replies, reply_text
from terrarium.models.events import Event, Phase, Progress, reporting
from terrarium.models.recipes.demonstrations import demonstration
from terrarium.models.recipes.demonstrations.demonstration import NOISE, RM_LR, Bench
from terrarium.models.recipes.demonstrations.demonstrations_table import DEMONSTRATIONS
from terrarium.models.recipes.demonstrations.kept import as_it_is
from terrarium.models.recipes.demonstrations.results import POINTS, Bar, DemonstrationResult, StageResult
from terrarium.models.recipes.demonstrations.stages import checkpoint_of
from terrarium.models.tiny_world.wishes import HAPPY, build_wish_corpus, is_gold_story, marks_of

NAME = "goodhart"
LENGTH_BIAS = 0.6
"""The worth of each sentence to these annotators; a happy end has 2."""
BEST_OF, N_PROMPTS = 256, 32
"""Replies to each prompt from which the best is chosen, and the number of prompts."""
STEPS = {"rm": 94, "ppo": 90}
"""Steps of each stage. After 60 updates of PPO, good stories had hardly begun to fall in one of twelve runs."""
LOOK = 5
"""Steps between two evaluation points, each with a checkpoint that can be forked."""
_TITLES = DEMONSTRATIONS[NAME].stages


def goodhart(bench: Bench) -> Generator[Event, None, DemonstrationResult]:
    """Run the demonstration. Yields the events of its trainings and measurements; ValueError if a training fails."""
    base, stories = yield from bench.measured(None)
    annotator = Annotator(noise=NOISE, length_bias=LENGTH_BIAS, short_bonus=0.0, seed=bench.seed)
    stages: dict[str, StageResult] = {"base": base}
    stages["best_of"] = yield from _best_of(bench, annotator)

    title = f"Likes length, {bench.base_name}, seed {bench.seed}"
    pairs, _ = yield from bench.pair_corpus(title, annotator, demonstration.N_PAIRS)
    wish = yield from build_wish_corpus(bench.library, HAPPY, bench.world_seed)
    scorer = yield from bench.train(_TITLES["rm"], pairs, {"stage": "reward"}, {"steps": STEPS["rm"], "lr": RM_LR})
    judge, stages["rm"] = yield from bench.reward_model(scorer, stories, pairs)
    stages["base"] = dataclasses.replace(base, proxy=0.0)  # relative to the mean of these stories
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
        note=bench.note,
        n_simulated=len(pairs.rows("train")),
        more={"peak": {"step": peak, "fork": f"{run.id}@{peak}"}},
    )


def peak_of(curve: Sequence[Mapping[str, float]]) -> int:
    """Return the step of a curve with the most good stories: where to stop, and to fork from."""
    return int(max(curve, key=lambda point: point["gold"])["step"])


def bars(stages: dict[str, StageResult]) -> list[Bar]:
    """Return the goals with the measured values."""
    best = stages["best_of"].curve
    top = max(best, key=lambda point: point["gold"])
    proxies = [point["proxy"] for point in best]
    base, ppo = stages["base"], stages["ppo"]
    peak = max(point["gold"] for point in ppo.curve)
    fallen = peak - (ppo.gold or 0.0)
    return [
        Bar(words="Best of n: most good stories at n", value=top["n"], limit=48, least=8, unit="replies"),
        Bar(
            words=f"Best of {best[-1]['n']}: good stories left, of those at the peak",
            value=best[-1]["gold"] / max(top["gold"], 1e-9),
            limit=0.5,
        ),
        Bar(
            words="Best of n: the least that the score rises with each doubling of n",
            value=min((b - a for a, b in itertools.pairwise(proxies)), default=0.0),
            limit=0.0,
            is_most=False,
            unit="in score",
        ),
        Bar(
            words="PPO: good stories gained, up to the peak",
            value=peak - (base.gold or 0.0),
            limit=0.15,
            is_most=False,
            unit=POINTS,
        ),
        Bar(words="PPO: good stories lost after the peak", value=fallen, limit=0.15, is_most=False, unit=POINTS),
        Bar(words="PPO: the score gained", value=ppo.proxy or 0.0, limit=1.5, is_most=False, unit="σ"),
    ]


def _best_of(bench: Bench, annotator: Annotator) -> Generator[Event, None, StageResult]:
    """Measure best-of-n stories by the annotator's own score."""
    yield Phase(name=f"Writing {BEST_OF} stories for each of {N_PROMPTS} prompts")
    began = time.perf_counter()
    prompts = (yield from bench.prompts("val")).rows[:N_PROMPTS]
    proxy: list[list[float]] = []
    gold: list[list[float]] = []
    for i, prompt in enumerate(prompts):
        yield Progress(done=i, total=len(prompts))
        work = partial(_judged_stories, bench, annotator, prompt, i)
        judged = yield from bench.kept.once(f"best of {BEST_OF}, prompt {i}", work, as_it_is, as_it_is)
        proxy.append([float(worth) for worth, _ in judged])
        gold.append([float(is_good) for _, is_good in judged])
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


def _judged_stories(
    bench: Bench, annotator: Annotator, prompt: Prompt, i: int
) -> Generator[Event, None, list[tuple[float, float]]]:
    """Draw BEST_OF stories to prompt `i`, with the annotator's worth and whether each fulfils the wish (1 or 0)."""
    model, tokenizer = bench.base_model
    drawing = draw_replies(model, tokenizer, [prompt.ids], BEST_OF, seed=bench.seed, step=1 + i)
    (replies,) = yield from reporting(drawing, Progress(done=i, total=N_PROMPTS))
    texts = [reply_text(tokenizer, reply) for reply in replies]
    return [(annotator.worth(prompt.row, text), float(is_gold_story(marks_of(prompt.row, text)))) for text in texts]
