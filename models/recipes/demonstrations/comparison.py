"""Compares the stages of an alignment: all reply to the same held-out prompts, and their replies are judged."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrarium.models.alignment.reward_model import RewardModel, check_reward_model
from terrarium.models.alignment.rollouts import draw_replies, reply_text
from terrarium.models.alignment.stage_tree import world_seed_of
from terrarium.models.alignment.win_rates import (
    Answers,
    Asked,
    Contender,
    WinRates,
    read_answers,
    win_rates,
    write_answers,
)
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Example
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase, Progress, reporting
from terrarium.models.inference.many_replies import DrawnReply
from terrarium.models.interop.loading import load_config, load_model_events
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tiny_world.wishes import SIZES, WISHES, build_wish_corpus
from terrarium.models.tiny_world.world import MAX_REPLY_TOKENS
from terrarium.models.tokenizers import read_tokenizer

_AT_ONCE = 64
"""Replies that are drawn together."""


@dataclass(frozen=True, kw_only=True)
class OpenedStage:
    """A checkpoint of a run to compare."""

    contender: Contender
    run: RunFolder
    checkpoint: Path
    config: ModelConfig

    @property
    def name(self) -> str:
        """The run's name."""
        return self.contender.name


def open_stage(library: Library, text: str) -> OpenedStage:
    """Open the checkpoint named by RUN or RUN@STEP: a run's path, id or name, and the step of one of its checkpoints.

    Raises:
        ValueError: if there is no such run or checkpoint.
    """
    name, _, step = text.rpartition("@")
    wanted = int(step) if name and step.isdecimal() else None
    run = RunFolder.open(library.find_run(text if wanted is None else name))
    checkpoint = run.latest_checkpoint() if wanted is None else run.checkpoint_path(wanted)
    if checkpoint is None or not checkpoint.is_dir():
        raise ValueError(
            f"{run.name!r} has no checkpoint yet, so it cannot reply: train it first."
            if wanted is None
            else f"{run.name!r} has no checkpoint of step {wanted:,}: choose one that it has, or leave the step out."
        )
    contender = Contender(run=run.id, name=run.name, step=checkpoint_step(checkpoint))
    return OpenedStage(contender=contender, run=run, checkpoint=checkpoint, config=load_config(checkpoint))


def compare_stages(
    library: Library,
    stages: Sequence[str],
    wish: str,
    *,
    n: int = 128,
    seed: int = 0,
    world_seed: int | None = None,
    reward_model: str = "",
    device: str = "auto",
) -> Generator[Event, None, WinRates]:
    """Compute the win rates of stages (see `open_stage`). Yields Phase and Progress (replies).

    Replies and their scores are saved in the stages' folders, stage by stage, and not drawn again.

    Args:
        n: the number of held-out prompts of the wish; every stage replies once to each.
        world_seed: None for the world of the first stage's data.
        reward_model: a run of the stage reward, "" for none.

    Raises:
        ValueError: if there are fewer than two stages, one is named twice or cannot reply, or the reward model cannot
            score the replies of one of them.
    """
    if wish not in WISHES:
        raise ValueError(f"There is no wish {wish!r}: choose {', '.join(WISHES)}.")
    if not 1 <= n <= SIZES["test"]:
        raise ValueError(f"{n:,} prompts cannot be asked: a wish has 1 to {SIZES['test']:,} that are held out.")
    started = time.monotonic()
    opened = [open_stage(library, text) for text in stages]
    _check_stages(opened)
    judge = open_stage(library, reward_model) if reward_model else None
    if judge is not None:
        for stage in opened:
            _check_judge(judge, stage)
    known = world_seed_of(opened[0].run) if world_seed is None else world_seed
    yield Phase(name="Preparing the prompts")
    held_out = (yield from build_wish_corpus(library, wish, known)).rows("test")
    asked = Asked(wish=wish, world_seed=known, seed=seed, n=min(n, len(held_out)))
    rows = [held_out[i] for i in range(asked.n)]
    answers: list[Answers] = []
    for i, stage in enumerate(opened):
        progress = Progress(done=i * asked.n, total=len(opened) * asked.n)
        answers.append((yield from _answers(stage, asked, rows, device, progress)))
    if judge is not None:
        answers = yield from _scored(judge, opened, asked, held_out, answers, device)
    return win_rates(
        library,
        asked,
        rows,
        [stage.contender for stage in opened],
        answers,
        judge.contender if judge is not None else None,
        seconds=time.monotonic() - started,
    )


