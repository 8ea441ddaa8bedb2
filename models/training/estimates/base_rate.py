"""The base rate of a run that learns from rewards: how often its parent earns one, before training.

A reply that never occurs cannot be rewarded, so this is worth measuring before such a run starts.
"""

from __future__ import annotations

import time
from collections.abc import Generator

import torch

from terrarium.models.alignment.advantages import has_signal
from terrarium.models.alignment.judges import WishJudge, gold_success
from terrarium.models.alignment.rollouts import Prompts, draw_replies, longest_prompt, reply_text
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.estimates.findings import BaseRate
from terrarium.models.training.prepare import prepare_trial

N_PROMPTS, N_REPLIES = 64, 8
_ROWS = 64
"""Replies that are drawn together: as many as in a usual step, so that drawing them takes as long."""
_STEP = 1 << 41
"""A step number that no training reaches, for the seeds of the replies."""


def measure_base_rate(library: Library, spec: RunSpec, device: str = "auto") -> Generator[Event, None, BaseRate]:
    """Draw replies of the parent to held-out prompts, and reward them. Only the prompts are saved.

    Yields Phase and Progress (replies).

    Raises:
        ValueError: if the run does not learn from rewards, nothing judges its replies, or no prompt fits.
    """
    align = spec.align
    if align is None or align.task != "prompts":
        raise ValueError("Only runs that learn from rewards have a base rate: choose GRPO or PPO, and a wish.")
    ready = yield from prepare_trial(library, spec, draws=True)
    yield Phase(name="Building the model")
    chosen = choose_device(device)
    model = ready.build_model().to(chosen.device).eval()
    assert isinstance(model, Decoder)
    longest = longest_prompt(ready.spec.model.context_length, align.max_tokens)
    prompts = Prompts(ready.corpus, "val", ready.tokenizer, longest, at_most=N_PROMPTS).rows
    judge = WishJudge(prompts, ready.corpus.label)
    yield Phase(name="Writing replies")
    began = time.perf_counter()
    drawn = yield from draw_replies(
        model,
        ready.tokenizer,
        [prompt.ids for prompt in prompts],
        N_REPLIES,
        seed=spec.train.seed,
        step=_STEP,
        max_tokens=align.max_tokens,
        n_rows=_ROWS,
    )
    seconds = time.perf_counter() - began
    rewards, judged = list[list[float]](), list[bool | None]()
    for prompt, own in zip(prompts, drawn, strict=True):
        texts = [reply_text(ready.tokenizer, reply) for reply in own]
        rewards.append([*result_of(judge.rewards([prompt] * len(own), own, texts)).rewards])
        judged += [gold_success(prompt.row, text) for text in texts]
    meant = [known for known in judged if known is not None]
    replies = [reply for own in drawn for reply in own]
    table = torch.tensor(rewards)
    return BaseRate(
        wish=str(prompts[0].row["wish"]),
        n_prompts=len(prompts),
        n_replies=N_REPLIES,
        reward=float(table.mean()),
        right=float((table >= 1).float().mean()) if judge.is_bounded else None,
        found=float((table.amax(1) >= 1).float().mean()) if judge.is_bounded else None,
        signal=float(has_signal(table).float().mean()),
        gold=sum(meant) / len(meant) if meant else None,
        ended=sum(reply.ended for reply in replies) / len(replies),
        mean_length=sum(len(reply.ids) for reply in replies) / len(replies),
        max_tokens=align.max_tokens,
        seconds_per_reply=seconds / len(replies),
    )
