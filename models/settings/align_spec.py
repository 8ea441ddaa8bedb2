"""The settings of an alignment: what a fine-tuned run learns from instead of texts to imitate. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from models.settings.slots import check_settings, slot

STAGES = ("reward", "dpo", "ppo", "grpo")
ROLLOUT_STAGES = ("ppo", "grpo")
"""Stages that learn from replies which the model draws itself."""
PAIR_STAGES = ("reward", "dpo")
"""Stages that learn from pairs of replies, of which one is better."""
_GROUP = "Alignment"
_RL = ("stage", ROLLOUT_STAGES)


@dataclass(frozen=True, kw_only=True)
class AlignSpec:
    """What a step of an alignment does. Defaults suit a model of some 500,000 parameters."""

    stage: str = slot(
        "grpo",
        "Stage",
        "A reward model learns which of two replies is better. DPO learns the same pairs directly. PPO and GRPO draw "
        "replies and reinforce the better ones: PPO with a critic, GRPO by comparing replies to one prompt.",
        group=_GROUP,
        choices=STAGES,
    )
    beta: float = slot(
        0.0,
        "KL weight β",
        "How much each nat of distance from the parent costs, in units of the reward. In DPO: how fast a preference "
        "pulls away from it; 0.1 is usual.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", ("dpo", "ppo", "grpo")),
    )
    label_noise: float = slot(
        0.0,
        "Label noise",
        "The share of pairs that is thought to be labelled the wrong way round (cDPO).",
        group=_GROUP,
        range=(0.0, 0.5),
        only_if=("stage", "dpo"),
    )
    nll_weight: float = slot(
        0.0,
        "Imitate the better",
        "How much the loss of writing the better reply counts beside DPO's, in nats per token.",
        group=_GROUP,
        range=(0.0, 10.0),
        only_if=("stage", "dpo"),
    )
    centre: float = slot(
        0.01,
        "Centring",
        "Keeps the rewards of pairs around 0: weight of their squared sum.",
        group=_GROUP,
        range=(0.0, 10.0),
        only_if=("stage", "reward"),
    )
    reward_model: str = slot(
        "",
        "Reward model",
        "The run whose rewards are learned from. Empty = the judge of the prompts' own wish.",
        group=_GROUP,
        only_if=_RL,
    )
    n_prompts: int = slot(
        8, "Prompts a step", "How many prompts are answered in each step.", group=_GROUP, range=(1, 4096), only_if=_RL
    )
    n_replies: int = slot(
        8,
        "Replies a prompt",
        "How many replies are drawn to each prompt. GRPO compares them with one another, so it needs 2 at least.",
        group=_GROUP,
        range=(1, 1024),
        only_if=_RL,
    )
    max_tokens: int = slot(
        80, "Longest reply", "Replies are cut after so many tokens.", group=_GROUP, range=(1, 100_000), only_if=_RL
    )
    end_penalty: float = slot(
        1.0,
        "Penalty for no end",
        "What is taken off the reward of a reply that is cut before it ended by itself.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=_RL,
    )
    kl_in: str = slot(
        "reward",
        "KL counts in",
        "The reward, as is right; or the loss, as GRPO's paper has it (k3), which pulls in the other direction of KL.",
        group=_GROUP,
        choices=("reward", "loss"),
        only_if=("stage", "grpo"),
        advanced=True,
    )
    aggregate: str = slot(
        "dr_grpo",
        "Mean over tokens",
        "dr_grpo: every token counts alike. grpo: every reply does, so tokens of long wrong replies count less. dapo: "
        "the mean over all tokens of the step.",
        group=_GROUP,
        choices=("dr_grpo", "dapo", "grpo"),
        only_if=("stage", "grpo"),
        advanced=True,
    )
    scale: str = slot(
        "none",
        "Advantages divided by",
        "Nothing; the spread of the rewards of their prompt, as GRPO's paper has it; or that of the whole step.",
        group=_GROUP,
        choices=("none", "group", "batch"),
        only_if=("stage", "grpo"),
        advanced=True,
    )
    clip_low: float = slot(
        0.2,
        "Clip below",
        "How far the probability of a token may fall in a step before more of it earns nothing.",
        group=_GROUP,
        range=(0.0, 1.0),
        only_if=_RL,
        advanced=True,
    )
    clip_high: float = slot(
        0.28,
        "Clip above",
        "How far it may rise.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=_RL,
        advanced=True,
    )
    n_epochs: int = slot(
        2,
        "Passes over replies",
        "How often PPO learns from the replies of a step.",
        group=_GROUP,
        range=(1, 64),
        only_if=("stage", "ppo"),
    )
    n_minibatches: int = slot(
        2,
        "Parts of a pass",
        "In how many parts a pass is learned, each an update of the weights.",
        group=_GROUP,
        range=(1, 64),
        only_if=("stage", "ppo"),
    )
    max_kl_step: float = slot(
        0.03,
        "Largest step",
        "PPO ends the passes of a step where a token's distribution has moved further than this, in nats.",
        group=_GROUP,
        range=(0.0, 100.0),
        only_if=("stage", "ppo"),
        advanced=True,
    )
    gae_lambda: float = slot(
        0.95,
        "GAE lambda",
        "How far ahead an advantage looks before it trusts the critic: 1 = to the end of the reply.",
        group=_GROUP,
        range=(0.0, 1.0),
        only_if=("stage", "ppo"),
        advanced=True,
    )
    critic_lr: float = slot(
        3e-4,
        "Critic's rate",
        "The learning rate of PPO's critic.",
        group=_GROUP,
        range=(1e-9, 10.0),
        only_if=("stage", "ppo"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.stage == "grpo" and self.n_replies < 2:
            raise ValueError("GRPO compares replies to one prompt with one another: set n_replies to 2 or more.")
        if self.stage == "dpo" and not self.beta:
            raise ValueError("With β at 0 DPO learns nothing: set beta above 0; 0.1 is usual.")
