"""The settings of an alignment: what a fine-tuned run learns from instead of texts to imitate. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

from models.settings.slots import check_settings, slot

STAGES = ("grpo",)
_GROUP = "Alignment"


@dataclass(frozen=True, kw_only=True)
class AlignSpec:
    """What a step of an alignment does. Defaults suit a model of some 500,000 parameters."""

    stage: str = slot(
        "grpo",
        "Stage",
        "GRPO draws several replies to each prompt, and makes those likelier that earn more than the others.",
        group=_GROUP,
        choices=STAGES,
    )
    beta: float = slot(
        0.0,
        "KL weight β",
        "How much each nat of distance from the parent costs, in units of the reward.",
        group=_GROUP,
        range=(0.0, 100.0),
    )
    n_prompts: int = slot(
        8, "Prompts a step", "How many prompts are answered in each step.", group=_GROUP, range=(1, 4096)
    )
    n_replies: int = slot(
        8,
        "Replies a prompt",
        "How many replies are drawn to each prompt, to be compared with one another: 2 at least.",
        group=_GROUP,
        range=(1, 1024),
    )
    max_tokens: int = slot(
        80, "Longest reply", "Replies are cut after so many tokens.", group=_GROUP, range=(1, 100_000)
    )
    end_penalty: float = slot(
        1.0,
        "Penalty for no end",
        "What is taken off the reward of a reply that is cut before it ended by itself.",
        group=_GROUP,
        range=(0.0, 100.0),
    )
    kl_in: str = slot(
        "reward",
        "KL counts in",
        "The reward, as is right; or the loss, as GRPO's paper has it (k3), which pulls in the other direction of KL.",
        group=_GROUP,
        choices=("reward", "loss"),
        advanced=True,
    )
    aggregate: str = slot(
        "dr_grpo",
        "Mean over tokens",
        "dr_grpo: every token counts alike. grpo: every reply does, so tokens of long wrong replies count less. dapo: "
        "the mean over all tokens of the step.",
        group=_GROUP,
        choices=("dr_grpo", "dapo", "grpo"),
        advanced=True,
    )
    scale: str = slot(
        "none",
        "Advantages divided by",
        "Nothing; the spread of the rewards of their prompt, as GRPO's paper has it; or that of the whole step.",
        group=_GROUP,
        choices=("none", "group", "batch"),
        advanced=True,
    )
    clip_low: float = slot(
        0.2,
        "Clip below",
        "How far the probability of a token may fall in a step before more of it earns nothing.",
        group=_GROUP,
        range=(0.0, 1.0),
        advanced=True,
    )
    clip_high: float = slot(
        0.28,
        "Clip above",
        "How far it may rise.",
        group=_GROUP,
        range=(0.0, 100.0),
        advanced=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.n_replies < 2:
            raise ValueError("GRPO compares replies to one prompt with one another: set n_replies to 2 or more.")
