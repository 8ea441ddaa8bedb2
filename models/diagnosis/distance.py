"""Checks of how far a model has moved from its parent, in all its training and in one step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from terrarium.models.alignment.figures import alert_of, min_kl
from terrarium.models.diagnosis.breakdown import format_figure
from terrarium.models.diagnosis.findings import Check, Diagnosis, Finding
from terrarium.models.diagnosis.remedies import new_run, scaled_rates
from terrarium.models.diagnosis.replies import (
    IDLE_SHARE,
    SOME,
    align_of,
    beta_now,
    calmer_remedy,
    last_healthy_step,
    slower_remedy,
)
from terrarium.models.diagnosis.signs import Signs
from terrarium.models.number_words import format_percent
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.settings.align_spec import usual_align, usual_align_train

_SAME = 1e-3
"""The tolerance for a model to equal its reference at the first step: KL in nats, margins in nats times β."""
_FAR, _FAR_PER_TOKEN, _FAR_PRICES = 12.0, 0.25, 3.0
"""A model is too far from its parent beyond this many nats, this many per token of a reply, and this many times the
minimum KL of its wish.
"""
_STILL, _STILL_PER_TOKEN = 0.02, 0.005
"""A model has hardly moved below this many nats per reply, or per token of the pairs' replies."""
_FEW_UPDATES = 0.3
"""Updates are too large if the rest of a step's updates, all but this share, are skipped because of the first."""
_WILD = 1.0
"""Nats per token: a single update that moves the policy this far suffices."""


def wrong_reference(signs: Signs) -> Finding:
    """Check for a model that differs from its reference before its first update, so that KLs are wrong."""
    log = signs.log
    firsts = [
        (title, unit, float(curve.value[0]))
        for name, title, unit in (
            ("kl", "KL", "nats per reply"),
            ("rewards/margins", "margin", "nats times β"),
        )
        for curve in (log.figure(name, held_out=True), log.figure(name))
        if len(curve) and curve.step[0] == (0 if curve is log.figure(name, held_out=True) else 1)
    ]
    if not firsts:
        return Check(kind="wrong_reference", words="Needs the first step of the run.", possible=False)
    title, unit, worst = max(firsts, key=lambda one: abs(one[2]))
    if abs(worst) <= _SAME:
        return Check(kind="wrong_reference", words="Before its first update the model is the one it is compared with.")
    sentence = (
        f"Before the first update the {title} to the parent is {format_figure(worst, 2)} {unit} instead of 0: what the "
        f"run keeps in its folder “{BASE}” is not what it started from, so put the parent's weights back there, or "
        "start again."
    )
    return Diagnosis(kind="wrong_reference", sentence=sentence, step=0, evidence={f"{title} at the start": worst})


def kl_high(signs: Signs) -> Finding:
    """Check for a model that is much further from its parent than its wish requires."""
    log = signs.log
    steps, looks = log.figure("kl"), log.figure("kl", held_out=True)
    curve, n = (steps.smoothed(3), 3) if len(steps) else (looks, 1)
    if not len(curve):
        return Check(kind="kl_high", words="Needs three steps, or a validation with replies.", possible=False)
    meets = log.figure("reward", held_out=True)
    least = min_kl(float(meets.value[0])) if len(meets) and len(log.figure("pass@1")) else math.nan
    tokens = log.figure("completions/mean_length", held_out=not len(steps)).last(n)
    limit = max(known for known in (_FAR, _FAR_PER_TOKEN * tokens, _FAR_PRICES * least) if math.isfinite(known))
    now = curve.last()
    words = f"{format_figure(max(now, 0.0), 2)} nats per reply"
    cost = f", and its wish costs {format_figure(least, 2)} at least" if math.isfinite(least) else ""
    if now <= limit:
        return Check(kind="kl_high", words=f"It is {words} from its parent{cost}.")
    onset = last_healthy_step(curve, curve.value <= limit / 2)
    sentence = (
        f"It is {words} from its parent{cost}: more than {format_figure(limit, 2)} mean that its replies have left the "
        "language that the parent knew."
    )
    evidence = {"KL now": now, "alert": limit} | ({"price of the wish": least} if math.isfinite(least) else {})
    remedy = calmer_remedy(signs, onset)
    return Diagnosis(kind="kl_high", sentence=sentence, step=onset, evidence=evidence, remedy=remedy)


