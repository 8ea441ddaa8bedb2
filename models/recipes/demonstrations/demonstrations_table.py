"""The table of alignment demonstrations: what each shows, and its stages. No torch import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

N_EACH = 300
"""Questions of each kind that a stage is asked: the standard error of a share of 95 % is 1.3 points."""
BASE_STAGE = "base"
"""The stage of the given model, in every demonstration."""

STARTS: Mapping[str, str] = MappingProxyType(
    {"helpful": BASE_STAGE, "refuses": "helpful", "refuses_all": "helpful", "eroded": "refuses"}
)
"""For “knows what to refuse”: the stage that each one starts from. In “by its own rules” each starts from the
previous one; all stages of the others start from the base.
"""


@dataclass(frozen=True, kw_only=True)
class AlignRecipe:
    """A demonstration.

    title, summary, help: what it shows, in a few words, in half a line, and in two sentences. goal: its goal, in
    sentences. stages: the title of each stage, in order; for those in `trained` it is the name of a run. minutes:
    measured on two idle cores. asks_own: whether pairs that the user has judged come first. asks_rules: whether its
    rules can be changed by the user.
    """

    name: str
    title: str
    summary: str
    help: str
    goal: str
    stages: Mapping[str, str]
    trained: tuple[str, ...]
    minutes: float
    asks_own: bool = False
    asks_rules: bool = False


DEMONSTRATIONS: Mapping[str, AlignRecipe] = MappingProxyType(
    {
        each.name: each
        for each in (
            AlignRecipe(
                name="format",
                title="Say it twice",
                summary="“Say it twice.”: a form of replies, learned from 1,000 examples, with and without old rows",
                help="The model learns to say its answer twice when it is asked to. Trained twice: mixed with old "
                "examples it learns only this; without them it starts to say everything twice.",
                goal="Of the answers, at least 85 % are said twice and are right. Of what it knew before, it loses at "
                "most 5 points.",
                stages={BASE_STAGE: "Base", "format": "Says it twice", "no_old_rows": "Says everything twice"},
                trained=("format", "no_old_rows"),
                minutes=2.5,
            ),
            AlignRecipe(
                name="taught",
                title="Taught by hand",
                summary="“I like stories that end happily and are short”: pairs, reward model, PPO, DPO; GRPO with the "
                "judge",
                help="Somebody chooses between pairs of stories, you or a program: happy and short ones are better. "
                "From these choices the model learns with PPO and DPO, and from the rule itself with GRPO.",
                goal="After PPO at least 70 % of the stories are happy and short; after DPO 45 %. After GRPO 80 % are "
                "right and happy. What it knew before stays.",
                stages={
                    BASE_STAGE: "Base",
                    "rm_few": "Reward model, few pairs",
                    "rm": "Reward model",
                    "ppo": "PPO",
                    "dpo": "DPO",
                    "grpo": "GRPO",
                },
                trained=("rm_few", "rm", "ppo", "dpo", "grpo"),
                minutes=4.5,
                asks_own=True,
            ),
            AlignRecipe(
                name="goodhart",
                title="Goodhart on a laptop",
                summary="annotators secretly like long stories: best of n and PPO, past the peak of what was meant",
                help="The judges say that they want happy, short stories, but secretly like long ones. Their score "
                "only rises; good stories first become more, then fewer: the time to stop is at the peak.",
                goal="The score keeps rising while the share of good stories first rises, then falls, each by at least "
                "15 points.",
                stages={
                    BASE_STAGE: "Base",
                    "best_of": "Best of n",
                    "rm": "Reward model that likes length",
                    "ppo": "PPO past its peak",
                    "stopped": "PPO, stopped at its peak",
                },
                trained=("rm", "ppo"),
                minutes=3,
            ),
            AlignRecipe(
                name="refuse",
                title="Knows what to refuse",
                summary="a helpful model learns a rule, with and without harmless look-alikes",
                help="A helpful model learns to keep secrets and to say nothing mean. Without harmless look-alikes "
                "among its lessons it refuses too much, and 20 innocent steps wear the rule away.",
                goal="It tells at most 12 % of what it must not tell, and refuses at most 6 % of harmless look-alikes; "
                "trained without these, at least 40 %.",
                stages={
                    BASE_STAGE: "Base",
                    "helpful": "Helpful",
                    "refuses": "Knows what to refuse",
                    "refuses_all": "Refuses too much",
                    "eroded": "After 20 innocent steps",
                },
                trained=("helpful", "refuses", "refuses_all", "eroded"),
                minutes=2,
            ),
            AlignRecipe(
                name="constitution",
                title="By its own rules",
                summary="a helpful model criticises and revises its own replies, and learns from that",
                help="The model learns to say whether a reply breaks one of your rules, and to rewrite it. Then it "
                "judges and revises its own replies and learns from that, without anybody else's judgement.",
                goal="It tells at most 15 % of what is forbidden and refuses at most 10 % of harmless questions, and "
                "its replies stay as varied and as whole as before.",
                stages={
                    "helpful": "Helpful",
                    "critic": "Taught to criticise and revise",
                    "revised": "Revised by itself",
                    "preferred": "Prefers what it revised",
                    "revised2": "Revised by itself, round 2",
                    "preferred2": "Prefers what it revised, round 2",
                },
                trained=("helpful", "critic", "revised", "preferred", "revised2", "preferred2"),
                minutes=2,
                asks_rules=True,
            ),
        )
    }
)
