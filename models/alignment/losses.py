"""The losses of alignment: of reward models, of preferences (DPO, KTO), of clipped policies (GRPO, PPO) and values.

They are tested against an exhaustive world whose replies can all be listed, and against TRL's, where TRL has them
(tests/models/alignment). Log-probabilities of a reply are sums over its tokens and its end token, never means.
Letters in shape comments: B rows, T tokens of replies.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def reward_loss(chosen: Tensor, rejected: Tensor, *, label_noise: Tensor | float = 0.0, centre: float = 0.0) -> Tensor:
    """Compute −log σ(r_chosen − r_rejected) of each pair (B), after Bradley and Terry (arXiv:2203.02155).

    Args:
        chosen, rejected: (B), the scores of the replies.
        label_noise: as in `dpo_loss`; ½ is a tie.
        centre: adds centre · (r_chosen + r_rejected)², which keeps scores around 0 (arXiv:2312.09244).
    """
    gap = chosen - rejected
    loss = -(1 - label_noise) * F.logsigmoid(gap) - label_noise * F.logsigmoid(-gap)
    return loss + centre * (chosen + rejected).square() if centre else loss


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float,
    label_noise: Tensor | float = 0.0,
) -> Tensor:
    """Compute the loss (B) of direct preference optimisation (arXiv:2305.18290), ln 2 if the policy equals its
    reference.

    Args:
        chosen, rejected: (B), log-probabilities of the whole replies; ref_…: those of the reference.
        label_noise: the assumed share of mislabelled pairs (cDPO), or the probability for each pair (B); ½ is a tie.
    """
    z = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    return -(1 - label_noise) * F.logsigmoid(z) - label_noise * F.logsigmoid(-z)


def kto_loss(policy: Tensor, reference: Tensor, is_good: Tensor, kl: Tensor, *, beta: float) -> Tensor:
    """Compute the loss (B) of replies labelled good or bad without a pair (KTO, arXiv:2402.01306).

    Args:
        policy, reference: (B), log-probabilities of the replies.
        is_good: (B) bool.
        kl: the KL of the policy to its reference, without gradient: the mean log-ratio of replies to other prompts
            than their own, at least 0.
    """
    ratio = policy - reference
    return 1 - torch.sigmoid(beta * torch.where(is_good, ratio - kl, kl - ratio))


def simpo_loss(
    chosen: Tensor, rejected: Tensor, *, beta: float, margin: float, label_noise: Tensor | float = 0.0
) -> Tensor:
    """Compute the loss (B) of simple preference optimization, which needs no reference (SimPO, arXiv:2405.14734).

    Args:
        chosen, rejected: (B), mean log-probabilities per token of the replies. margin: γ. label_noise: as in
            `dpo_loss`.
    """
    z = beta * (chosen - rejected) - margin
    return -(1 - label_noise) * F.logsigmoid(z) - label_noise * F.logsigmoid(-z)


def orpo_loss(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Compute the loss (B) of odds ratio preference optimization, which needs no reference (ORPO, arXiv:2403.07691).

    It is the negative log-likelihood per token of the chosen reply, less β log σ of the log of the ratio of the odds
    p / (1 − p) of both replies, with p = exp of the mean log-probability per token.

    Args:
        chosen, rejected: (B), mean log-probabilities per token of the replies, below 0.
    """
    log_odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -chosen - beta * F.logsigmoid(log_odds)


def _log1mexp(x: Tensor) -> Tensor:
    """Compute log(1 − exp(x)) of x < 0, exactly also near 0 (Mächler, 2012)."""
    x = x.clamp(max=-1e-7)
    return torch.where(x > -math.log(2), torch.log(-torch.expm1(x)), torch.log1p(-x.exp()))


def policy_loss(
    log_probs: Tensor, old: Tensor, advantages: Tensor, *, clip_low: float = 0.2, clip_high: float = 0.2
) -> Tensor:
    """Compute −min(ρ A, clip(ρ) A) of each token (B, T), ρ = exp(log_probs − old) (PPO, arXiv:1707.06347).

    advantages: (B, T), or (B, 1) for one per reply. An upper bound that is wider than the lower one is DAPO's
    (arXiv:2503.14476).
    """
    ratio = (log_probs - old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)


def value_loss(values: Tensor, old: Tensor, returns: Tensor, *, clip: float = 0.2) -> Tensor:
    """Compute ½ max((V − R)², (V clipped to V_old ± clip − R)²) of each token, as in OpenAI's PPO."""
    clipped = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def kl_estimate(log_probs: Tensor, reference: Tensor, kind: str = "k1") -> Tensor:
    """Estimate KL(policy ‖ reference) at each token that the policy drew (Schulman, “Approximating KL divergence”,
    2020): with ρ = reference / policy, k1 = −log ρ, k2 = ½ (log ρ)², k3 = ρ − 1 − log ρ.

    As losses they differ: the gradient of k1 is 0 on average, that of k2 is the gradient of KL(policy ‖ reference),
    and that of k3 of KL(reference ‖ policy). In the reward, where it has no gradient, k1 is right.
    """
    log_ratio = reference - log_probs
    if kind == "k1":
        return -log_ratio
    if kind == "k2":
        return 0.5 * log_ratio.square()
    assert kind == "k3"
    return log_ratio.exp() - 1 - log_ratio


def aggregate(losses: Tensor, mask: Tensor, how: str, *, max_tokens: int) -> Tensor:
    """Reduce the losses of tokens (B, T) to a scalar; `mask` (B, T) is 1 for tokens of replies.

    grpo: the mean of each reply's mean (arXiv:2402.03300), in which tokens of long replies count less. dapo: the mean
    over all tokens. dr_grpo: the sum, divided by B · max_tokens, in which every token counts alike
    (arXiv:2503.20783).
    """
    masked = losses * mask
    if how == "grpo":
        return (masked.sum(1) / mask.sum(1).clamp(min=1)).mean()
    if how == "dapo":
        return masked.sum() / mask.sum().clamp(min=1)
    assert how == "dr_grpo"
    return masked.sum() / (len(losses) * max_tokens)
