"""PPO: draws replies, rewards them, and makes tokens likelier that earned more than the critic expected.

Proximal policy optimisation (arXiv:1707.06347) as in InstructGPT (arXiv:2203.02155): KL to the parent in the reward
of each token, the score at the last one. The critic is a separate model, so that what it learns cannot spoil the
policy. Letters in shape comments: B replies, N tokens of all replies.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.models.alignment.advantages import gae, whiten
from terrarium.models.alignment.log_probs import ReadReplies, reply_log_probs
from terrarium.models.alignment.losses import kl_estimate, policy_loss, value_loss
from terrarium.models.alignment.rollouts import Prompts
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.events import Event, MicroStep
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.stages.critic import Critic
from terrarium.models.training.stages.replies import (
    HeldOutReplies,
    Rollouts,
    in_parts,
    reading_figures,
)
from terrarium.models.training.stages.stage import Apply, StageStep, beta_now
from terrarium.models.training.update import Gradients, batch_flops, gradient_norm, zero_gradients

_PASSES = 4
"""Forward passes over all replies besides the updates: one to draw, and one each by policy, reference and critic."""


@dataclass(frozen=True, kw_only=True)
class Experience:
    """What a step learns from: for each reply, a tensor with a number per token.

    old: log-probabilities by the policy that drew it. values: the critic's values at that time. advantages: whitened
    over all tokens.
    """

    old: Sequence[Tensor]
    values: Sequence[Tensor]
    advantages: Sequence[Tensor]
    returns: Sequence[Tensor]


@dataclass(kw_only=True)
class _Sums:
    """Sums over the tokens of all updates of a step, by TRL's names."""

    tokens: int = 0
    updates: int = 0
    by_name: dict[str, float]

    def add(self, name: str, values: Tensor) -> None:
        self.by_name[name] = self.by_name.get(name, 0.0) + float(values.sum())


class PpoStage:
    """PPO steps: several passes over the replies of a step, with an update for each minibatch."""

    def __init__(
        self,
        context: TrainingContext,
        config: TrainConfig,
        align: AlignSpec,
        prompts: Prompts,
        held_out: HeldOutReplies,
        critic: Critic,
        judge_tensors: Mapping[str, Tensor],
    ) -> None:
        """judge_tensors: the judge's tensors in checkpoints."""
        self._context, self._config, self._align = context, config, align
        self._prompts, self._held_out, self._critic, self._judge_tensors = prompts, held_out, critic, judge_tensors
        self._model: AnyModel = held_out.drawer.model

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        """Draw, reward, and update; without an update if no reply earned more than another."""
        align, beta = self._align, beta_now(self._context, self._align)
        prompts = self._prompts.of_step(step, align.n_prompts)
        drawer = self._held_out.drawer
        rollouts = yield from drawer.draw(prompts, step, align.n_replies, self._config.seed)
        began = time.perf_counter()
        batches = rollouts.batches()
        read = yield from drawer.read(batches, step)
        values = [self._critic.values(batch) for batch in batches]
        costs = [kl_estimate(of.log_probs, of.reference) for of in read]  # nats of each token
        rewards = _token_rewards(batches, costs, rollouts.rewards.flatten(), beta)
        totals = torch.stack([of_reply.sum() for of_reply in rewards])  # (B)
        old = _by_reply(batches, [of.log_probs for of in read])
        experience = make_experience(old, _by_reply(batches, values), rewards, align.lam)
        has_any = bool(totals.amax() > totals.amin())
        sums, norm = _Sums(by_name={}), 0.0
        if has_any:
            self._model.eval()
            norm = yield from self._update(step, rollouts, experience, lr_multiple, apply, sums)
        forward = sum(batch_flops(self._context.model.config, batch) for batch in batches)
        share = sums.updates / align.n_minibatches  # of passes over all replies
        gradients = Gradients(
            loss=sums.by_name.get("loss/policy_avg", 0.0) / max(1, sums.tokens),
            norm=norm,
            n_tokens=rollouts.n_tokens_read,
            flops=round((_PASSES + 2 * share * self._context.training_factor) * forward),
        )
        figures = rollouts.figures() | reading_figures(rollouts, read) | _objective_figures(rollouts, read, costs, beta)
        figures |= {name: value / max(1, sums.tokens) for name, value in sums.by_name.items()}
        returns, foreseen = torch.cat(list(experience.returns)), torch.cat(list(experience.values))
        variance, unexplained = (float(each.var(unbiased=False)) for each in (returns, returns - foreseen))
        figures |= {
            "val/explained_variance": 1 - unexplained / variance if variance else 0.0,
            "val/n_updates": float(sums.updates),
            "kl_coef": beta,
            "seconds/update": time.perf_counter() - began,
        }
        weighed = torch.stack([of_reply.mean() for of_reply in experience.advantages])
        kept = drawer.kept(step + 1, rollouts, read, weighed, experience.advantages, experience.values)
        return StageStep(gradients=gradients, figures=figures, rollouts=kept)

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Answer the held-out prompts, if due."""
        return (yield from self._held_out.validate(state))

    def tensors(self) -> Mapping[str, Tensor]:
        return {**self._judge_tensors, **self._critic.tensors()}

    def _update(
        self,
        step: int,
        rollouts: Rollouts,
        experience: Experience,
        lr_multiple: float,
        apply: Apply,
        sums: _Sums,
    ) -> Generator[Event, None, float]:
        """Make all passes over the replies. Returns the largest norm of the policy's gradients."""
        align, n_rows, largest = self._align, len(rollouts.replies), 0.0
        for epoch in range(align.n_epochs):
            generator = torch.Generator().manual_seed((self._config.seed * 1_000_003 + step) * 101 + epoch)
            order = torch.randperm(n_rows, generator=generator)
            for part, rows in enumerate(order.tensor_split(align.n_minibatches)):
                yield MicroStep(step=step + 1, micro_step=epoch * align.n_minibatches + part)
                chosen = rows.tolist()
                n_tokens = sum(len(rollouts.replies[i].ids) for i in chosen)
                loss, kl = yield from self._backward(step, rollouts, experience, chosen, n_tokens, sums)
                if align.max_kl and kl > align.max_kl:
                    zero_gradients(self._context)
                    self._critic.zero_gradients()
                    return largest
                norm = gradient_norm(self._context)
                apply(Gradients(loss=loss, norm=norm, n_tokens=n_tokens, flops=0))
                self._critic.step(lr_multiple, self._config.grad_clip)
                largest, sums.updates = max(largest, norm), sums.updates + 1
        return largest

    def _backward(
        self,
        step: int,
        rollouts: Rollouts,
        experience: Experience,
        chosen: Sequence[int],
        n_tokens: int,
        sums: _Sums,
    ) -> Generator[Event, None, tuple[float, float]]:
        """Compute the gradients of a minibatch, of policy and critic.

        Returns its policy loss, and the KL of the policy to the one that drew the replies, in nats per token.
        """
        align, loss, kl = self._align, 0.0, 0.0
        for i, rows in enumerate(in_parts(chosen)):
            if i:
                yield MicroStep(step=step + 1, micro_step=i)
            batch = rollouts.batch(rows)
            log_probs = reply_log_probs(self._model, batch)
            old, before, advantages, returns = (
                torch.cat([of_replies[row] for row in rows]).to(log_probs.device)
                for of_replies in (experience.old, experience.values, experience.advantages, experience.returns)
            )
            losses = policy_loss(log_probs, old, advantages, clip_low=align.clip_low, clip_high=align.clip_high)
            (losses.sum() / n_tokens).backward()
            values = self._critic.values_to_learn(batch)
            of_values = value_loss(values, before, returns, clip=align.value_clip)
            (of_values.sum() / n_tokens).backward()
            with torch.no_grad():
                log_ratio = log_probs - old
                far = kl_estimate(old, log_probs, "k3")
                is_clipped = (log_ratio.exp() > 1 + align.clip_high) | (log_ratio.exp() < 1 - align.clip_low)
                for name, tokens in (
                    ("loss/policy_avg", losses),
                    ("loss/value_avg", of_values),
                    ("policy/approxkl_avg", far),
                    ("policy/clipfrac_avg", is_clipped.float()),
                    ("val/clipfrac_avg", ((values - before).abs() > align.value_clip).float()),
                    ("val/ratio", log_ratio.exp()),
                ):
                    sums.add(name, tokens)
                sums.tokens += len(log_ratio)
                loss, kl = loss + float(losses.sum()), kl + float(far.sum())
        return loss / n_tokens, kl / n_tokens