def kl_low(signs: Signs) -> Finding:
    """Check for a model that still equals its parent after half of its run, although there was something to learn."""
    log, align = signs.log, align_of(signs)
    if log.last_step - log.begin < max(SOME, log.planned_steps / 2):
        return Check(kind="kl_low", words="Needs half of the planned steps.", possible=False)
    if align.task == "prompts":
        moved, limit, unit = log.figure("kl").last(SOME), _STILL, "nats per reply"
        idle = log.figure("frac_reward_zero_std").last(SOME) > IDLE_SHARE and align.stage == "grpo"
    else:
        sides = [log.figure(f"logps/{side}_change").last(SOME) for side in ("chosen", "rejected")]
        moved, limit, unit, idle = (
            abs(sides[0]) + abs(sides[1]),
            2 * _STILL_PER_TOKEN,
            "nats per token of the pairs",
            False,
        )
    if not math.isfinite(moved) or idle:
        return Check(kind="kl_low", words="Needs steps with something to learn.", possible=False)
    words = f"{format_figure(max(moved, 0.0), 2)} {unit}"
    if moved >= limit:
        return Check(kind="kl_low", words=f"It has moved by {words}.")
    beta, usual = beta_now(signs), usual_align(align.stage).get("beta", 0.0)
    changes: dict[str, Any]
    if beta > 10 * max(usual, 0.05):
        why, changes = f"a KL weight of {beta:g} holds it there", {"align.beta": usual}
    else:
        lr = usual_align_train(align.stage)["lr"]
        own = log.spec.train.lr
        why = f"a learning rate of {own:g} hardly moves it"
        changes = {"train.lr": lr} if own < lr else scaled_rates(signs, 3.0)
    sentence = f"After {log.last_step:,} steps the model is only {words} from its parent: {why}."
    evidence = {"moved": moved, "learning rate": log.spec.train.lr, "KL weight": beta}
    step = int(log.step[0])
    return Diagnosis(kind="kl_low", sentence=sentence, step=step, evidence=evidence, remedy=new_run(changes))


def large_updates(signs: Signs) -> Finding:
    """Check for updates after which the policy is far from the one that drew the replies."""
    log, align = signs.log, align_of(signs)
    far, clipped, made = (
        log.figure(f"{name}") for name in ("policy/approxkl_avg", "policy/clipfrac_avg", "val/n_updates")
    )
    wild = np.flatnonzero(far.value > _WILD)
    if len(far) < SOME and not len(wild):
        return Check(kind="large_updates", words=f"Needs {SOME} steps.", possible=False)
    planned = align.n_epochs * align.n_minibatches
    kl, share, n = far.last(SOME), clipped.last(SOME), made.last(SOME)
    are_given_up = planned > 1 and 0 < n <= max(1.0, _FEW_UPDATES * planned) and kl > align.max_kl > 0
    is_large = alert_of("policy/approxkl_avg", [kl]) or alert_of("policy/clipfrac_avg", [share])
    if not (is_large or are_given_up or len(wild)):
        words = f"The updates of a step move the policy by {format_figure(kl, 2)} nats per token."
        return Check(kind="large_updates", words=words)
    if len(wild):
        at = int(wild[0])
        onset, kl, share, n = int(far.step[at]), *(float(each.value[at]) for each in (far, clipped, made))
    else:
        means = clipped.smoothed(SOME)
        onset = last_healthy_step(means, means.value <= share / 2)
    sentence = (
        f"The updates of a step move the policy by {format_figure(kl, 2)} nats per token and clip "
        f"{format_percent(share)} of the tokens; {n:.2g} of {planned} updates were made. What is learned "
        "from is no longer what the model does: smaller steps learn more."
    )
    evidence = {"KL of an update": kl, "clipped tokens": share, "updates per step": n}
    return Diagnosis(
        kind="large_updates", sentence=sentence, step=onset, evidence=evidence, remedy=slower_remedy(signs, onset)
    )
