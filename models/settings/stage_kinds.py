"""The stages of alignment: one entry each, with what the form, training, diagnosis, lineage and figures depend on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from terrarium.models.extensions.entries import CRITIC, JUDGE, REFERENCE, StageKind, StageWords
from terrarium.models.extensions.registry import Missing, code_problem, find, load

_PREFERENCE = "terrarium.models.training.stages.preference"
_PAIRED = {"lr": 1e-3, "batch_size": 16, "warmup_steps": 0, "steps": 60, "eval_interval": 20}
"""Settings for one pass over 1,000 pairs, with a learning rate for a model of about 500,000 parameters."""
_DRAWN = {
    "schedule": "constant",
    "warmup_steps": 0,
    "steps": 60,
    "eval_interval": 10,
    "sample_interval": 10,
    "checkpoint_interval": 10,
    "keep_checkpoints": 8,
}
"""Settings for stages that draw replies, with enough steps to show an effect."""
_REWARDED = (
    "reward_model",
    "second_reward_model",
    "reward_by",
    "n_prompts",
    "n_replies",
    "end_penalty",
    "clip_low",
    "clip_high",
    "beta",
    "max_tokens",
)
_PAIR_CHECKS = (
    "nan",
    "divergence",
    "exploding",
    "wrong_reference",
    "reward_hacking",
    "kl_high",
    "cut",
    "chosen_falls",
    "kl_low",
    "pairs_unlearned",
)
_FREE_CHECKS = tuple(check for check in _PAIR_CHECKS if check not in ("wrong_reference", "chosen_falls", "kl_low"))
"""The checks without a reference model: those that measure how far log-probabilities moved are left out."""
_REPLY_CHECKS = (
    "nan",
    "wrong_reference",
    "reward_hacking",
    "kl_high",
    "collapse",
    "cut",
    "no_signal",
    "length",
    "kl_low",
)


_OWN = (
    StageKind(
        name="grpo",
        words=StageWords(
            offer="Learn from rewards: GRPO",
            does="It draws several replies to each prompt, and reinforces those that earn more than the others.",
            title="GRPO",
            learned="Learned from rewards, by comparing replies with one another",
            icon="users-three",
            explained="GRPO draws replies, and makes those likelier that earn more than others to the same prompt",
            tone="validation",
        ),
        objectives={"prompts": "terrarium.models.training.stages.grpo:GrpoStage"},
        options=(*_REWARDED, "kl_in", "aggregate", "scale"),
        needs=frozenset({REFERENCE, JUDGE}),
        usual_train={"lr": 1e-3, **_DRAWN},
        checks=_REPLY_CHECKS,
    ),
    StageKind(
        name="ppo",
        words=StageWords(
            offer="Learn from rewards: PPO",
            does="It draws replies, and reinforces those that earn more than its critic, a second model, expected.",
            title="PPO",
            learned="Learned from rewards, beside a critic",
            icon="target",
            explained="PPO draws replies, and makes those likelier that earn more than its critic expected",
            tone="accent",
        ),
        objectives={"prompts": "terrarium.models.training.stages.ppo:PpoStage"},
        options=(*_REWARDED, "n_epochs", "n_minibatches", "critic_lr", "lam", "value_clip", "max_kl"),
        needs=frozenset({REFERENCE, JUDGE, CRITIC}),
        usual={"beta": 0.05, "n_prompts": 32, "n_replies": 2, "clip_high": 0.2},
        usual_train={"lr": 3e-4, **_DRAWN},
        checks=(*_REPLY_CHECKS, "large_updates", "critic"),
    ),
    StageKind(
        name="dpo",
        words=StageWords(
            offer="Learn from pairs: DPO",
            does="Of two replies to a prompt, the preferred one becomes likelier than the other.",
            title="DPO",
            learned="Learned from pairs, directly",
            icon="git-diff",
            explained="DPO makes the preferred reply of each pair likelier",
            tone="info",
            writes_none="DPO learns from the replies of pairs, and writes none of its own.",
        ),
        objectives={"preference": f"{_PREFERENCE}:DpoObjective"},
        options=("beta", "label_noise", "nll_weight", "max_tokens"),
        needs=frozenset({REFERENCE}),
        usual={"beta": 0.1},
        usual_train=_PAIRED,
        checks=_PAIR_CHECKS,
        needs_beta=True,
    ),
    StageKind(
        name="kto",
        words=StageWords(
            offer="Learn from pairs or thumbs: KTO",
            does="Good replies become likelier and bad ones less likely, each by itself: from pairs, or rated alone.",
            title="KTO",
            learned="Learned from single replies, good or bad",
            icon="thumbs-up",
            explained="KTO takes each reply alone, as good or bad",
            writes_none="KTO learns from rated replies, and writes none of its own.",
        ),
        objectives={"preference": f"{_PREFERENCE}:KtoObjective", "unpaired": f"{_PREFERENCE}:RatedKtoObjective"},
        options=("beta", "desirable_weight", "undesirable_weight", "max_tokens"),
        needs=frozenset({REFERENCE}),
        usual={"beta": 0.1},
        usual_train=_PAIRED,
        checks=_PAIR_CHECKS,
        min_batch_size=2,
        guess_is_known=False,
        needs_beta=True,
    ),
    StageKind(
        name="simpo",
        words=StageWords(
            offer="Learn from pairs: SimPO",
            does="The preferred reply becomes likelier per token than the other, by a margin; no reference is needed.",
            title="SimPO",
            learned="Learned from pairs, without a reference",
            icon="git-diff",
            explained="SimPO makes the preferred reply likelier per token, by a margin, without a reference",
            writes_none="SimPO learns from the replies of pairs, and writes none of its own.",
        ),
        objectives={"preference": f"{_PREFERENCE}:SimpoObjective"},
        options=("beta", "margin", "label_noise", "max_tokens"),
        usual={"beta": 2.0},
        usual_train=_PAIRED,
        checks=_FREE_CHECKS,
        guess_is_known=False,
        needs_beta=True,
    ),
    StageKind(
        name="orpo",
        words=StageWords(
            offer="Learn from pairs: ORPO",
            does="It imitates the preferred reply, and lowers the odds of the other one in the same step.",
            title="ORPO",
            learned="Imitated the preferred replies, and moved away from the others",
            icon="git-diff",
            explained="ORPO imitates the preferred reply and lowers the odds of the other, without a reference",
            writes_none="ORPO learns from the replies of pairs, and writes none of its own.",
        ),
        objectives={"preference": f"{_PREFERENCE}:OrpoObjective"},
        options=("beta", "max_tokens"),
        usual={"beta": 0.1},
        usual_train=_PAIRED,
        checks=_FREE_CHECKS,
        guess_is_known=False,
        needs_beta=True,
    ),
    StageKind(
        name="reward",
        words=StageWords(
            offer="Learn from pairs: a reward model",
            does="The model learns to score replies as in the pairs; PPO and GRPO can learn from its scores.",
            title="Reward model",
            learned="Learned from pairs to score replies",
            icon="scales",
            explained="reward: a model learns from pairs to score replies",
            writes_none="A reward model writes no replies.",
        ),
        objectives={"preference": f"{_PREFERENCE}:RewardObjective"},
        options=("centre", "pairs_used"),
        head="regression",
        usual_train=_PAIRED,
        checks=("nan", "divergence", "exploding", "weak_judge"),
    ),
)


def _problem(name: str, entry: StageKind) -> str:
    """Return what is wrong with an extension's stage, as `find` asks; "" if nothing is."""
    allowed = {
        "name": ({entry.name}, {name}),
        "objectives": (entry.tasks, {task for kind in _OWN for task in kind.tasks}),
        "options": (entry.options, {option for kind in _OWN for option in kind.options}),
        "needs": (entry.needs, {REFERENCE, JUDGE, CRITIC}),
        "head": ({entry.head}, {kind.head for kind in _OWN}),
        "usual": (entry.usual, entry.options),
        "usual_train": (entry.usual_train, {setting for kind in _OWN for setting in kind.usual_train}),
        "checks": (entry.checks, {check for kind in _OWN for check in kind.checks}),
        "words.icon": ({entry.words.icon}, {kind.words.icon for kind in _OWN}),
        "words.tone": ({entry.words.tone}, {"", *(kind.words.tone for kind in _OWN)}),
    }
    for field, (values, known) in allowed.items():
        if unknown := set(values) - set(known):
            return f"its {field} has {min(unknown)!r}, and can have {', '.join(sorted(map(repr, known))) or 'nothing'}"
    if not entry.objectives:
        return "it has no objectives"
    return next(filter(None, map(code_problem, entry.objectives.values())), "")


