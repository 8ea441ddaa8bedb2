"""The plan of the charts of an alignment run: which figures share a chart, in which order, and which come first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from terrarium.app.run_views.rewards.figure_chart import Series

_HEADLINES = ("reward", "objective/scores", "rewards/margins", "accuracy")
"""Figures of the objective, by stage: a run's first tall chart shows the first of these that it has."""
_BESIDE = {"accuracy": "confidence"}
"""Figures drawn in the chart of another: a reward model is calibrated if its confidence equals its accuracy."""
KL = ("kl", "objective/kl")
"""Figures of the distance from the parent, by stage: a tall chart shows the first of these that a run has."""
_SECONDS = (
    Series(name="seconds/rollout", role="info"),
    Series(name="seconds/score", role="accent"),
    Series(name="seconds/update", role="validation"),
)
_SMALL = (
    ("frac_reward_zero_std",),
    ("entropy",),
    ("completions/mean_length",),
    ("completions/clipped_ratio",),
    ("pass@1", "pass@8"),
    ("completions/distinct",),
    ("rollouts_per_s",),
    ("reward_std",),
    ("reward_disagreement",),
    ("rewards/chosen", "rewards/rejected"),
    ("rewards/accuracies",),
    ("logps/chosen_change", "logps/rejected_change"),
    ("logps/chosen", "logps/rejected"),
    ("margin",),
    ("spearman_length",),
    ("max_reward", "mean_reward", "min_reward"),
    ("objective/scores", "objective/rlhf_reward"),
    ("objective/non_score_reward",),
    ("policy/approxkl_avg",),
    ("policy/clipfrac_avg",),
    ("val/ratio",),
    ("val/explained_variance",),
    ("loss/value_avg",),
    ("loss/policy_avg",),
)
"""Figures of each small chart, in the order of the charts; charts of all other figures follow."""
_UNDRAWN = frozenset({"sampling/logp_difference", "held_out/pairs", "held_out/replies"})
"""Figures that are not drawn: they are constant, or nearly zero."""
_ROLES = ("info", "accent", "validation")
"""Colours of the figures in one small chart."""
_LENGTH, _N_FEW = "completions/mean_length", 4
"""The figure beside the objective, gold reward and KL, and the number of charts, if the others are folded away."""


@dataclass(frozen=True)
class ChartPlan:
    """A chart to create: see FigureChart."""

    series: tuple[Series, ...]
    stacked: bool = False


def plan_charts(figures: Collection[str]) -> tuple[list[ChartPlan], list[ChartPlan]]:
    """Plan the tall and the small charts of a run with these figures."""
    names = set(figures)
    head = next((name for name in _HEADLINES if name in names), "")
    tall: list[ChartPlan] = []
    if head:
        beside = [Series(name=name, role="validation") for name in (_BESIDE.get(head, ""),) if name in names]
        tall = [ChartPlan((Series(name=head, role="accent"), *beside))]
        tall += [ChartPlan((Series(name="gold", role="validation"),))] if "gold" in names else []
    tall += [ChartPlan((Series(name=name),)) for name in [n for n in KL if n in names][:1]]
    seconds = tuple(series for series in _SECONDS if series.name in names)
    names -= {each.name for plan in tall for each in plan.series} | {each.name for each in seconds} | _UNDRAWN
    small: list[ChartPlan] = []
    for group in (*_SMALL, *((name,) for name in sorted(names - {n for g in _SMALL for n in g}))):
        known = [name for name in group if name in names]
        series = [
            Series(name=name, role=role, title=name if name.startswith("pass@") else "")
            for name, role in zip(known, _ROLES, strict=False)
        ]
        small += [ChartPlan(tuple(series))] if series else []
    small += [ChartPlan(seconds, stacked=True)] if seconds else []
    return tall, small


def first_charts(tall: list[ChartPlan], small: list[ChartPlan]) -> tuple[list[ChartPlan], int]:
    """Return the (at most) four most important charts, and the number of the others."""
    by_length = sorted(small, key=lambda plan: plan.series[0].name != _LENGTH)  # the reply length first, if known
    few = [*tall, *by_length][:_N_FEW]
    if few and few[-1].series[0].name == _LENGTH:  # upper row: rewards; lower row: length and KL
        few = [*few[:-2], few[-1], few[-2]]
    return few, len(tall) + len(small) - len(few)