def _check_stages(opened: Sequence[OpenedStage]) -> None:
    seen: set[str] = set()
    for stage in opened:
        config = stage.config
        if (config.topology, config.head) != ("decoder-only", "language"):
            what = "it is a reward model, which scores replies" if config.head == "sequence" else "it writes no text"
            raise ValueError(f"{stage.name!r} cannot reply, since {what}: leave it out.")
        if stage.contender.key in seen:
            raise ValueError(f"{stage.name!r} is named twice: name each stage once.")
        seen.add(stage.contender.key)
    if len(opened) < 2:
        raise ValueError("One stage alone wins against nobody: name two at least.")


def _check_judge(judge: OpenedStage, stage: OpenedStage) -> None:
    tokenizers = [read_tokenizer(one.run.tokenizer_file) for one in (judge, stage)]
    try:
        check_reward_model(judge.config, tokenizers[0], stage.config, tokenizers[1], judge.name)
    except ValueError as error:
        raise ValueError(f"{stage.name}: {error}") from error


def _answers(
    stage: OpenedStage, asked: Asked, rows: Sequence[Example], device: str, progress: Progress
) -> Generator[Event, None, Answers]:
    """Return a stage's replies; draws them unless they are saved. progress: of all stages, before this one."""
    kept = read_answers(stage.run.folder, stage.checkpoint, asked)
    if kept is not None:
        return kept
    yield Phase(name=f"{stage.name} is replying")
    yield progress
    model, tokenizer = yield from reporting(load_model_events(stage.checkpoint, choose_device(device).device), progress)
    assert isinstance(model, Decoder)
    if tokenizer is None:
        raise ValueError(f"{stage.name!r} has no tokenizer, so it cannot be asked: leave it out.")
    try:
        prompts = [encode_messages(tokenizer, row["messages"], add_generation_prompt=True)[0] for row in rows]
        drawing = draw_replies(
            model, tokenizer, prompts, 1, seed=asked.seed, max_tokens=MAX_REPLY_TOKENS, n_rows=_AT_ONCE
        )
        drawn = yield from _counted(drawing, progress)
    except ValueError as error:
        raise ValueError(f"{stage.name}: {error}") from error
    replies = [reply for [reply] in drawn]
    answers = Answers(
        texts=tuple(reply_text(tokenizer, reply) for reply in replies),
        ids=tuple(reply.ids for reply in replies),
        ended=tuple(reply.ended for reply in replies),
    )
    write_answers(stage.run.folder, stage.checkpoint, asked, answers)
    return answers


def _counted(
    work: Generator[Event, None, list[list[DrawnReply]]], before: Progress
) -> Generator[Event, None, list[list[DrawnReply]]]:
    """Convert the progress of one stage to that of all stages."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: list[list[DrawnReply]] = end.value
            return found
        if isinstance(event, Progress):
            yield Progress(done=before.done + event.done, total=before.total)


def _scored(
    judge: OpenedStage,
    opened: Sequence[OpenedStage],
    asked: Asked,
    held_out: Sequence[Example],
    answers: Sequence[Answers],
    device: str,
) -> Generator[Event, None, list[Answers]]:
    """Add the reward model's scores to the answers, and save them."""
    key, found = judge.contender.key, list(answers)
    missing = [i for i, own in enumerate(answers) if key not in own.scores]
    if not missing:
        return found
    yield Phase(name=f"{judge.name} is scoring the replies")
    none_yet = Progress(done=0, total=len(missing))
    model, tokenizer = yield from reporting(load_model_events(judge.checkpoint, choose_device(device).device), none_yet)
    assert tokenizer is not None
    for n_done, i in enumerate(missing):
        own, stage = answers[i], opened[i]
        texts = [
            (*encode_messages(tokenizer, held_out[at]["messages"], add_generation_prompt=True)[0], *ids)
            for at, ids in enumerate(own.ids)
        ]
        progress = Progress(done=n_done, total=len(missing))
        scores = yield from reporting(RewardModel(model=model).scores(texts), progress)
        found[i] = dataclasses.replace(own, scores={**own.scores, key: tuple(scores)})
        write_answers(stage.run.folder, stage.checkpoint, asked, found[i])
    return found
