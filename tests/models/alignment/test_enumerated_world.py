"""A world so small that every reply can be listed with its exact probability, so that expected gradients and the best
policy are known: three tokens, one of which ends a reply, and at most three tokens a reply."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from terrarium.models.alignment.advantages import gae, group_advantages
from terrarium.models.alignment.losses import dpo_loss, kl_estimate, policy_loss
from terrarium.models.training.optim import AdamW

END, N_TOKENS, LONGEST = 2, 3, 3
REPLIES = [
    (*start, *last)
    for n in range(LONGEST)
    for start in itertools.product((0, 1), repeat=n)
    for last in ([(END,)] if n < LONGEST - 1 else [(0,), (1,), (END,)])
]
"""All replies: those that end by themselves, and those that are cut."""
PREFIXES = sorted({reply[:i] for reply in REPLIES for i in range(len(reply))})
WIDTH = max(map(len, REPLIES))
IDS = torch.tensor([[*reply, *[0] * (WIDTH - len(reply))] for reply in REPLIES])
MASK = torch.tensor([[True] * len(reply) + [False] * (WIDTH - len(reply)) for reply in REPLIES])
STATES = torch.tensor([[PREFIXES.index(reply[:i]) if i < len(reply) else 0 for i in range(WIDTH)] for reply in REPLIES])
BETA = 0.3


def random_policy(seed: int) -> Tensor:
    """Logits of the next token after each prefix: (prefixes, tokens)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(PREFIXES), N_TOKENS, generator=generator, dtype=torch.float64)


def token_log_probs(policy: Tensor) -> Tensor:
    """Of each token of each reply: (replies, WIDTH), 0 after its end."""
    logs = torch.log_softmax(policy, dim=1)[STATES, IDS]
    return torch.where(MASK, logs, torch.zeros_like(logs))


def probabilities(policy: Tensor) -> Tensor:
    return token_log_probs(policy).sum(1).exp()


def kl(first: Tensor, second: Tensor) -> Tensor:
    """KL of whole replies, exactly."""
    a, b = token_log_probs(first).sum(1), token_log_probs(second).sum(1)
    return (a.exp() * (a - b)).sum()


REFERENCE = random_policy(1)
REWARDS = torch.randn(len(REPLIES), generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def gradient_of(function: Callable[[Tensor], Tensor], policy: Tensor) -> Tensor:
    leaf = policy.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf), leaf)
    return gradient


def assert_same(found: Tensor, wanted: Tensor) -> None:
    assert wanted.norm() > 1e-3, "nothing is compared"
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def objective(policy: Tensor) -> Tensor:
    return (probabilities(policy) * REWARDS).sum() - BETA * kl(policy, REFERENCE)


def test_every_reply_is_listed() -> None:
    assert probabilities(REFERENCE).sum() == pytest.approx(1.0, abs=1e-12)
    assert len(set(REPLIES)) == len(REPLIES) == 15


@pytest.mark.parametrize("lam", [1.0])
def test_ppo_with_kl_in_the_reward_has_the_exact_gradient(lam: float) -> None:
    policy = random_policy(3)
    logs, ref = token_log_probs(policy).detach(), token_log_probs(REFERENCE)
    is_last = torch.zeros_like(MASK)
    is_last[torch.arange(len(REPLIES)), MASK.sum(1) - 1] = True
    rewards = -BETA * kl_estimate(logs, ref) * MASK + REWARDS[:, None] * is_last
    values = torch.randn(len(REPLIES), WIDTH, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    by_state = values[:, 0].new_zeros(len(PREFIXES)).scatter_(0, STATES[MASK], values[MASK])  # a function of the prefix
    advantages = gae(rewards, torch.where(MASK, by_state[STATES], 0.0), MASK, lam=lam)

    def expected_loss(now: Tensor) -> Tensor:
        losses = policy_loss(token_log_probs(now), logs, advantages) * MASK
        return (probabilities(policy) * losses.sum(1)).sum()

    assert_same(-gradient_of(expected_loss, policy), gradient_of(objective, policy))


def test_grpo_has_the_gradient_of_reinforce_less_its_own_reply() -> None:
    """A group's mean includes the reply itself, so a group of G has (G − 1) / G of the gradient."""
    policy, n_draws = random_policy(3), 2
    p, logs = probabilities(policy), token_log_probs(policy).detach()
    groups = torch.tensor(list(itertools.product(range(len(REPLIES)), repeat=n_draws)))
    weights = p[groups].prod(1)
    advantages = group_advantages(REWARDS[groups])  # (groups, G)

    def expected_loss(now: Tensor) -> Tensor:
        of_now = token_log_probs(now)
        losses = policy_loss(of_now[groups], logs[groups], advantages[..., None]) * MASK[groups]
        return (weights * losses.sum((1, 2)) / n_draws).sum()

    wanted = gradient_of(lambda now: (probabilities(now) * REWARDS).sum(), policy)
    assert_same(-gradient_of(expected_loss, policy) * n_draws / (n_draws - 1), wanted)


@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_a_group_that_earned_the_same_has_no_advantage_not_even_by_rounding(scale: str) -> None:
    rewards = torch.tensor([[0.1] * 8, [0.7] * 8, [0.1] + [0.0] * 7])
    assert (rewards - rewards.mean(1, keepdim=True))[:2].any(), "without care it would have one"
    assert group_advantages(rewards, scale).any(1).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "direction"),
    [("k2", lambda now: kl(now, REFERENCE)), ("k3", lambda now: kl(REFERENCE, now))],
)
def test_estimates_of_kl_as_losses_have_known_gradients(kind: str, direction: Callable[[Tensor], Tensor]) -> None:
    policy = random_policy(3)
    p, ref = probabilities(policy), token_log_probs(REFERENCE)

    def expected_loss(now: Tensor) -> Tensor:
        whole_now, whole_ref = token_log_probs(now).sum(1), ref.sum(1)
        return (p * kl_estimate(whole_now, whole_ref, kind)).sum()

    assert_same(gradient_of(expected_loss, policy), gradient_of(direction, policy))


