"""The reward model that a run keeps, with the scale of its rewards; and what it says of a reply at every token."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from models.alignment.reward_model import RewardModel
from models.chat.own_template import Message, encode_messages
from models.device import choose_device
from models.events import Event, Progress, reporting
from models.interop.loading import load_model_events
from models.runs.checkpoint_state import REWARD_MODEL
from models.runs.run_folder import RunFolder
from models.tokenizers import read_tokenizer
from models.training.checkpoint import read_of_stage
from models.training.stages.make import JUDGE_SCALE


@dataclass(frozen=True, kw_only=True)
class RewardRead(Event):
    """The score of a reply cut after each of its tokens (n,), in standard deviations of what the parent earned."""

    scores: tuple[float, ...]


def kept_reward_model(run: RunFolder, device: torch.device) -> Generator[Event, None, RewardModel]:
    """The reward model in the folder of a run, as the run uses it. Yields the events of loading it.

    Raises:
        ValueError: where the run has no checkpoint yet, or the folder of its reward model is missing or damaged.
    """
    last = run.latest_checkpoint()
    if last is None:
        raise ValueError(
            f"{run.name!r} has no checkpoint yet, which holds the scale of its rewards: wait for the first one."
        )
    folder = run.folder / REWARD_MODEL
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing, which holds the run's reward model: put it back.")
    model, _ = yield from load_model_events(folder, device)
    mean, std = read_of_stage(last)[JUDGE_SCALE].tolist()
    return RewardModel(model=model, mean=mean, std=std)


def read_rewards(
    run: RunFolder, messages: Sequence[Message], ids: Sequence[int], device: str = "auto"
) -> Iterator[Event]:
    """What the reward model of a run says of a reply to a conversation, as if it ended after each of its tokens.

    Yields RewardRead at the end.

    Raises:
        ValueError: as `kept_reward_model`, and where a score is not finite.
    """
    judge = yield from kept_reward_model(run, choose_device(device).device)
    prompt = encode_messages(read_tokenizer(run.tokenizer_file), messages, add_generation_prompt=True)[0]
    texts = [(*prompt, *ids[: n + 1]) for n in range(len(ids))]
    scores = yield from reporting(judge.scores(texts), Progress(done=0, total=len(texts)))
    yield RewardRead(scores=tuple(scores))
