"""The reward models of a run, with the scale of their scores, and the reward of a reply cut after each token."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from terrarium.models.alignment.judges import ModelJudge
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.chat.own_template import Message, encode_messages
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Progress, reporting
from terrarium.models.interop.loading import load_model_events
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.checkpoint import read_stage_tensors
from terrarium.models.training.stages.make import JUDGE_SCALES


@dataclass(frozen=True, kw_only=True)
class RewardRead(Event):
    """The scores (n,) of a reply cut after each of its tokens, in standard deviations of the parent's scores."""

    scores: tuple[float, ...]


def kept_judge(run: RunFolder, device: torch.device) -> Generator[Event, None, ModelJudge]:
    """Load the reward models of a run as its judge. Yields the events of loading them, and raises as `_kept`."""
    align = run.spec.align
    assert align is not None
    first = yield from _kept(run, "reward_model", device)
    second = (yield from _kept(run, "second_reward_model", device)) if align.second_reward_model else None
    return ModelJudge(first, second, lower=align.reward_by == "lower")


def _kept(run: RunFolder, setting: str, device: torch.device) -> Generator[Event, None, RewardModel]:
    """Load the reward model of a run that a setting of AlignSpec names. Yields the events of loading it.

    Raises:
        ValueError: if the run has no checkpoint yet, or the folder of its reward model is missing or damaged.
    """
    last = run.latest_checkpoint()
    if last is None:
        raise ValueError(
            f"{run.name!r} has no checkpoint yet, which holds the scale of its rewards: wait for the first one."
        )
    folder = run.folder / REWARD_MODELS[setting]
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing, which holds the run's reward model: put it back.")
    model, _ = yield from load_model_events(folder, device)
    mean, std = read_stage_tensors(last)[JUDGE_SCALES[setting]].tolist()
    return RewardModel(model=model, mean=mean, std=std)


def read_rewards(
    run: RunFolder, messages: Sequence[Message], ids: Sequence[int], device: str = "auto"
) -> Iterator[Event]:
    """Score a reply to a conversation with a run's reward model, as if it ended after each of its tokens.

    Yields RewardRead at the end.

    Raises:
        ValueError: as `_kept`, and if a score is not finite.
    """
    judge = yield from _kept(run, "reward_model", choose_device(device).device)
    prompt = encode_messages(read_tokenizer(run.tokenizer_file), messages, add_generation_prompt=True)[0]
    texts = [(*prompt, *ids[: n + 1]) for n in range(len(ids))]
    scores = yield from reporting(judge.scores(texts), Progress(done=0, total=len(texts)))
    yield RewardRead(scores=tuple(scores))
