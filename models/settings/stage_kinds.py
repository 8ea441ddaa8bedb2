"""The stages of alignment: one entry each, with what the form, training, diagnosis, lineage and figures depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

REFERENCE, JUDGE, CRITIC = "reference", "judge", "critic"
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


@dataclass(frozen=True, kw_only=True)
class StageWords:
    """The displayed texts, icon and colour of a stage.

    offer: its name in the form. does: its description, a sentence. title: its short name. learned: its description in
    lineage. icon: one of qtawesome's Phosphor icons. tone: its colour in charts, "" for none. explained: its clause in
    the help of the setting `stage`. writes_none: why its runs have no replies to show, "" if they have.
    """

    offer: str
    does: str
    title: str
    learned: str
    icon: str
    explained: str
    tone: str = ""
    writes_none: str = ""


@dataclass(frozen=True, kw_only=True)
class StageKind:
    """A stage of alignment.

    Args:
        objectives: task of a dataset → “module:class” of the objective or stage, imported when a run needs it; the
            usual task first.
        options: the settings of AlignSpec that have an effect.
        needs: a subset of REFERENCE (a frozen copy of the parent), JUDGE (of drawn replies) and CRITIC.
        head: the model's head: "language", or "regression" for a model that scores replies.
        usual, usual_train: the recommended settings of AlignSpec and TrainConfig that differ from their defaults.
        checks: the diagnoses that apply to its runs (models.diagnosis).
        min_batch_size: the smallest train.batch_size.
        guess_is_known: whether a random guess has a known loss, to compare losses with.
        needs_beta: whether the model learns nothing with a β of 0.
    """

    name: str
    words: StageWords
    objectives: Mapping[str, str]
    options: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    head: str = "language"
    usual: Mapping[str, Any] = field(default_factory=dict)
    usual_train: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    min_batch_size: int = 1
    guess_is_known: bool = True
    needs_beta: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the datasets that the stage learns from (models.settings.tasks), the usual one first."""
        return tuple(self.objectives)

    @property
    def draws(self) -> bool:
        """Whether the stage draws replies to prompts and learns from their rewards."""
        return JUDGE in self.needs


_KINDS = (
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
STAGE_KINDS: Mapping[str, StageKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""The stages by name, in the order of the form."""


def stages_with(option: str) -> tuple[str, ...]:
    """Return the stages in which a setting of AlignSpec has an effect."""
    return tuple(kind.name for kind in _KINDS if option in kind.options)


def first_stage_for(task: str) -> str:
    """Return the stage to propose for datasets of a task; "" if none learns from them."""
    return next((kind.name for kind in _KINDS if task in kind.tasks), "")


def load_objective(kind: StageKind, task: str) -> Any:
    """Import the class that implements a stage for datasets of a task."""
    from importlib import import_module

    module, _, name = kind.objectives[task].partition(":")
    return getattr(import_module(module), name)