def make_experience(
    old: Sequence[Tensor], values: Sequence[Tensor], rewards: Sequence[Tensor], lam: float
) -> Experience:
    """Compute advantages and returns of replies; each tensor is one reply, with a number per token."""
    lengths = torch.tensor([len(of_reply) for of_reply in rewards])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, T)
    earned, foreseen = (torch.nn.utils.rnn.pad_sequence([*each], batch_first=True) for each in (rewards, values))
    advantages = gae(earned, foreseen, mask, lam=lam)
    own = [row[:n] for row, n in zip(advantages, lengths.tolist(), strict=True)]
    returns = [a + v for a, v in zip(own, values, strict=True)]
    whitened = whiten(torch.cat(own)).split(lengths.tolist())
    return Experience(old=old, values=values, advantages=whitened, returns=returns)


def _by_reply(batches: Sequence[Batch], values: Sequence[Tensor]) -> list[Tensor]:
    """Split values of the counted targets of batches by reply, on the CPU."""
    found: list[Tensor] = []
    for batch, of_batch in zip(batches, values, strict=True):
        found += of_batch.cpu().clone().split(batch.weights.count_nonzero(dim=1).tolist())
    return found


def _token_rewards(batches: Sequence[Batch], costs: Sequence[Tensor], scores: Tensor, beta: float) -> list[Tensor]:
    """Return the reward of each token of each reply: −β KL, plus the reply's score at the last token."""
    rewards = []
    for score, cost in zip(scores, _by_reply(batches, costs), strict=True):
        rewards.append(-beta * cost)
        rewards[-1][-1] += score
    return rewards


def _objective_figures(
    rollouts: Rollouts, read: Sequence[ReadReplies], costs: Sequence[Tensor], beta: float
) -> dict[str, float]:
    n = len(rollouts.replies)
    estimated, score = float(torch.cat(list(costs)).sum()) / n, float(rollouts.rewards.mean())
    return {
        "objective/kl": estimated,
        "objective/entropy": float(torch.cat([of.entropy for of in read]).sum()) / n,
        "objective/non_score_reward": -beta * estimated,
        "objective/rlhf_reward": score - beta * estimated,
        "objective/scores": score,
        "val/num_eos_tokens": float(sum(reply.ended for reply in rollouts.replies)),
    }