def test_k1_as_a_loss_does_nothing() -> None:
    policy = random_policy(3)
    p, ref = probabilities(policy), token_log_probs(REFERENCE)
    gradient = gradient_of(lambda now: (p * kl_estimate(token_log_probs(now), ref).sum(1)).sum(), policy)
    assert gradient.norm() < 1e-12


@pytest.mark.parametrize("kind", ["k1", "k3"])
def test_estimates_of_kl_are_right_on_average(kind: str) -> None:
    policy = random_policy(3)
    whole, ref = token_log_probs(policy).sum(1), token_log_probs(REFERENCE).sum(1)
    assert float((whole.exp() * kl_estimate(whole, ref, kind)).sum()) == pytest.approx(float(kl(policy, REFERENCE)))


def best_policy() -> Tensor:
    """Of whole replies: ∝ reference · exp(reward / β)."""
    return torch.softmax(token_log_probs(REFERENCE).sum(1) + REWARDS / BETA, dim=0)


def distance(policy: Tensor) -> float:
    """KL of the best policy to this one."""
    best = best_policy()
    return float((best * (best.log() - token_log_probs(policy).sum(1))).sum())


def trained(loss: Callable[[Tensor], Tensor], n_steps: int, lr: float) -> Tensor:
    policy = REFERENCE.clone().requires_grad_()
    optimizer = AdamW([policy], lr=lr, weight_decay=0.0)
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / n_steps)
        optimizer.zero_grad()
        loss(policy).backward()
        optimizer.step()
    return policy.detach()


def test_ppo_reaches_the_best_policy() -> None:
    ref = token_log_probs(REFERENCE)
    is_last = torch.zeros_like(MASK)
    is_last[torch.arange(len(REPLIES)), MASK.sum(1) - 1] = True

    def expected_loss(policy: Tensor) -> Tensor:
        logs = token_log_probs(policy)
        old = logs.detach()
        rewards = -BETA * kl_estimate(old, ref) * MASK + REWARDS[:, None] * is_last
        advantages = gae(rewards, torch.zeros_like(rewards), MASK, lam=1.0)
        losses = policy_loss(logs, old, advantages) * MASK
        return (old.sum(1).exp() * losses.sum(1)).sum()

    assert distance(REFERENCE) > 0.5
    assert distance(trained(expected_loss, 300, 0.2)) < 1e-3


def test_dpo_reaches_the_same_policy() -> None:
    first, second = torch.triu_indices(len(REPLIES), len(REPLIES), offset=1)
    prefers_first = torch.sigmoid(REWARDS[first] - REWARDS[second])
    ref = token_log_probs(REFERENCE).sum(1)

    def expected_loss(policy: Tensor) -> Tensor:
        whole = token_log_probs(policy).sum(1)
        losses = dpo_loss(
            whole[first], whole[second], ref[first], ref[second], beta=BETA, label_noise=1 - prefers_first
        )
        return losses.mean()

    assert distance(trained(expected_loss, 300, 0.2)) < 1e-3


def test_a_penalty_on_k3_leads_elsewhere() -> None:
    """It is KL in the other direction, whose best policy is β · reference / (λ − reward), λ such that all sum to 1."""
    ref = token_log_probs(REFERENCE).sum(1)

    def expected_loss(policy: Tensor) -> Tensor:
        whole = token_log_probs(policy).sum(1)
        estimate = kl_estimate(whole, ref, "k3")
        return -(whole.exp() * REWARDS).sum() + BETA * (whole.detach().exp() * estimate).sum()

    low, high = float(REWARDS.max()) + 1e-9, float(REWARDS.max()) + 100.0
    for _ in range(200):
        middle = (low + high) / 2
        if float((BETA * ref.exp() / (middle - REWARDS)).sum()) > 1:
            low = middle
        else:
            high = middle
    wanted = BETA * ref.exp() / (low - REWARDS)
    policy = trained(expected_loss, 300, 0.1)
    found = probabilities(policy)
    assert float((wanted * (wanted / found).log()).sum()) < 1e-3
    assert distance(policy) > 1e-2


def test_dpo_begins_at_ln_2() -> None:
    same = torch.tensor([-3.0, -40.0])
    assert dpo_loss(same, same * 2, same, same * 2, beta=0.1).tolist() == pytest.approx([math.log(2)] * 2)
