"""The next steps that a stage offers: a new run from it, with the form filled in, or judging its replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import Judge, NewRun
from terrarium.models.alignment.stage_tree import LineageNode, StageTree
from terrarium.models.settings.stage_kinds import STAGE_KINDS


class NextStep(NamedTuple):
    """A menu entry: label, icon, tool tip and where it leads; `route` is None if that is unavailable."""

    words: str
    icon: str
    tip: str
    route: NewRun | Judge | None


_OF_PAIRS = tuple(name for name, kind in STAGE_KINDS.items() if "preference" in kind.tasks)
"""The stages that learn from pairs."""


def next_steps(tree: StageTree, stage: LineageNode) -> Iterator[NextStep]:
    """Yield the next steps for a stage, the most common first; nothing for a stage without a model."""
    if stage.scores:
        yield from _with_reward_model(tree, stage)
    elif stage.writes:
        yield from _with_writer(tree, stage)
    elif stage.has_model:
        tip = "A new run from its weights"
        yield NextStep("Fine-tune it…", "graduation-cap", tip, NewRun(parent=stage.id))


def _with_reward_model(tree: StageTree, stage: LineageNode) -> Iterator[NextStep]:
    parent = tree.find(stage.parent)
    if parent is None or not parent.writes:
        gone = "The model that it started from is no longer in the library: restore it from the trash first."
        yield NextStep("PPO with its rewards…", "target", gone, None)
        return
    is_last = stage.parent_step in (None, parent.step)
    start = parent.id if is_last else f"{parent.id}@{stage.parent_step}"
    tip = f"{parent.name} learns to earn the scores of {stage.name}"
    for kind in STAGE_KINDS.values():
        if kind.draws:
            title = f"{kind.words.title} with its rewards…"
            yield NextStep(title, kind.words.icon, tip, NewRun(parent=start, stage=kind.name, reward_model=stage.id))
    pairs = f"{parent.name} learns from the pairs that taught {stage.name}, without its scores"
    yield NextStep("DPO on the same pairs…", "git-diff", pairs, NewRun(parent=start, stage="dpo", data=stage.data))


def _with_writer(tree: StageTree, stage: LineageNode) -> Iterator[NextStep]:
    children = tree.children(stage.id)
    pairs = next((child.data for child in reversed(children) if child.kind in _OF_PAIRS), "")
    me = Candidate(stage.id)
    parent = tree.find(stage.parent) if stage.parent else None
    if parent is not None and parent.writes:
        tip = f"Judge replies of {stage.name} and {parent.name} blind, in Chat → Judge replies, and see who wins"
        yield NextStep(f"Compare it blind with {parent.name}…", "scales", tip, Judge(me, Candidate(parent.id)))
    yield NextStep("Fine-tune it…", "graduation-cap", "On texts, conversations or a task", NewRun(parent=stage.id))
    tip = "Judge pairs of its replies in Chat → Judge replies: a reward model and DPO learn from them"
    yield NextStep("Collect preferences…", "hand-pointing", tip, Judge(me, me))
    tip = "A reward model learns from pairs to score replies"
    yield NextStep("Train a reward model…", "scales", tip, NewRun(parent=stage.id, stage="reward", data=pairs))
    for name in _OF_PAIRS:
        if (kind := STAGE_KINDS[name]).head == "language":
            yield NextStep(
                f"{kind.words.title}…",
                kind.words.icon,
                kind.words.does,
                NewRun(parent=stage.id, stage=name, data=pairs),
            )
    for child in children:
        if child.scores:
            tip = f"It learns to earn the scores of {child.name}"
            yield NextStep(
                f"PPO, rewarded by {child.name}…",
                "target",
                tip,
                NewRun(parent=stage.id, stage="ppo", reward_model=child.id),
            )
    tip = "It learns to earn the reward of a wish, whose judge is never wrong"
    yield NextStep("GRPO with the judge of a wish…", "users-three", tip, NewRun(parent=stage.id, stage="grpo"))
