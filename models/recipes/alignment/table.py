"""The demonstrations of alignment, each with what it shows and the stages that it goes through. No torch import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BASE_STAGE = "base"
"""The stage of the model that is given, in every demonstration."""

STARTS: Mapping[str, str] = MappingProxyType(
    {"helpful": BASE_STAGE, "refuses": "helpful", "refuses_all": "helpful", "eroded": "refuses"}
)
"""Of “knows what to refuse”: the stage whose model each starts from. In “by its own rules” each starts from the one
before; all stages of the others start from the base."""


@dataclass(frozen=True, kw_only=True)
class AlignRecipe:
    """A demonstration.

    title, summary, help: what it shows, in a few words, in half a line, and in sentences. reaches: what it is to reach,
    for screens. stages: title of each stage, in their order; of those in `trained` it is the name of a run. minutes: on
    two cores that do nothing else, as measured. asks_own: whether pairs that the user has judged come first;
    asks_rules: whether it goes by rules that the user may change.
    """

    name: str
    title: str
    summary: str
    help: str
    reaches: str
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
                help="“Where is Anna? Say it twice.”: a form of replies, learned from 1,000 examples. Once with as "
                "many old rows of each kind beside them and once without, after which it says everything twice.",
                reaches="85 % said twice, and right; old kinds lose at most 5 points",
                stages={BASE_STAGE: "Base", "format": "Says it twice", "no_old_rows": "Says everything twice"},
                trained=("format", "no_old_rows"),
                minutes=1,
            ),
            AlignRecipe(
                name="taught",
                title="Taught by hand",
                summary="“I like stories that end happily and are short”: pairs, reward model, PPO, DPO; GRPO with the "
                "judge",
                help="“I like stories that end happily and are short”, said by choosing between pairs of stories. From "
                "the same pairs come a reward model, PPO with it, and DPO; beside them GRPO with the judge itself.",
                reaches="70 % of stories as wished with PPO, 45 % with DPO; with GRPO 80 % right and happy; old "
                "knowledge stays",
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
                help="The annotators say that they want happy, short stories, and secretly like long ones. The best of "
                "n replies by their score, and PPO with a reward model that they have taught: the score only rises, "
                "and what was meant rises and falls. The lesson is to stop at the peak.",
                reaches="stories as wished rise by 15 points and fall by 15 again, while the score gains 1.5 σ",
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
                help="A helpful model learns a rule: tell nobody's secret word or hiding place, and say nothing mean. "
                "Once with harmless look-alikes among what it learns from and once without, then 20 innocent steps "
                "that wear the rule away; attacks that it was never trained on, and replies that have begun already.",
                reaches="at most 12 % told and 6 % of look-alikes refused; without look-alikes at least 40 %",
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
                help="A helpful model is taught two tasks: to say whether a reply breaks a rule, and to write it anew. "
                "Then nobody says any more what breaks a rule: it criticises and revises its own replies by your "
                "rules, learns from what it kept and revised, and then to prefer that.",
                reaches="at most 15 % told and 10 % of harmless questions refused; replies do not collapse",
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