ADDED_STAGES = find("stages", StageKind, taken={kind.name for kind in _OWN}, check=_problem)
STAGE_KINDS: Mapping[str, StageKind] = MappingProxyType({kind.name: kind for kind in _OWN} | dict(ADDED_STAGES.entries))
"""The stages by name, in the order of the form; those of extensions last."""


def find_stage(name: str) -> StageKind:
    """Return an entry of STAGE_KINDS; for the name of a missing extension's stage, an entry for showing it."""
    if isinstance(name, Missing):
        words = StageWords(
            offer=str(name), does=name.sentence, title=str(name), learned=str(name), icon="puzzle-piece", explained=""
        )
        return StageKind(name=name, words=words, objectives={task: "" for kind in _OWN for task in kind.tasks})
    return STAGE_KINDS[name]


def stages_with(option: str) -> tuple[str, ...]:
    """Return the stages in which a setting of AlignSpec has an effect."""
    return tuple(name for name, kind in STAGE_KINDS.items() if option in kind.options)


def first_stage_for(task: str) -> str:
    """Return the stage to propose for datasets of a task; "" if none learns from them."""
    return next((name for name, kind in STAGE_KINDS.items() if task in kind.tasks), "")


def load_objective(kind: StageKind, task: str) -> Any:
    """Import the class that implements a stage for datasets of a task.

    Raises:
        ValueError: if an extension's class cannot be imported, or its package is not installed.
    """
    if isinstance(kind.name, Missing):
        raise ValueError(kind.name.sentence)
    code = kind.objectives[task]
    return ADDED_STAGES.load(kind.name, code) if kind.name in ADDED_STAGES.entries else load(code)
