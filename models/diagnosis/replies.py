"""Checks of runs that learn from rewards: their replies, their rewards, and their critic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from terrarium.models.alignment.figures import alert_of
from terrarium.models.diagnosis.breakdown import format_figure
from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding, Remedy
from terrarium.models.diagnosis.log import Curve
from terrarium.models.diagnosis.remedies import format_changes, new_run, scaled_rates
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.metrics.intervals import difference_error
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.settings.align_spec import AlignSpec

SOME = 5
"""The number of steps in a mean, because single steps are noisy."""
_IDLE = 20
"""The number of steps without signal that are a problem, or a third of a run if that is less, …"""
_LEAST_IDLE = 5
"""… but at least this many."""
IDLE_SHARE = 0.9
"""A step has no signal if more than this share of its prompts has none."""
_MOST_REPLIES = 64
_SURER = 0.2
"""Entropy has collapsed below this share of its initial value."""
_DONE = 0.95
"""If this share of the replies is right, they may be alike."""
_FALL = 0.1
"""The share of gold replies has dropped if it has fallen by this much …"""
_ERRORS = 2.0
"""… and by this many standard errors."""
_TIMES_APART = 1.5
"""Two reward models disagree if their distance is this many times its initial value, as for models of 150 pairs each
when no gold reply was left (0.39 to 0.76 σ); those of 500 pairs came closer in a good run …
"""
_RISEN = 1.0
"""… and the reward of the first one has risen by this many standard deviations of the parent's replies."""
_USUAL_REPLIES = 100
"""The assumed number of held-out replies, if a run did not record it."""
_NEAR = 0.2
"""A checkpoint is near a step if it differs by at most this share of it."""
_LITTLE_LONGER, _LITTLE_SHORTER = 1.12, 0.85
"""The length of replies has changed if it is this many times its initial value, …"""
_BY_LENGTH = 0.7
"""… and pays if at least this share of the gain in reward is explained by it, according to what longer replies to the
same prompt earn more than others.
"""
_LONGER, _SHORTER = 1.5, 0.5
"""The same limits for a run that did not record the reward per token."""
_CUT = 0.3
"""Too many replies are cut if this share is, …"""
_CUT_NOW = 0.1
"""… or this one, if none were at the start."""
_FORESEEN = 0.02
"""A critic is useful from this explained variance on."""


