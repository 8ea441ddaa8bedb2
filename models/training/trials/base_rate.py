"""The base rate of a run that learns from rewards: how often its parent earns one, before anything is learned.

What never happens cannot be rewarded, so this is what to know before such a run starts.
"""

from __future__ import annotations

import time
from collections.abc import Generator

import torch

from models.alignment.advantages import has_signal
from models.alignment.judges import WishJudge
from models.alignment.rollouts import Prompts, reply_end, reply_seeds, reply_text
from models.architecture.transformer import Decoder
from models.data.tiny_world.wishes import WISHES
from models.device import choose_device
from models.events import Event, Phase, Progress, result_of
from models.inference.many_replies import draw_batch
from models.library.library import Library
from models.settings.run_spec import RunSpec
from models.training.prepare import prepare_trial
from models.training.trials.findings import BaseRate

N_PROMPTS, N_REPLIES = 64, 8
_AT_ONCE = 8
"""Prompts that are answered at once."""
_STEP = 1 << 41
"""A step that no training has, for the seeds of the replies."""


def measure_base_rate(library: Library, spec: RunSpec, device: str = "auto") -> Generator[Event, None, BaseRate]:
    """Draw replies of the parent to held-out prompts, and reward them. The prompts are made and kept; nothing else is.

    Yields Phase and Progress.

    Raises:
        ValueError: where the run does not learn from rewards, nothing judges its replies, or no prompt has room.
    """
    align = spec.align
    if align is None or align.task != "prompts":
        raise ValueError("Only runs that learn from rewards have a base rate: choose GRPO or PPO, and a wish.")
    ready = yield from prepare_trial(library, spec, draws=True)
    yield Phase(name="Building the model")
    chosen = choose_device(device)
    model = ready.build_model().to(chosen.device).eval()
    assert isinstance(model, Decoder)
    longest = max(1, ready.spec.model.context_length - align.max_tokens + 1)
    prompts = Prompts(ready.corpus, "val", ready.tokenizer, longest, at_most=N_PROMPTS).rows
    judge, end = WishJudge(prompts, ready.corpus.label), reply_end(ready.tokenizer)
    yield Phase(name="Drawing replies")
    seeds = reply_seeds(spec.train.seed, _STEP, len(prompts), N_REPLIES)
    rewards, lengths, n_ended, n_meant, n_judged, seconds = list[list[float]](), list[int](), 0, 0, 0, 0.0
    for first in range(0, len(prompts), _AT_ONCE):
        asked = prompts[first : first + _AT_ONCE]
        began = time.perf_counter()
        drawing = draw_batch(
            model, [prompt.ids for prompt in asked], seeds[first : first + _AT_ONCE], align.max_tokens, end
        )
        while True:
            try:
                next(drawing)
            except StopIteration as stop:
                replies = stop.value
                break
            yield Progress(done=first, total=len(prompts))
        seconds += time.perf_counter() - began
        for prompt, own in zip(asked, replies, strict=True):
            texts = [reply_text(ready.tokenizer, reply) for reply in own]
            rewards.append(result_of(judge.rewards([prompt] * len(own), own, texts)))
            lengths += [len(reply.ids) for reply in own]
            n_ended += sum(reply.ended for reply in own)
            is_meant = WISHES[prompt.row["wish"]].is_meant
            if is_meant is not None:
                n_judged += len(own)
                n_meant += sum(is_meant(prompt.row, text) for text in texts)
        yield Progress(done=first + len(asked), total=len(prompts))
    table = torch.tensor(rewards)
    return BaseRate(
        wish=str(prompts[0].row["wish"]),
        n_prompts=len(prompts),
        n_replies=N_REPLIES,
        reward=float(table.mean()),
        right=float((table >= 1).float().mean()) if judge.is_bounded else None,
        found=float((table.amax(1) >= 1).float().mean()) if judge.is_bounded else None,
        signal=float(has_signal(table).float().mean()),
        gold=n_meant / n_judged if n_judged else None,
        ended=n_ended / len(lengths),
        mean_length=sum(lengths) / len(lengths),
        max_tokens=align.max_tokens,
        seconds_per_reply=seconds / len(lengths),
    )
