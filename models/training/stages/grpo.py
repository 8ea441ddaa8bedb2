"""GRPO: draws replies, rewards them, and makes replies likelier that earned more than others to the same prompt.

DeepSeekMath (arXiv:2402.03300), without its biases unless configured (Dr. GRPO, arXiv:2503.20783). Letters in
shape comments: P prompts, G replies to each, B = P · G rows, N tokens of all replies, T tokens of the longest row.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence

import torch
from torch import Tensor

from terrarium.models.alignment.advantages import group_advantages, has_signal
from terrarium.models.alignment.log_probs import ReadReplies, by_row, counted, reply_log_probs
from terrarium.models.alignment.losses import aggregate, kl_estimate, policy_loss
from terrarium.models.alignment.rollouts import Prompts
from terrarium.models.data.batch import Batch
from terrarium.models.events import Event, MicroStep
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.stages.replies import (
    HeldOutReplies,
    ReplyDrawer,
    Rollouts,
    reading_figures,
)
from terrarium.models.training.stages.stage import Apply, StageStep, beta_now
from terrarium.models.training.update import Gradients, batch_flops, gradient_norm

_PASSES = 3
"""Forward passes over all replies besides the update's: one to draw them, and one by each of policy and reference."""


class GrpoStage:
    """GRPO steps, with one update for each set of rollouts, so every importance ratio is 1."""

    def __init__(
        self,
        context: TrainingContext,
        config: TrainConfig,
        align: AlignSpec,
        prompts: Prompts,
        held_out: HeldOutReplies,
        judge_tensors: Mapping[str, Tensor],
    ) -> None:
        """judge_tensors: the judge's tensors in checkpoints."""
        self._context, self._config, self._align = context, config, align
        self._prompts, self._held_out, self._judge_tensors = prompts, held_out, judge_tensors
        self._drawer: ReplyDrawer = held_out.drawer

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        """Draw, reward, and update once; without an update if no prompt has a better and a worse reply."""
        align, beta, model = self._align, beta_now(self._context, self._align), self._drawer.model
        prompts = self._prompts.of_step(step, align.n_prompts)
        rollouts = yield from self._drawer.draw(prompts, step, align.n_replies, self._config.seed)
        began = time.perf_counter()
        batches = rollouts.batches()
        read = yield from self._drawer.read(batches, step)
        rewards = rollouts.rewards
        if beta and align.kl_in == "reward":
            costs = [by_row(batch, of.log_probs - of.reference) for batch, of in zip(batches, read, strict=True)]
            rewards = rewards - beta * torch.cat(costs).view_as(rewards)
        advantages = group_advantages(rewards, align.scale).flatten()  # (B)
        # Replies to a prompt without signal are not drawn to the parent either (trl#5588).
        weights = beta * has_signal(rewards).float().repeat_interleave(align.n_replies)  # (B)
        loss, has_any = 0.0, bool((advantages != 0).any())
        if has_any:
            model.eval()
            n_rows = [len(batch.inputs) for batch in batches]
            parts = zip(batches, read, advantages.split(n_rows), weights.split(n_rows), strict=True)
            for i, (batch, of, own, of_kl) in enumerate(parts):
                yield MicroStep(step=step + 1, micro_step=len(batches) + i)
                part = self._loss(batch, of, own, of_kl, rollouts)
                part.backward()
                loss += float(part.detach())
        gradients = self._gradients(loss, rollouts, batches, has_any)
        if has_any:
            apply(gradients)
        figures = rollouts.figures() | reading_figures(rollouts, read)
        figures |= {"kl_coef": beta, "seconds/update": time.perf_counter() - began}
        return StageStep(
            gradients=gradients, figures=figures, rollouts=self._drawer.kept(step + 1, rollouts, read, advantages)
        )

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Answer the held-out prompts, if due."""
        return (yield from self._held_out.validate(state))

    def tensors(self) -> Mapping[str, Tensor]:
        return self._judge_tensors

    def _loss(self, batch: Batch, read: ReadReplies, advantages: Tensor, betas: Tensor, rollouts: Rollouts) -> Tensor:
        """Return the contribution of some rows to the loss of the step, with their advantages and KL weights (rows)."""
        share = len(batch.inputs) / len(rollouts.replies)
        if self._align.aggregate == "dapo":
            share = int(batch.weights.count_nonzero()) / rollouts.n_tokens
        log_probs = reply_log_probs(self._drawer.model, batch)
        return grpo_loss(batch, log_probs, read.log_probs, read.reference, advantages, betas, self._align) * share

    def _gradients(self, loss: float, rollouts: Rollouts, batches: Sequence[Batch], has_any: bool) -> Gradients:
        """Return the figures of the gradients. Their FLOPs are those of drawing, of both models' forward passes, and
        of the update, if any.
        """
        context = self._context
        forward = sum(batch_flops(context.model.config, batch) for batch in batches)
        return Gradients(
            loss=loss,
            norm=gradient_norm(context),
            n_tokens=rollouts.n_tokens_read,
            flops=round((_PASSES + (context.training_factor if has_any else 0)) * forward),
        )


def grpo_loss(
    batch: Batch,
    log_probs: Tensor,
    old: Tensor,
    reference: Tensor,
    advantages: Tensor,
    betas: Tensor,
    align: AlignSpec,
) -> Tensor:
    """Compute the loss of a batch of replies, independent of the other batches of the step.

    Args:
        log_probs: (N), of the model, with gradients.
        old, reference: (N), of the policy that drew the replies, and of the reference model.
        advantages: (B), of each reply.
        betas: (B), the weight of its KL, if `align` counts that in the loss.
        align: how ratios are clipped, and losses aggregated.
    """
    rows, columns = counted(batch).to(log_probs.device).unbind(1)
    of_tokens, of_kl = (values.to(log_probs.device)[rows] for values in (advantages, betas))
    losses = policy_loss(log_probs, old, of_tokens, clip_low=align.clip_low, clip_high=align.clip_high)
    if align.kl_in == "loss":
        losses = losses + of_kl * kl_estimate(log_probs, reference, "k3")
    mask = batch.weights.to(log_probs.device)  # (B, T), 1 for each counted target
    spread = torch.zeros_like(mask).index_put((rows, columns), losses)
    return aggregate(spread, mask, align.aggregate, max_tokens=align.max_tokens)