def no_signal(signs: Signs) -> Finding:
    """Check for steps in which no reply was better than another, so that no weight changed."""
    log, align = signs.log, align_of(signs)
    grpo = align.stage == "grpo"
    curve = log.figure("frac_reward_zero_std" if grpo else "val/n_updates")
    least = min(_IDLE, max(_LEAST_IDLE, log.planned_steps // 3))
    if len(curve) < least:
        return Check(kind="no_signal", words=f"Needs {least} steps.", possible=False)
    idle = curve.value > IDLE_SHARE if grpo else curve.value == 0
    if not idle[-least:].all():
        with_some = 1 - curve.last(least) if grpo else float((~idle[-least:]).mean())
        what = "prompts" if grpo else "steps"
        words = f"{format_percent(with_some)} of the latest {what} had a better and a worse reply."
        return Check(kind="no_signal", words=words)
    moving = np.flatnonzero(~idle)
    begin = int(moving[-1]) + 1 if len(moving) else 0
    onset, n = int(curve.step[begin]), len(curve) - begin
    drawn = n * align.n_prompts * align.n_replies
    right, reward = log.figure("pass@1"), log.figure("reward").last(n)
    evidence = {"steps without signal": float(n), "replies drawn": float(drawn)}
    sentence = (
        f"In {format_count(n, 'step')} hardly any prompt had a better and a worse reply, so nothing was learned: "
    )
    if not len(right):
        sentence += (
            f"all replies earn about {format_figure(reward, 2)}, whatever they say. Take prompts that suit the judge."
        )
        return Diagnosis(kind="no_signal", sentence=sentence, step=onset, evidence=evidence | {"reward": reward})
    share = right.last(n)
    evidence["share right"] = share
    if share >= 0.5:
        sentence += f"{format_percent(share)} of the {drawn:,} replies were right already. Take a harder task."
        return Diagnosis(kind="no_signal", sentence=sentence, step=onset, evidence=evidence)
    if share == 0:
        sentence += (
            f"none of the {drawn:,} replies was right, and what never happens cannot be rewarded. Teach it first, by "
            "fine-tuning on examples, or take an easier task."
        )
        return Diagnosis(kind="no_signal", sentence=sentence, step=onset, evidence=evidence)
    sentence += (
        f"only {format_percent(share, 1)} of the {drawn:,} replies were right. Teach it first, by fine-tuning on "
        "examples, or draw more replies."
    )
    name = "n_replies" if grpo else "n_prompts"
    many = 4 * getattr(align, name)
    remedy = new_run({f"align.{name}": many}) if not grpo or many <= _MOST_REPLIES else None
    return Diagnosis(kind="no_signal", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def collapse(signs: Signs) -> Finding:
    """Check for a model so certain of its replies that they are all alike, and nothing is left to compare."""
    log = signs.log
    entropy, distinct = log.figure("entropy"), log.figure("completions/distinct")
    if len(entropy) < 2 * SOME:
        return Check(kind="collapse", words=f"Needs {2 * SOME} steps.", possible=False)
    first, now = entropy.first(1), entropy.last(SOME)
    is_sure, are_alike = now < _SURER * first, bool(alert_of("completions/distinct", distinct.value))
    is_done = log.figure("pass@1").last(SOME) >= _DONE
    were_alike = bool(alert_of("completions/distinct", distinct.value[:SOME]))  # as short answers are
    if is_done or were_alike or not (is_sure or are_alike):
        words = f"The entropy is {format_percent(now / first if first else 1)} of its start."
        return Check(kind="collapse", words=words)
    means = entropy.smoothed(SOME)
    onset = last_healthy_step(means, means.value >= first / 2)
    sentence = (
        f"The entropy has fallen from {format_figure(first, 2)} to {format_figure(now, 2)} nats per token, and "
        f"{format_percent(distinct.last(SOME))} of the replies of a step differ: soon nothing is left to compare."
    )
    evidence = {"entropy at the start": first, "entropy now": now, "distinct replies": distinct.last(SOME)}
    remedy = calmer_remedy(signs, onset)
    return Diagnosis(kind="collapse", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def reward_hacking(signs: Signs) -> Finding:
    """Check for a proxy reward that still rises while the gold reward falls from its peak."""
    log, align = signs.log, align_of(signs)
    proxy_name, title = ("reward", "reward") if align.task == "prompts" else ("rewards/margins", "margin")
    gold, n = log.figure("gold", held_out=True), log.figure("held_out/replies", held_out=True).last()
    proxy = log.figure(proxy_name, held_out=True)
    if len(gold) < 3 and len(log.figure("gold")):  # seldom validated: use the training steps instead
        gold, proxy = log.figure("gold").smoothed(SOME), log.figure(proxy_name).smoothed(SOME)
        n = float(SOME * align.n_prompts * align.n_replies)
    elif not math.isfinite(n):
        n = _USUAL_REPLIES
    if len(gold) < 3 or len(proxy) != len(gold):
        return _by_disagreement(signs)
    at = int(np.argmax(gold.value))
    peak, now, step = float(gold.value[at]), gold.last(), int(gold.step[at])
    later = gold.value[at + 1 :]
    allowed = max(_FALL, _ERRORS * difference_error(peak, n, now, n))
    fell = len(later) > 1 and later[-2:].max() <= peak - allowed
    start, then, latest = float(proxy.value[0]), float(proxy.value[at]), proxy.last()
    if not fell or latest <= start or latest < then - 0.1 * abs(then - start):
        words = f"{format_percent(now)} of the replies are what was meant; at most {format_percent(peak)} were."
        check = Check(kind="reward_hacking", words=words)
        if now >= gold.value[0] + _FALL:
            return check
        doubted = _by_disagreement(signs)  # gold was so rare from the start that it could hardly fall
        return doubted if isinstance(doubted, Diagnosis) else check
    sentence = (
        f"Since step {step:,} what was meant has become rarer, from {format_percent(peak)} of the replies to "
        f"{format_percent(now)}, while the {title} went on from {format_figure(then, 2)} to "
        f"{format_figure(latest, 2)}: it is being gamed. "
        + ("The best model is that of the peak." if step else "Its parent is better than all that came after it.")
    )
    evidence = {
        "meant at the peak": peak,
        "meant now": now,
        f"{title} at the peak": then,
        f"{title} now": latest,
    }
    remedy = _stop_at(signs, step) if step else None
    return Diagnosis(kind="reward_hacking", sentence=sentence, step=step, evidence=evidence, remedy=remedy)


def _by_disagreement(signs: Signs) -> Finding:
    """Check for reward hacking without a gold reward: two reward models that learned from different pairs disagree
    about the replies far more than at the start, while the reward rises (idea: arXiv:2310.02743).
    """
    log = signs.log
    apart, proxy = (log.figure(name, held_out=True) for name in ("reward_disagreement", "reward"))
    if len(apart) < 3 or len(proxy) != len(apart):
        words = (
            "Needs three measurements of what was meant, by a judge of prompts that name a wish, or of how far two "
            "reward models are apart."
        )
        return Check(kind="reward_hacking", words=words, possible=False)
    first, now, start, latest = float(apart.value[0]), apart.last(), float(proxy.value[0]), proxy.last()
    is_far = apart.value > _TIMES_APART * first
    # A single evaluation may be chance; and if certain of few replies, the models may agree again.
    twice = np.flatnonzero(is_far[1:] & is_far[:-1])
    if not len(twice) or latest < start + _RISEN:
        words = (
            f"Two reward models are {format_figure(now, 2)} σ apart; they were {format_figure(first, 2)} at the start."
        )
        return Check(kind="reward_hacking", words=words)
    step = int(apart.step[max(0, twice[0] - 1)])
    most = float(apart.value.max())
    sentence = (
        f"Since step {step:,} two reward models, which learned from different pairs, disagree about the replies: they "
        f"came to be {format_figure(most, 2)} σ apart instead of {format_figure(first, 2)}, while the reward rose to "
        f"{format_figure(latest, 2)}. Neither was taught what such replies are worth, so the first one is probably "
        "being gamed: look at the replies, and judge pairs of what it writes now."
    )
    evidence = {"apart at the start": first, "apart at most": most, "reward at the start": start, "reward now": latest}
    remedy = _stop_at(signs, step) if step else None
    return Diagnosis(kind="reward_hacking", sentence=sentence, step=step, evidence=evidence, remedy=remedy)


def length(signs: Signs) -> Finding:
    """Check for replies whose length changes and explains most of the gain in reward, without more gold replies."""
    log, align = signs.log, align_of(signs)
    lengths, reward, gold = (log.figure(name) for name in ("completions/mean_length", "reward", "gold"))
    if len(lengths) < 2 * SOME or len(reward) < 2 * SOME:
        return Check(kind="length", words=f"Needs {2 * SOME} steps.", possible=False)
    first, now = lengths.first(1), lengths.last(SOME)
    was, earned = reward.first(1), reward.last(SOME)
    better = len(gold) >= 2 * SOME and gold.last(SOME) > gold.first(1) + _FALL
    per_token = log.figure("reward_per_token")
    if len(per_token):
        explained = _earned_by_length(lengths, per_token) / (earned - was) if earned > was else 0.0
        pays = not _LITTLE_SHORTER < now / first < _LITTLE_LONGER and explained >= _BY_LENGTH
    else:  # a run of an earlier version
        explained = math.nan
        pays = not _SHORTER < now / first < _LONGER
    if better or not pays or earned <= was:
        words = f"Replies have {now:.0f} tokens; they had {first:.0f} at the start."
        return Check(kind="length", words=words)
    means = lengths.smoothed(SOME)
    onset = last_healthy_step(means, np.abs(np.log(means.value / first)) < abs(math.log(now / first)) / 4)
    share = (
        f": of replies to one prompt, those that are {'longer' if now > first else 'shorter'} earn more, and "
        f"{format_percent(min(explained, 1.0))} of the gain is that"
        if math.isfinite(explained)
        else ": their length seems to be what is rewarded"
    )
    sentence = (
        f"Replies have {now:.0f} tokens instead of {first:.0f}, and the reward rose from "
        f"{format_figure(was, 2)} to {format_figure(earned, 2)}"
        + (", though what was meant is no more frequent" if len(gold) else "")
        + f"{share}. Pairs whose better and worse replies are equally long would help most."
    )
    evidence = {
        "tokens at the start": first,
        "tokens now": now,
        "reward at the start": was,
        "reward now": earned,
    }
    evidence |= {"share of the gain by length": explained} if math.isfinite(explained) else {}
    if align.stage == "grpo" and align.aggregate == "grpo":
        remedy = new_run({"align.aggregate": "dr_grpo"})
    else:
        remedy = calmer_remedy(signs, onset)
    return Diagnosis(kind="length", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def _earned_by_length(lengths: Curve, per_token: Curve) -> float:
    """Return the gain in reward since the first step that is due to length: each change of length times the reward
    per token at that time, both as means of the last steps.
    """
    length = [lengths.until(step).last(SOME) for step in lengths.step]
    earns = [per_token.until(step).last(SOME) for step in lengths.step]
    known = np.nan_to_num(np.asarray(earns), nan=float(per_token.value[0]))
    return float((np.diff(length) * (known[1:] + known[:-1]) / 2).sum())


def cut(signs: Signs) -> Finding:
    """Check for replies that reach the maximum length before they end."""
    log, align = signs.log, align_of(signs)
    curve = log.figure("completions/clipped_ratio")
    held_out = not len(curve)
    if held_out:  # runs on pairs draw replies for validation only
        curve = log.figure("completions/clipped_ratio", held_out=True)
    n = 1 if held_out else SOME
    if len(curve) < n:
        return Check(kind="cut", words="Needs replies, which are drawn to prompts that name a wish.", possible=False)
    first, now = curve.first(1), curve.last(n)
    was_whole = first < _CUT_NOW / 2
    if not (now > _CUT or (was_whole and now > _CUT_NOW)):
        return Check(kind="cut", words=f"{format_percent(1 - now, 1)} of the replies end by themselves.")
    means = curve.smoothed(n)
    whole = means.value <= max(_CUT_NOW / 2, 1.5 * first)
    onset = int(curve.step[0]) if first > _CUT else last_healthy_step(means, whole)
    sentence = f"{format_percent(now)} of the replies are cut at {align.max_tokens} tokens before they end"
    longer = 2 * align.max_tokens
    fits = longer < log.spec.model.context_length
    if first > _CUT:
        sentence += f", as many of its parent's were: {align.max_tokens} may be too few to say what is rewarded."
        remedy = new_run({"align.max_tokens": longer}) if fits else None
        if not fits:
            sentence += " A parent that has learned to end its replies, or a longer context, would help."
    else:
        sentence += f"; at the start {format_percent(first)} were. It forgets how to end a reply."
        remedy = _end_again(signs, onset)
    evidence = {"cut at the start": first, "cut now": now, "longest reply": float(align.max_tokens)}
    return Diagnosis(kind="cut", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def critic(signs: Signs) -> Finding:
    """Check for a critic that predicts nothing of the rewards, so that it adds noise instead of removing it."""
    log, align = signs.log, align_of(signs)
    curve, made = log.figure("val/explained_variance"), log.figure("val/n_updates")
    least = max(_IDLE, math.ceil(log.planned_steps / 3))
    if len(curve) < least or not made.last(SOME) > 0:
        return Check(kind="critic", words=f"Needs {least} steps with something to learn.", possible=False)
    now = float(np.median(curve.value[-2 * SOME :]))  # median: robust while rewards hardly differ
    if now >= _FORESEEN or log.figure("pass@1").last(SOME) >= _DONE:
        return Check(kind="critic", words=f"It foresees {format_percent(now)} of what replies earn.")
    sentence = (
        f"After {log.last_step:,} steps the critic explains {format_figure(now, 2)} of the variance of what replies "
        "earn: 0 is no better than always guessing the mean."
    )
    usual = AlignSpec().critic_lr
    changes: dict[str, Any] = {"align.n_prompts": 2 * align.n_prompts}
    if not usual / 3 <= align.critic_lr <= 3 * usual:
        changes = {"align.critic_lr": usual}
    evidence = {"explained variance": now, "critic learning rate": align.critic_lr}
    step = int(curve.step[0])
    return Diagnosis(kind="critic", sentence=sentence, step=step, evidence=evidence, remedy=new_run(changes))


def align_of(signs: Signs) -> AlignSpec:
    """Return the settings of the run's alignment."""
    assert signs.log.spec.align is not None
    return signs.log.spec.align


def beta_now(signs: Signs) -> float:
    """Return the KL weight, which may have been changed during training."""
    curve = signs.log.figure("kl_coef")
    return curve.last() if len(curve) else align_of(signs).beta


def slower_remedy(signs: Signs, onset: int) -> Remedy:
    """Return a fork from before `onset` with a third of the learning rate, or a new run if there is no checkpoint."""
    fork, changes = signs.log.checkpoint_before(onset), scaled_rates(signs, 1 / 3)
    if fork is None or fork >= signs.log.spec.train.steps:
        return new_run(changes)
    return Remedy(words=f"Fork from step {fork} with {format_changes(changes)}", changes=changes, fork_step=fork)


def calmer_remedy(signs: Signs, onset: int) -> Remedy:
    """As `slower_remedy`, but a new run also stays closer to its parent."""
    remedy = slower_remedy(signs, onset)
    if remedy.fork_step is not None:
        return remedy
    beta = beta_now(signs)
    return new_run({"align.beta": float(f"{3 * beta:.1g}") if beta else 0.05, **remedy.changes})


def _stop_at(signs: Signs, step: int) -> Remedy:
    """Return a remedy for the model of a step: a fork near it that adds a single step, or a new run that ends there."""
    log = signs.log
    saved = [each for each in log.checkpoints if 0 < each < log.spec.train.steps and abs(each - step) <= _NEAR * step]
    if saved:
        fork = min(saved, key=lambda each: abs(each - step))
        changes: dict[str, Any] = {"train.steps": fork + 1}
        words = f"Stop at the peak: fork from step {fork} with {format_changes(changes)}"
        return Remedy(words=words, changes=changes, fork_step=fork)
    changes = {"train.steps": max(1, step)}
    return Remedy(words=f"Stop at the peak: new run with {format_changes(changes)}", changes=changes)


def _end_again(signs: Signs, onset: int) -> Remedy:
    """Return a remedy: penalise replies without an end, weigh the NLL of chosen replies, or learn more slowly."""
    align = align_of(signs)
    usual = AlignSpec().end_penalty
    if align.task == "prompts" and align.end_penalty < usual:
        return new_run({"align.end_penalty": usual})
    if "nll_weight" in align.kind.options and not align.nll_weight:
        return new_run({"align.nll_weight": 0.2})
    return calmer_remedy(signs, onset)


def last_healthy_step(curve: Curve, is_healthy: np.ndarray) -> int:
    """Return the last step at which a curve was healthy; its first step if never."""
    healthy = np.flatnonzero(is_healthy)
    return int(curve.step[healthy[-1]]) if len(healthy) else int(curve.step[0])
