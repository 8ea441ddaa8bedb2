"""What the figures of an alignment mean, what is healthy, and when one should look: by TRL's names. No torch import.

Ranges are those of models of some 500,000 parameters on Tiny World; those of large models are often the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """says: what has happened, and what it means. has_gone_off: whether it has, by the values so far (n,), n > 0."""

    says: str
    has_gone_off: Callable[[Floats], bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of alignment.jsonl.

    help: its definition. healthy: what it usually does, in words. low, high: the ends of its healthy range, None for
    none. unit: "share" (drawn in percent), or what is written behind its name.
    """

    title: str
    help: str
    healthy: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    alarm: Alarm | None = None


def stays_above(limit: float, n_steps: int = 1) -> Callable[[Floats], bool]:
    """Whether the last values are all above."""
    return lambda values: len(values) >= n_steps and bool((values[-n_steps:] > limit).all())


def stays_below(limit: float, n_steps: int = 1) -> Callable[[Floats], bool]:
    """Whether the last values are all below."""
    return lambda values: len(values) >= n_steps and bool((values[-n_steps:] < limit).all())


def leaves_start(low: float, high: float) -> Callable[[Floats], bool]:
    """Whether the mean of the last steps is less than `low` times that of the first ones, or more than `high` times."""

    def leaves(values: Floats) -> bool:
        first, last = float(values[:_SOME].mean()), float(values[-_SOME:].mean())
        return len(values) >= 2 * _SOME and first > 0 and not low <= last / first <= high

    return leaves


def falls_from_peak(by: float) -> Callable[[Floats], bool]:
    """Whether the mean of the last steps is lower than the highest such mean by more than that."""

    def falls(values: Floats) -> bool:
        if len(values) < 2 * _SOME:
            return False
        means = np.convolve(values, np.full(_SOME, 1 / _SOME), mode="valid")
        return bool(means.max() - means[-1] > by)

    return falls


_SOME = 5
"""Steps of which a mean is taken, since single ones are noisy."""

