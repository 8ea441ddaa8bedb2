"""The settings of an alignment run: learning from preferences or rewards instead of texts. No torch import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from terrarium.models.extensions.entries import StageKind
from terrarium.models.settings.slots import check_complete, check_settings, slot
from terrarium.models.settings.stage_kinds import STAGE_KINDS, find_stage, stages_with

STAGES = tuple(STAGE_KINDS)
_GROUP = "Alignment"
REWARD_MODELS: Mapping[str, str] = MappingProxyType({"reward_model": "reward", "second_reward_model": "reward-2"})
"""Settings that name a reward model (also keys in a run's lineage) -> the folder in the run with a copy of it."""


@dataclass(frozen=True, kw_only=True)
class AlignSpec:
    """The settings of an alignment stage. Defaults suit a model of some 500,000 parameters; see `usual_align`."""

    stage: str = slot(
        "grpo",
        "Stage",
        " ".join(f"{kind.words.explained}." for kind in STAGE_KINDS.values()),
        group=_GROUP,
        choices=STAGES,
    )
    beta: float = slot(
        0.0,
        "KL weight β",
        "How much each nat of distance from the parent costs, in units of the reward. In DPO and KTO the larger, the "
        "closer to the parent. SimPO scales the log-probability per token by it, and ORPO weighs the odds by it.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("beta")),
    )
    centre: float = slot(
        0.01,
        "Centring",
        "Keeps the scores of a reward model around 0: how much the square of the sum of a pair's scores costs.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("centre")),
        omit_default=True,
    )
    pairs_used: str = slot(
        "all",
        "Pairs",
        "All of them; or every other one, so that two reward models learn from different pairs and can be compared.",
        group=_GROUP,
        choices=("all", "odd", "even"),
        only_if=("stage", stages_with("pairs_used")),
        advanced=True,
        omit_default=True,
    )
    margin: float = slot(
        1.0,
        "Margin γ",
        "By how much the scaled log-probability per token of the preferred reply should exceed that of the other.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("margin")),
        omit_default=True,
    )
    label_noise: float = slot(
        0.0,
        "Label noise",
        "The share of pairs assumed to be the wrong way round, so that no single pair is trusted too much (cDPO).",
        group=_GROUP,
        range=(0.0, 0.5),
        only_if=("stage", stages_with("label_noise")),
        omit_default=True,
    )
    nll_weight: float = slot(
        0.0,
        "Hold the chosen",
        "How much the negative log-likelihood per token of the chosen replies counts beside DPO's loss, which alone "
        "may make both replies of a pair less likely.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("nll_weight")),
        omit_default=True,
    )
    desirable_weight: float = slot(
        1.0,
        "Weight of good replies",
        "How much the loss of a good reply counts. Where there are more bad ones, raise it: together, both kinds "
        "should weigh about the same.",
        group=_GROUP,
        range=(0.0, 1000.0),
        only_if=("stage", stages_with("desirable_weight")),
        omit_default=True,
    )
    undesirable_weight: float = slot(
        1.0,
        "Weight of bad replies",
        "How much the loss of a bad reply counts.",
        group=_GROUP,
        range=(0.0, 1000.0),
        only_if=("stage", stages_with("undesirable_weight")),
        omit_default=True,
    )
    reward_model: str = slot(
        "",
        "Reward model",
        "The run whose model scores the replies. Empty = the judge that the prompts name, their wish.",
        group=_GROUP,
        only_if=("stage", stages_with("reward_model")),
        omit_default=True,
    )
    second_reward_model: str = slot(
        "",
        "Second reward model",
        "One that learned from other pairs. If the two disagree about the replies more and more, neither knows any "
        "longer what they are worth, and the first is being gamed.",
        group=_GROUP,
        only_if=("stage", stages_with("second_reward_model")),
        omit_default=True,
    )
    reward_by: str = slot(
        "first",
        "Of two reward models",
        "first: only the first one rewards, and the second is just monitored. lower: the lower of both scores counts, "
        "which is harder to game.",
        group=_GROUP,
        choices=("first", "lower"),
        only_if=("stage", stages_with("reward_by")),
        advanced=True,
        omit_default=True,
    )
    n_prompts: int = slot(
        8,
        "Prompts per step",
        "How many prompts are answered in each step.",
        group=_GROUP,
        range=(1, 4096),
        only_if=("stage", stages_with("n_prompts")),
    )
    n_replies: int = slot(
        8,
        "Replies per prompt",
        "How many replies are drawn to each prompt. GRPO compares them with one another: 2 at least.",
        group=_GROUP,
        range=(1, 1024),
        only_if=("stage", stages_with("n_replies")),
    )
    max_tokens: int = slot(
        80,
        "Longest reply",
        "Drawn replies are cut off after this many tokens.",
        group=_GROUP,
        range=(1, 100_000),
        only_if=("stage", stages_with("max_tokens")),
    )
    end_penalty: float = slot(
        1.0,
        "Penalty for no end",
        "What is subtracted from the reward of a reply that is cut off before it ends.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("end_penalty")),
    )
    n_epochs: int = slot(
        2,
        "Passes over replies",
        "How often PPO learns from the replies of a step.",
        group=_GROUP,
        range=(1, 100),
        only_if=("stage", stages_with("n_epochs")),
        omit_default=True,
    )
    n_minibatches: int = slot(
        2,
        "Minibatches",
        "Into how many parts the replies of a step are divided, with one update for each in every pass.",
        group=_GROUP,
        range=(1, 1024),
        only_if=("stage", stages_with("n_minibatches")),
        omit_default=True,
    )
    critic_lr: float = slot(
        1e-3,
        "Critic learning rate",
        "The learning rate of the critic, a model of its own that learns how much a reply will earn.",
        group=_GROUP,
        range=(1e-9, 10.0),
        only_if=("stage", stages_with("critic_lr")),
        omit_default=True,
    )
    lam: float = slot(
        0.95,
        "GAE λ",
        "How far a reward is credited to earlier tokens: 1 = fully, 0 = as far as the critic foresees it.",
        group=_GROUP,
        range=(0.0, 1.0),
        only_if=("stage", stages_with("lam")),
        advanced=True,
        omit_default=True,
    )
    value_clip: float = slot(
        0.2,
        "Clip values",
        "How far the critic's value of a token may move in a step before moving further earns nothing.",
        group=_GROUP,
        range=(0.0, 1e6),
        only_if=("stage", stages_with("value_clip")),
        advanced=True,
        omit_default=True,
    )
    max_kl: float = slot(
        0.03,
        "KL that ends a step",
        "Passes end once the policy is this far (nats per token) from the one that drew the replies. 0 = never.",
        group=_GROUP,
        range=(0.0, 1e6),
        only_if=("stage", stages_with("max_kl")),
        advanced=True,
        omit_default=True,
    )
    kl_in: str = slot(
        "reward",
        "KL counts in",
        "The reward, which is correct; or the loss, as in GRPO's paper (k3), which pulls in the other direction of KL.",
        group=_GROUP,
        choices=("reward", "loss"),
        only_if=("stage", stages_with("kl_in")),
        advanced=True,
    )
    aggregate: str = slot(
        "dr_grpo",
        "Mean over tokens",
        "dr_grpo: every token counts alike. grpo: every reply does, so tokens of long wrong replies count less. dapo: "
        "the mean over all tokens of the step.",
        group=_GROUP,
        choices=("dr_grpo", "dapo", "grpo"),
        only_if=("stage", stages_with("aggregate")),
        advanced=True,
    )
    scale: str = slot(
        "none",
        "Advantages divided by",
        "Nothing; the spread of the rewards of their prompt, as GRPO's paper has it; or that of the whole step.",
        group=_GROUP,
        choices=("none", "group", "batch"),
        only_if=("stage", stages_with("scale")),
        advanced=True,
    )
    clip_low: float = slot(
        0.2,
        "Clip below",
        "How far the probability of a token may fall in a step before more of it earns nothing.",
        group=_GROUP,
        range=(0.0, 1.0),
        only_if=("stage", stages_with("clip_low")),
        advanced=True,
    )
    clip_high: float = slot(
        0.28,
        "Clip above",
        "How far it may rise.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", stages_with("clip_high")),
        advanced=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.stage == "grpo" and self.n_replies < 2:
            raise ValueError("GRPO compares replies to one prompt with one another: set n_replies to 2 or more.")
        if self.second_reward_model and not self.reward_model:
            raise ValueError(
                "A second reward model is compared with the first one, and none is chosen: set reward_model, too."
            )
        if self.kind.needs_beta and self.beta == 0:
            raise ValueError(
                f"With a β of 0 {self.kind.words.title} learns nothing, since its loss is the same for all weights: "
                "set beta above 0, such as 0.1."
            )
        if self.stage == "ppo" and self.n_minibatches > self.n_prompts * self.n_replies:
            raise ValueError(
                f"{self.n_prompts * self.n_replies} replies per step cannot be divided into {self.n_minibatches} "
                "minibatches: lower n_minibatches, or draw more replies."
            )

    @property
    def kind(self) -> StageKind:
        """The properties of the stage."""
        return find_stage(self.stage)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the datasets that the stage can learn from, the usual one first."""
        return self.kind.tasks

    @property
    def task(self) -> str:
        """The usual task of the stage's datasets: pairs of replies, or prompts."""
        return self.tasks[0]

    @property
    def reward_models(self) -> dict[str, str]:
        """The chosen reward models, by setting of REWARD_MODELS."""
        return {setting: model for setting in REWARD_MODELS if (model := getattr(self, setting))}

    def with_reward_models(self, found: Mapping[str, str]) -> AlignSpec:
        """Return a copy with other reward models, given by setting."""
        changes: dict[str, Any] = dict(found)
        return replace(self, **changes)


check_complete(
    {option for kind in STAGE_KINDS.values() for option in kind.options},
    {f.name for f in fields(AlignSpec)} - {"stage"},
    "options of the stages",
)


def usual_align(stage: str) -> dict[str, Any]:
    """Return the recommended AlignSpec settings of a stage that differ from the defaults."""
    return {"stage": stage, **find_stage(stage).usual}


def usual_align_train(stage: str) -> dict[str, Any]:
    """Return the recommended TrainConfig settings of a stage that differ from those of fine-tuning."""
    return dict(find_stage(stage).usual_train)
