"""Advantages: how much better a reply or token was than expected. In shape comments: B rows, T tokens, G draws."""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-4
"""TRL's epsilon, added to a standard deviation."""
_TINY = 1e-8


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float = 1.0, lam: float = 0.95) -> Tensor:
    """Compute generalized advantage estimation (arXiv:1506.02438) of replies that end in their rows: (B, T), 0
    outside `mask`.

    δ_t = r_t + γ V_{t+1} − V_t with V = 0 after the last token; A_t = δ_t + γ λ A_{t+1}. Add `values` for the
    returns, before the advantages are whitened.

    Args:
        rewards, values: (B, T).
        mask: (B, T) bool, the tokens of the reply: true from the first to the last of a row.
    """
    advantages = torch.zeros_like(rewards)
    later_value = later = torch.zeros_like(rewards[:, 0])
    for t in range(rewards.size(1) - 1, -1, -1):
        here = mask[:, t]
        delta = rewards[:, t] + gamma * later_value - values[:, t]
        later = torch.where(here, delta + gamma * lam * later, later)
        later_value = torch.where(here, values[:, t], later_value)
        advantages[:, t] = torch.where(here, later, torch.zeros_like(later))
    return advantages


def whiten(numbers: Tensor) -> Tensor:
    """Scale the numbers (N) to mean 0 and variance 1."""
    return (numbers - numbers.mean()) * (numbers.var(unbiased=False) + _TINY).rsqrt()


def group_advantages(rewards: Tensor, scale: str = "none") -> Tensor:
    """Subtract from rewards (B, G) of G replies to each of B prompts the mean of their prompt (GRPO,
    arXiv:2402.03300): (B, G).

    Exactly 0 if all replies to a prompt earned the same: an optimizer such as AdamW turns rounding errors into full
    steps.

    scale: "group" divides by the standard deviation within a prompt, which makes a rare success of an easy prompt
    count as much as one of a hard prompt; "batch" divides by that of all rewards; "none" is unbiased
    (arXiv:2503.20783).
    """
    centred = (rewards - rewards.mean(1, keepdim=True)) * has_signal(rewards)[:, None]
    if scale == "none":
        return centred
    spread = rewards.std(1, keepdim=True) if scale == "group" else rewards.std()
    return centred / (spread + _EPSILON)


def has_signal(rewards: Tensor) -> Tensor:
    """Return which prompts (B) have replies with different rewards; only these have a gradient. rewards: (B, G)."""
    return rewards.amax(1) > rewards.amin(1)


def reward_per_token(rewards: Tensor, lengths: Tensor) -> float | None:
    """Return the slope of rewards on lengths, both (B, G): the reward per additional token.

    Both are centred on the means of their prompts, or of all replies if each prompt has one reply. None if all
    lengths are equal.
    """
    dim = 1 if rewards.size(1) > 1 else 0
    earned, longer = (each - each.mean(dim, keepdim=True) for each in (rewards.float(), lengths.float()))
    spread = float(longer.square().sum())
    return float((earned * longer).sum()) / spread if spread else None