_CLIPPED = Alarm(says="Many replies are cut before they end: raise the longest reply.", has_gone_off=stays_above(0.3))
_NO_SIGNAL = Alarm(
    says="For 20 steps hardly any prompt had a better and a worse reply, so nothing is learned: the task is too hard "
    "(teach it first, from texts) or already learned.",
    has_gone_off=stays_above(0.9, 20),
)
_COLLAPSE = Alarm(
    says="The model is far surer than at the start: soon all replies to a prompt are alike, and nothing is left to "
    "compare.",
    has_gone_off=leaves_start(0.2, 5.0),
)

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "reward": Figure(
            title="Reward",
            help="The mean of what replies earned. It is what is optimized: a stand-in for what is meant.",
            healthy="Rises, then levels off. The loss says nothing here: with one update for each set of replies it is "
            "about 0 by construction.",
        ),
        "gold": Figure(
            title="What was meant",
            help="The share of replies that are what was meant, by a judge that is stricter than the reward and takes "
            "no part in learning.",
            healthy="Rises with the reward.",
            unit="share",
            alarm=Alarm(
                says="It falls from its peak: the reward is being gamed. Fork the run at the peak.",
                has_gone_off=falls_from_peak(0.15),
            ),
        ),
        "pass@1": Figure(
            title="Right at once",
            help="The share of replies that are right (pass@1).",
            healthy="Rises.",
            unit="share",
        ),
        "reward_std": Figure(
            title="Spread of rewards",
            help="The standard deviation of the rewards of a prompt's replies, averaged over prompts.",
            healthy="Above 0: without differences, nothing is learned.",
        ),
        "frac_reward_zero_std": Figure(
            title="No signal",
            help="The share of prompts whose replies all earned the same. They teach nothing.",
            healthy="10 to 60 %.",
            low=0.1,
            high=0.6,
            unit="share",
            alarm=_NO_SIGNAL,
        ),
        "kl": Figure(
            title="KL to the parent",
            help="How far the model has moved from the one that it started from: KL(model ‖ parent) over the whole "
            "vocabulary, summed over a reply and averaged, so it is exact and never negative.",
            healthy="Rises to about the price of the wish and flattens. A goal that a share p of the parent's replies "
            "meet costs at least ln 1/p: 2.7 nats for 7 %.",
            unit="nats/reply",
            alarm=Alarm(
                says="Far more than such a wish costs: the replies may have left the language that the parent knew. "
                "Raise β, or lower the learning rate.",
                has_gone_off=stays_above(12.0, 3),
            ),
        ),
        "entropy": Figure(
            title="Entropy",
            help="How undecided the model is about each token of its replies, averaged.",
            healthy="Falls slowly, to some 60 % of what it was.",
            unit="nats/token",
            alarm=_COLLAPSE,
        ),
        "completions/mean_length": Figure(
            title="Length of replies",
            help="The mean number of tokens, with the end token.",
            healthy="Stays about the same, unless lengths are rewarded.",
            unit="tokens",
            alarm=Alarm(
                says="Replies have become twice as long, or half: is it their length that earns the reward?",
                has_gone_off=leaves_start(0.5, 2.0),
            ),
        ),
        "completions/clipped_ratio": Figure(
            title="Cut replies",
            help="The share of replies that reached the longest length before they ended by themselves.",
            healthy="Below 5 %.",
            low=0.0,
            high=0.05,
            unit="share",
            alarm=_CLIPPED,
        ),
        "completions/distinct": Figure(
            title="Distinct",
            help="The share of replies of a step that are different from all others.",
            healthy="Above 50 %.",
            low=0.5,
            high=1.0,
            unit="share",
            alarm=Alarm(
                says="The replies to a prompt are nearly all the same: nothing is left to compare.",
                has_gone_off=stays_below(0.25, 3),
            ),
        ),
        "kl_coef": Figure(
            title="KL weight β",
            help="How much each nat of distance from the parent costs, in units of the reward.",
        ),
        "rollouts_per_s": Figure(title="Replies", help="How many replies are drawn each second.", unit="per s"),
        "seconds/rollout": Figure(title="Drawing", help="The seconds that a step spends drawing replies.", unit="s"),
        "seconds/score": Figure(title="Rewarding", help="The seconds that a step spends on rewards.", unit="s"),
        "seconds/update": Figure(
            title="Learning",
            help="The seconds that a step spends reading the replies with both models, and on the update.",
            unit="s",
        ),
        "sampling/logp_difference": Figure(
            title="Drawn and read",
            help="The largest difference between a token's log-probability as it was drawn and as it is read for the "
            "update: what is learned from must be what the model did.",
            healthy="Below 0.001 in float32.",
            unit="nats",
            alarm=Alarm(says="What is learned from is not what was drawn.", has_gone_off=stays_above(0.05)),
        ),
        "accuracy": Figure(
            title="Right order",
            help="The share of held-out pairs in which the better reply has the higher reward.",
            healthy="75 to 95 % here. People agree with each other on 60 to 75 %.",
            low=0.75,
            high=0.95,
            unit="share",
            alarm=Alarm(says="Hardly better than guessing: more, or cleaner, pairs.", has_gone_off=stays_below(0.55)),
        ),
        "accuracy/clear": Figure(
            title="Right order, clear pairs",
            help="The share of those held-out pairs in the right order of which one reply is as wished, and the other "
            "is not; the others differ in less, such as their length, and are harder. Known where pairs name a wish.",
            healthy="Above the accuracy of all pairs.",
            unit="share",
        ),
        "rewards/accuracies": Figure(
            title="Right order",
            help="The share of pairs of which the model has made the better reply likelier than the worse one, beyond "
            "what its parent did. Of replies that were rated alone: the share of good ones that became likelier and of "
            "bad ones that became less likely.",
            healthy="60 to 90 %.",
            low=0.6,
            high=0.9,
            unit="share",
        ),
        "rewards/margins": Figure(
            title="Margin",
            help="By how much more the better reply has become likelier than the worse one, times β.",
            healthy="0 at the first step, then rises.",
            unit="nats × β",
        ),
        "objective/kl": Figure(
            title="KL to the parent",
            help="The log-probability of replies beyond that by the parent, summed over a reply and averaged.",
            healthy="Rises to about the price of the wish and flattens.",
            unit="nats/reply",
        ),
        "policy/approxkl_avg": Figure(
            title="KL of an update",
            help="How far the updates of one set of replies move the model.",
            healthy="0.003 to 0.03.",
            low=0.003,
            high=0.03,
            unit="nats/token",
            alarm=Alarm(says="Steps are too large: lower the learning rate.", has_gone_off=stays_above(0.1)),
        ),
        "policy/clipfrac_avg": Figure(
            title="Clipped tokens",
            help="The share of tokens whose ratio left the clip range.",
            healthy="2 to 20 %.",
            low=0.02,
            high=0.2,
            unit="share",
            alarm=Alarm(says="Steps are too large: lower the learning rate.", has_gone_off=stays_above(0.4)),
        ),
        "val/ratio": Figure(
            title="Ratio",
            help="The mean ratio of a token's new and old probability.",
            healthy="0.95 to 1.05.",
            low=0.95,
            high=1.05,
        ),
        "val/explained_variance": Figure(
            title="Explained variance",
            help="The share of the returns' variance that the critic foresees.",
            healthy="Rises above 0.",
            unit="share",
        ),
    }
)


def figure_of(name: str) -> Figure:
    """The figure by that name; one that is not known explains itself by its name."""
    if name in FIGURES:
        return FIGURES[name]
    if name.startswith("pass@"):
        return Figure(
            title=f"Right in {name[5:]}",
            help=f"The share of prompts to which at least one of {name[5:]} replies is right ({name}).",
            healthy="Learning from rewards sharpens what the model can do already: this need not rise.",
            unit="share",
        )
    return Figure(title=name, help=f"As TRL calls it: {name}.")


def about(name: str) -> str:
    """Definition, healthy range and alarm of a figure, in lines."""
    figure = figure_of(name)
    lines = [figure.help, *([f"Healthy: {figure.healthy}"] if figure.healthy else [])]
    if figure.alarm is not None:
        lines.append(f"Alarm: {figure.alarm.says}")
    if name != figure.title:
        lines.append(f"In TRL and in alignment.jsonl: {name}")
    return "\n".join(lines)


def alarm_of(name: str, values: Sequence[float] | Floats) -> str:
    """What is wrong by the values of a figure so far, '' where nothing is."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    alarm = figure_of(name).alarm
    return alarm.says if alarm is not None and len(known) and alarm.has_gone_off(known) else ""


def price(share: float) -> float:
    """The least KL (nats) of a model all of whose replies meet what a share of its parent's meet; NaN for none."""
    return math.log(1 / share) if 0 < share <= 1 else math.nan
