"""Measures the parent of an aligned run: replies that it draws, rewarded like those of the run."""

from __future__ import annotations

import math
from collections.abc import Generator

from terrarium.models.alignment.judges import Judge, WishJudge, gold_success
from terrarium.models.alignment.overoptimisation import (
    N_PROMPTS,
    N_REPLIES,
    ParentCurves,
    parent_curves,
    write_parent_curves,
)
from terrarium.models.alignment.rollouts import Prompts, draw_replies, longest_prompt, reply_text
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase, Progress, reporting
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.stages.reward_reading import kept_judge
from terrarium.models.training.tuning import build_from_base

_STEP = 1 << 42
"""A step number that no training reaches, so that the draws are always the same."""


def measure_parent(run: RunFolder, library: Library, device: str = "auto") -> Generator[Event, None, ParentCurves]:
    """Draw from the parent of `run`, reward the replies as the run does, and save to the run's folder what best-of-n
    gains and where the reward would lead. Yields Phase and Progress (replies).

    Raises:
        ValueError: if the run does not learn from replies, its data no longer exists, nothing judges its replies, or
            a score is not finite.
    """
    align = run.spec.align
    if align is None or align.task != "prompts":
        raise ValueError(f"{run.name!r} is not rewarded for replies, so there is nothing to choose the best of n by.")
    yield Phase(name="Loading the parent")
    on = choose_device(device).device
    model = build_from_base(run).to(on).eval()
    assert isinstance(model, Decoder)
    tokenizer = read_tokenizer(run.tokenizer_file)
    corpus = open_run_corpus(library, run)
    longest = longest_prompt(model.config.context_length, align.max_tokens)
    prompts = Prompts(corpus, "val", tokenizer, longest, at_most=N_PROMPTS).rows
    judge: Judge
    if align.reward_model:
        judge = yield from kept_judge(run, on)
    else:
        judge = WishJudge(prompts, corpus.label)
    yield Phase(name=f"Writing {N_REPLIES} replies to each of {len(prompts)} prompts")
    asked = [prompt.ids for prompt in prompts]
    drawn = yield from draw_replies(
        model, tokenizer, asked, N_REPLIES, seed=run.spec.train.seed, step=_STEP, max_tokens=align.max_tokens
    )
    yield Phase(name="Rewarding them")
    proxies: list[list[float]] = []
    golds: list[list[float]] = []
    for prompt, replies in zip(prompts, drawn, strict=True):
        progress = Progress(done=len(proxies) * N_REPLIES, total=len(prompts) * N_REPLIES)
        yield progress
        texts = [reply_text(tokenizer, reply) for reply in replies]
        judged = yield from reporting(judge.rewards([prompt] * len(replies), replies, texts), progress)
        penalties = [0.0 if reply.ended else align.end_penalty for reply in replies]
        proxies.append([reward - penalty for reward, penalty in zip(judged.rewards, penalties, strict=True)])
        meant = [gold_success(prompt.row, text) for text in texts]
        golds.append([math.nan if of is None else float(of) for of in meant])
    curves = parent_curves(proxies, golds)
    write_parent_curves(run.folder, curves)
    return curves
