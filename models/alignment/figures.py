"""The meaning, healthy range and alerts of alignment figures, by TRL's names. No torch import.

Ranges are those of models with some 500,000 parameters on Tiny World; those of large models are often the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from terrarium.models.alignment.alerts import (
    CHOSEN_FALLS,
    CLIPPED,
    COLLAPSE,
    FAR,
    N_AVERAGED,
    NO_END,
    NO_SIGNAL,
    SAME_REWARDS,
    TOO_LARGE,
    Alert,
    Figure,
    Floats,
    ends_outside,
    falls_from_peak,
    leaves_start,
    stays_above,
    stays_below,
)

_OVERFITS = (
    "The pairs that it learns from are in the right order much more often than those of the validation: more pairs, or "
    "fewer passes."
)

_FREE_REWARD = "Without a reference (SimPO, ORPO): its log-probability per token, times β."
FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "reward": Figure(
            title="Reward",
            help="The mean of what replies earned. It is what is optimized: a stand-in for what is meant.",
            plain="What it is trained for: what the judge gives its replies.",
            healthy="Rises, then levels off. The loss says nothing here: with one update for each set of replies it is "
            "about 0 by construction.",
        ),
        "gold": Figure(
            title="What was meant",
            help="The share of replies that are what was meant, by a judge that is stricter than the reward and takes "
            "no part in learning.",
            plain="Replies that are really as wished, by a stricter judge that does not train it.",
            healthy="Rises with the reward.",
            unit="share",
            alert=Alert(
                message="It falls from its peak: the reward is being gamed. Stop the run at the peak (Against KL).",
                is_triggered=falls_from_peak(0.15),
            ),
        ),
        "pass@1": Figure(
            title="Right at once",
            help="The share of replies that are right (pass@1).",
            healthy="Rises. It begins at what the parent can do: from 0 nothing can be learned.",
            unit="share",
            alert=Alert(
                message="No reply has been right for 20 steps, and what never happens cannot be rewarded: "
                "teach it first.",
                is_triggered=stays_below(1e-9, 20),
            ),
        ),
        "reward_std": Figure(
            title="Spread of rewards",
            help="The standard deviation of the rewards of a prompt's replies, averaged over prompts.",
            healthy="Above 0: without differences, nothing is learned. It falls as all replies become good.",
            alert=SAME_REWARDS,
        ),
        "reward_disagreement": Figure(
            title="Disagreement",
            help="How far the scores of two reward models, which learned from different pairs, are apart on average, "
            "in standard deviations of the parent's replies.",
            healthy="Falls, or stays what it was. Annotators' common bias does not show: both models have learned it.",
            alert=Alert(
                message="Two reward models disagree about the replies much more than at the start: neither was taught "
                "what such replies are worth, so what is earned says little. Go back to where they agreed, let the "
                "lower score count, or judge more pairs of what the model writes now.",
                is_triggered=leaves_start(0.0, 1.5),
            ),
        ),
        "frac_reward_zero_std": Figure(
            title="No signal",
            help="The share of prompts whose replies all earned the same. They teach nothing.",
            healthy="10 to 60 %.",
            low=0.1,
            high=0.6,
            unit="share",
            alert=NO_SIGNAL,
        ),
        "kl": Figure(
            title="KL to the parent",
            help="How far the model has moved from the one that it started from: KL(model ‖ parent) over the whole "
            "vocabulary, summed over a reply and averaged, so it is exact and never negative.",
            plain="How far it has moved from the model that it started from.",
            healthy="Rises to about the dashed line and flattens. A goal that a share p of the parent's replies meet "
            "costs at least ln 1/p nats: 2.7 for 7 %.",
            unit="nats/reply",
            alert=FAR,
        ),
        "entropy": Figure(
            title="Entropy",
            help="How undecided the model is about each token of its replies, averaged.",
            healthy="Falls slowly, to some 60 % of what it was.",
            unit="nats/token",
            alert=COLLAPSE,
        ),
        "completions/mean_length": Figure(
            title="Length of replies",
            help="The mean number of tokens, with the end token.",
            plain="How long its replies are.",
            healthy="Stays about the same, unless lengths are rewarded.",
            unit="tokens",
            alert=Alert(
                message="Replies have become twice as long, or half: is it their length that earns the reward?",
                is_triggered=leaves_start(0.5, 2.0),
            ),
        ),
        "reward_per_token": Figure(
            title="Reward of a token",
            help="How much more a reply earns for each token more than others to the same prompt have (regression).",
            healthy="Around 0, unless lengths are rewarded.",
        ),
        "completions/clipped_ratio": Figure(
            title="Cut replies",
            help="The share of replies that reached the longest length before they ended by themselves.",
            healthy="Below 5 %.",
            low=0.0,
            high=0.05,
            unit="share",
            alert=CLIPPED,
        ),
        "completions/distinct": Figure(
            title="Distinct",
            help="The share of replies of a step that are different from all others.",
            healthy="Above 50 %.",
            low=0.5,
            high=1.0,
            unit="share",
            alert=Alert(
                message="The replies to a prompt are nearly all the same: nothing is left to compare.",
                is_triggered=stays_below(0.25, 3),
            ),
        ),
        "kl_coef": Figure(
            title="KL weight β",
            help="How much each nat of distance from the parent costs, in units of the reward.",
            healthy="As it was set: a dashed line is where it was changed.",
        ),
        "rollouts_per_s": Figure(
            title="Replies",
            help="How many replies are drawn each second (rollouts).",
            healthy="Steady. Longer replies, and a chat or another run beside it, slow it down.",
            unit="per s",
        ),
        "seconds/rollout": Figure(
            title="Drawing",
            help="The seconds that a step spends drawing replies.",
            healthy="As long as the replies are: steady unless they grow.",
            unit="s",
        ),
        "seconds/score": Figure(
            title="Rewarding",
            help="The seconds that a step spends on rewards: nearly none by the judge of a wish.",
            healthy="Steady.",
            unit="s",
        ),
        "seconds/update": Figure(
            title="Learning",
            help="The seconds that a step spends reading the replies with both models, and on the update.",
            healthy="Steady.",
            unit="s",
        ),
        "sampling/logp_difference": Figure(
            title="Drawn and read",
            help="The largest difference between a token's log-probability as it was drawn and as it is read for the "
            "update: what is learned from must be what the model did.",
            healthy="Below 0.001 in float32.",
            unit="nats",
            alert=Alert(message="What is learned from is not what was drawn.", is_triggered=stays_above(0.05)),
        ),
        "accuracy": Figure(
            title="Right order",
            help="The share of validation pairs in which the better reply has the higher reward.",
            plain="Pairs that it has not seen, and whose better reply gets the higher score.",
            healthy="75 to 95 % here. People agree with each other on 60 to 75 %.",
            low=0.75,
            high=0.95,
            unit="share",
            alert=Alert(
                message="Hardly better than guessing: more, or cleaner, pairs.",
                is_triggered=ends_outside(0.55, 1.0, 20),
            ),
            max_gap=0.15,
        ),
        "accuracy/clear": Figure(
            title="Right order, clear pairs",
            help="The share of those validation pairs in the right order of which one reply is as wished, and the "
            "other is not; the others differ in less, such as their length, and are harder. Known where pairs name a "
            "wish.",
            healthy="Above the accuracy of all pairs.",
            unit="share",
        ),
        "rewards/accuracies": Figure(
            title="Right order",
            help="The share of pairs of which the model has made the better reply likelier than the worse one, beyond "
            "what its parent did; without a reference (SimPO, ORPO), in which it finds the better reply likelier per "
            "token. Of replies that were rated alone: the share of good ones that became likelier and of bad ones that "
            "became less likely.",
            healthy="60 to 90 %. At the first step none where there is a reference: both models are the same.",
            low=0.6,
            high=0.9,
            unit="share",
            alert=Alert(
                message="After 20 steps it still puts hardly more than half of the pairs in order: the pairs "
                "contradict each other, or β or the learning rate is too low.",
                is_triggered=ends_outside(0.55, 1.0, 20),
            ),
        ),
        "rewards/margins": Figure(
            title="Margin",
            help="By how much more the better reply has become likelier than the worse one, times β; without a "
            "reference (SimPO, ORPO), by how much likelier it is per token, times β.",
            plain="By how much it prefers the better reply of a pair.",
            healthy="Rises, from 0 where there is a reference.",
            unit="nats × β",
            alert=Alert(
                message="The worse replies are likelier than the better ones.",
                is_triggered=ends_outside(0.0, NO_END, 20),
            ),
        ),
        "rewards/chosen": Figure(
            title="Reward, better",
            help="By how much likelier the better reply has become than its parent has it, times β (rewards/chosen). "
            f"{_FREE_REWARD}",
            healthy="Rises a little, or falls less than that of the worse ones: only the margin is learned.",
            unit="nats × β",
        ),
        "rewards/rejected": Figure(
            title="worse",
            help="By how much likelier the worse reply has become than its parent has it, times β (rewards/rejected). "
            f"{_FREE_REWARD}",
            healthy="Falls.",
            unit="nats × β",
        ),
        "logps/chosen": Figure(
            title="Log-prob., better",
            help="The log-probability of the better replies, summed over their tokens and averaged over pairs.",
            healthy="About what it was at the first step, but for the noise of different pairs.",
            unit="nats/reply",
        ),
        "logps/rejected": Figure(
            title="worse",
            help="The log-probability of the worse replies, summed over their tokens and averaged over pairs.",
            healthy="Falls.",
            unit="nats/reply",
        ),
        "logps/chosen_change": Figure(
            title="Per token, better",
            help="How much likelier each token of the better replies has become since the start, in nats. TRL has only "
            "the sums (logps/chosen).",
            healthy="Above −0.3. That it falls a little is usual: the loss knows margins only.",
            unit="nats/token",
            alert=CHOSEN_FALLS,
        ),
        "logps/rejected_change": Figure(
            title="worse",
            help="How much likelier each token of the worse replies has become since the start, in nats. TRL has only "
            "the sums (logps/rejected).",
            healthy="Falls, faster than that of the better ones.",
            unit="nats/token",
        ),
        "kl_mismatched": Figure(
            title="KTO's reference point",
            help="KTO's estimate of the KL to the parent, on replies to other prompts (kl in TRL): what a reply has to "
            "beat to count as better than before.",
            healthy="0 or little above it.",
            unit="nats/reply",
        ),
        "loss": Figure(
            title="Validation loss",
            help="The loss on validation pairs.",
            healthy="Begins at ln 2 = 0.693 for a reward model and DPO, at 0.5 for KTO, and falls.",
        ),
        "margin": Figure(
            title="Margin",
            help="By how much the better reply of a pair scores higher.",
            healthy="Rises from 0.",
            unit="points",
            alert=Alert(message="It scores the worse replies higher.", is_triggered=ends_outside(0.0, NO_END, 20)),
        ),
        "confidence": Figure(
            title="Confidence",
            help="How sure the reward model is of its order, averaged over pairs: σ of the difference of the scores.",
            healthy="About as high as the share that it has in the right order: then it is calibrated. Where it is "
            "higher by 10 points, it is too sure.",
            low=0.5,
            high=1.0,
            unit="share",
        ),
        "mean_reward": Figure(
            title="mean", help="The mean score of the replies of both sides.", healthy="Near 0: it is centred."
        ),
        "min_reward": Figure(title="lowest", help="The lowest score of a reply.", healthy="Falls with the margin."),
        "max_reward": Figure(
            title="Highest score", help="The highest score of a reply.", healthy="Rises with the margin."
        ),
        "spearman_length": Figure(
            title="Score and length",
            help="The rank correlation (Spearman) of the scores of replies with their numbers of tokens.",
            healthy="−0.5 to 0.5, unless length is what people judge by.",
            unit="correlation",
            low=-0.5,
            high=0.5,
            alert=Alert(
                message="It scores by length: balance the lengths in the pairs, unless that is what was meant.",
                is_triggered=ends_outside(-0.6, 0.6, 1),
            ),
        ),
        "objective/kl": Figure(
            title="KL, estimated",
            help="The log-probability of replies beyond that by the parent, summed over a reply and averaged.",
            healthy="Rises to about the dashed line and flattens, as the exact one does.",
            unit="nats/reply",
            alert=FAR,
        ),
        "objective/entropy": Figure(
            title="Entropy of a reply",
            help="How undecided the model is, summed over a reply and averaged. TRL counts padding too.",
            healthy="Falls slowly, to some 60 % of what it was.",
            unit="nats/reply",
            alert=COLLAPSE,
        ),
        "objective/scores": Figure(
            title="Score",
            help="The mean score of replies, without what their distance costs.",
            plain="What it is trained for: what the reward model gives its replies.",
            healthy="Rises, then levels off.",
        ),
        "objective/rlhf_reward": Figure(
            title="Score less KL",
            help="What PPO maximizes: the score less β times the KL.",
            healthy="Rises.",
            alert=Alert(
                message="The distance now costs more than it earns: lower the learning rate.",
                is_triggered=falls_from_peak(1.0),
            ),
        ),
        "objective/non_score_reward": Figure(
            title="Cost of the KL",
            help="−β times the KL: what the distance from the parent takes off the reward.",
            healthy="Falls from 0, and stays small beside the reward. With β 0 it is 0.",
        ),
        "loss/policy_avg": Figure(
            title="Policy loss",
            help="The clipped loss of PPO, averaged over the tokens of all updates of a step.",
            healthy="About 0 at every step: advantages are centred, so it says nothing of progress.",
        ),
        "loss/value_avg": Figure(
            title="Critic's loss",
            help="Half the squared error of the critic's values, averaged over tokens.",
            healthy="Falls fast, then slowly.",
            alert=Alert(
                message="The critic does not learn: lower its learning rate.", is_triggered=leaves_start(0.0, 2.0)
            ),
        ),
        "val/clipfrac_avg": Figure(
            title="Clipped values",
            help="The share of tokens whose value left the critic's clip range.",
            healthy="Half at the first step, below 5 % soon.",
            low=0.0,
            high=0.05,
            unit="share",
            alert=Alert(
                message="The critic's steps are too large: lower its learning rate (align.critic_lr).",
                is_triggered=ends_outside(0.0, 0.4, 20),
            ),
        ),
        "val/n_updates": Figure(
            title="Updates",
            help="How many updates a step made: passes × minibatches, unless the KL of the step ended it.",
            healthy="All of them.",
            alert=Alert(
                message="Steps end at once, since the KL of an update is too large.", is_triggered=stays_below(1.0, 5)
            ),
        ),
        "val/num_eos_tokens": Figure(
            title="Replies that end",
            help="How many replies of a step ended by themselves.",
            healthy="All of them, or nearly.",
            alert=Alert(message="Fewer than half of them end now.", is_triggered=leaves_start(0.5, NO_END)),
        ),
        "policy/approxkl_avg": Figure(
            title="KL of an update",
            help="How far the updates of one set of replies move the model.",
            healthy="Below 0.03, where a step ends. Here it is mostly below 0.001; in large models 0.003 to 0.03.",
            low=0.0,
            high=0.03,
            unit="nats/token",
            alert=Alert(message=TOO_LARGE, is_triggered=stays_above(0.1)),
        ),
        "policy/clipfrac_avg": Figure(
            title="Clipped tokens",
            help="The share of tokens whose ratio left the clip range.",
            healthy="Below 20 %. Here it is mostly below 1 %; in large models 2 to 20 %.",
            low=0.0,
            high=0.2,
            unit="share",
            alert=Alert(message=TOO_LARGE, is_triggered=stays_above(0.4)),
        ),
        "val/ratio": Figure(
            title="Ratio",
            help="The mean ratio of a token's new and old probability.",
            healthy="0.95 to 1.05.",
            low=0.95,
            high=1.05,
            alert=Alert(message=TOO_LARGE, is_triggered=ends_outside(0.9, 1.1, 1)),
        ),
        "val/explained_variance": Figure(
            title="Explained variance",
            help="The share of the returns' variance that the critic foresees.",
            healthy="Rises above 0 within some 15 steps. Far below 0 at first: the critic knows nothing yet.",
            low=0.0,
            high=1.0,
            floor=-1.0,
            unit="share",
            alert=Alert(
                message="The critic foresees less than a constant would: raise its learning rate (align.critic_lr).",
                is_triggered=ends_outside(0.0, 1.0, 25),
            ),
        ),
    }
)


def figure_of(name: str) -> Figure:
    """Return the figure with that name; for an unknown one, a figure with the name as its title and help."""
    if name in FIGURES:
        return FIGURES[name]
    if name.startswith("pass@"):
        return Figure(
            title=f"Right in {name[5:]}",
            help=f"The share of prompts to which at least one of {name[5:]} replies is right ({name}).",
            healthy="Learning from rewards sharpens what the model can do already: this need not rise "
            "(arXiv:2504.13837).",
            unit="share",
            alert=Alert(
                message="It can do less than at its best: fewer of its tries differ.", is_triggered=falls_from_peak(0.2)
            ),
        )
    return Figure(title=name, help=f"As TRL calls it: {name}.")


def about(name: str) -> str:
    """Return definition, healthy range and alert of a figure, in lines."""
    figure = figure_of(name)
    lines = [figure.help, *([f"Healthy: {figure.healthy}"] if figure.healthy else [])]
    if figure.alert is not None:
        lines.append(f"Alert: {figure.alert.message}")
    if math.isfinite(figure.max_gap):
        lines.append(f"Alert: {_OVERFITS}")
    elif figure.alert is None and figure.healthy:
        lines.append("No alert: it explains the others.")
    if name != figure.title:
        lines.append(f"In TRL and in alignment.jsonl: {name}")
    return "\n".join(lines)


def alert_of(name: str, values: Sequence[float] | Floats) -> str:
    """Return the alert message for the values of a figure so far, "" if none is triggered."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    alert = figure_of(name).alert
    return alert.message if alert is not None and len(known) and alert.is_triggered(known) else ""


def overfitting_of(name: str, values: Floats, held_out: Floats) -> str:
    """Return the message if a figure's training values exceed its last held-out value too much, else ""."""
    if len(values) < 20 or not len(held_out):
        return ""
    gap = float(values[-2 * N_AVERAGED :].mean()) - float(held_out[-1])
    return _OVERFITS if gap > figure_of(name).max_gap else ""


def min_kl(share: float) -> float:
    """Return the minimum KL (nats) of a model all of whose replies meet what this share of its parent's do, or NaN."""
    return math.log(1 / share) if 0 < share <= 1 else math.nan
