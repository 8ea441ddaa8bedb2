"""GRPO: draws replies, rewards them, and makes those likelier that earned more than others to the same prompt.

DeepSeekMath (arXiv:2402.03300), without its biases unless they are asked for (Dr. GRPO, arXiv:2503.20783). Letters in
shape comments: P prompts, G replies to each, B = P · G rows, N tokens of all replies, T tokens of the longest row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.alignment.advantages import group_advantages, has_signal
from models.alignment.log_probs import ReplyLogProbs, exact_kl, reply_log_probs
from models.alignment.losses import aggregate, kl_estimate, policy_loss
from models.alignment.rollouts import Prompt, Prompts, reply_batch, reply_end, reply_seeds, reply_text
from models.architecture.transformer import AnyModel, Decoder
from models.data.batch import Batch
from models.data.corpus import Corpus
from models.data.tiny_world.wishes import WISHES
from models.events import AlignMetrics, Event, MicroStep, ValMetrics
from models.inference.many_replies import DrawnReply, draw_batch
from models.runs.checkpoint_state import TrainState
from models.settings.align_spec import AlignSpec
from models.settings.run_spec import TrainConfig
from models.settings.tasks import REWARD
from models.training.clock import Clock
from models.training.record import Recorder
from models.training.setup import TrainingContext
from models.training.stages.stage import Apply, StageStep
from models.training.update import Gradients

_TOKENS_BETWEEN = 400
"""Tokens that are drawn between two events, so that a chat beside it is served."""
_ROWS_AT_ONCE = 16
"""Rows of a forward and backward pass: more fall out of a CPU's cache."""
_LOOK = 1 << 40
"""A step that no training has: the draws of looks at held-out prompts are always the same."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The replies of a step: rows prompt by prompt. rewards: (P, G). seconds: of drawing, and of rewarding."""

    prompts: Sequence[Prompt]
    replies: Sequence[DrawnReply]
    rewards: Tensor
    seconds: tuple[float, float]

    @property
    def n_tokens(self) -> int:
        """Of all replies, with their end tokens."""
        return sum(len(reply.ids) for reply in self.replies)

    def figures(self) -> dict[str, float]:
        """By TRL's names; pass@k is the share of prompts with a right reply, where a right reply earns 1."""
        lengths = [len(reply.ids) for reply in self.replies]
        rewards = self.rewards
        return {
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std(1).mean()) if rewards.size(1) > 1 else 0.0,
            "frac_reward_zero_std": float((~has_signal(rewards)).float().mean()),
            "pass@1": float((rewards >= 1).float().mean()),
            f"pass@{rewards.size(1)}": float((rewards.amax(1) >= 1).float().mean()),
            "completions/mean_length": sum(lengths) / len(lengths),
            "completions/clipped_ratio": sum(not reply.ended for reply in self.replies) / len(lengths),
            "completions/distinct": len({reply.ids for reply in self.replies}) / len(lengths),
            "rollouts_per_s": len(lengths) / max(self.seconds[0], 1e-9),
        }


class GrpoStage:
    """Steps of GRPO, one update of the weights for each set of rollouts, so that every ratio is 1."""

    def __init__(
        self,
        context: TrainingContext,
        config: TrainConfig,
        align: AlignSpec,
        corpus: Corpus,
        reference: AnyModel,
        record: Recorder,
        clock: Clock,
        is_stopping: Callable[[], bool],
    ) -> None:
        """Raises ValueError where no prompt leaves room for a reply, or nothing judges the replies."""
        assert isinstance(context.model, Decoder)
        self._context, self._config, self._align = context, config, align
        self._model, self._reference = context.model, reference
        self._record, self._clock, self._is_stopping = record, clock, is_stopping
        longest = max(1, context.model.config.context_length - align.max_tokens + 1)
        self._prompts = Prompts(corpus, "train", context.tokenizer, longest, config.seed)
        self._held_out = Prompts(corpus, "val", context.tokenizer, longest)
        self._end = reply_end(context.tokenizer)
        unjudged = next((p for p in self._prompts.rows if p.row.get("wish") not in WISHES), None)
        if unjudged is not None:
            raise ValueError(
                f"Nothing judges replies to the prompts of {corpus.label!r}: use a wish of Tiny World, such as “Tiny "
                "World 0, wish happy”."
            )

    def step(self, step: int, apply: Apply) -> Generator[Event, None, StageStep]:
        """Draw, reward, and update once; where no prompt has a better and a worse reply, nothing is moved."""
        align = self._align
        rollouts = yield from self._roll_out(
            self._prompts.of_step(step, align.n_prompts), step, align.n_replies, self._config.seed
        )
        began = time.perf_counter()
        rewards = rollouts.rewards
        batches = self._batches(rollouts)
        advantages = group_advantages(rewards, align.scale)  # (P, G)
        of_reference: list[Tensor | None] = [None] * len(batches)
        if align.beta:
            known = [self._log_probs_of(self._reference, batch).log_probs for batch in batches]
            if align.kl_in == "loss":
                of_reference = [*known]
            else:
                costs = [
                    self._by_row(batch, self._log_probs_of(self._model, batch).log_probs - ref)
                    for batch, ref in zip(batches, known, strict=True)
                ]
                advantages = group_advantages(rewards - align.beta * torch.cat(costs).view_as(rewards), align.scale)
        flat = advantages.flatten()  # (B)
        has_any = bool((flat != 0).any())
        loss, entropy, gap, n = 0.0, 0.0, 0.0, 0
        first = 0
        for i, batch in enumerate(batches):
            yield MicroStep(step=step + 1, micro_step=i)
            rows = len(batch.inputs)
            self._model.eval()
            found = reply_log_probs(self._model, batch)
            entropy, n = entropy + float(found.entropy.sum()), n + len(found.entropy)
            drawn = [value for reply in rollouts.replies[first : first + rows] for value in reply.log_probs]
            gap = max(gap, float((found.log_probs.detach().cpu() - torch.tensor(drawn)).abs().max()))
            if has_any:
                part = self._loss(found, of_reference[i], flat[first : first + rows], rows, rollouts)
                part.backward()
                loss += float(part.detach())
            first += rows
        gradients = self._gradients(loss, rollouts)
        kl = self._exact_kl(batches)  # of the policy that drew them
        if has_any:
            apply(gradients)
        updated = time.perf_counter()
        figures = rollouts.figures()
        figures |= {
            "entropy": entropy / max(n, 1),
            "kl": kl / len(rollouts.replies),
            "sampling/logp_difference": gap,
            "seconds/rollout": rollouts.seconds[0],
            "seconds/score": rollouts.seconds[1],
            "seconds/update": updated - began,
        }
        return StageStep(gradients=gradients, figures=figures)

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Answer the held-out prompts with always the same random numbers, where that is due."""
        interval = self._config.eval_interval
        last = state.step == self._config.steps
        if not interval or state.validated_step == state.step or (state.step % interval and not last):
            return False
        rollouts = yield from self._roll_out(self._held_out.rows, _LOOK, 1, 0)
        if self._is_stopping():
            return False
        figures = {
            name: value
            for name, value in rollouts.figures().items()
            if name in ("reward", "completions/mean_length", "completions/clipped_ratio")
        }
        figures["kl"] = self._exact_kl(self._batches(rollouts)) / len(rollouts.replies)
        state.record_validation(math.nan, figures["reward"])
        look = AlignMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=self._clock.seconds,
            is_look=True,
            figures=tuple(figures.items()),
        )
        yield from self._record.alignment(look)
        metrics = ValMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=self._clock.seconds,
            loss=math.nan,
            bits_per_byte=None,
            metric=REWARD,
            metric_value=figures["reward"],
        )
        yield from self._record.validation(metrics)
        yield metrics
        yield look
        return True

    def _roll_out(
        self, prompts: Sequence[Prompt], step: int, n_replies: int, seed: int
    ) -> Generator[Event, None, Rollouts]:
        began = time.perf_counter()
        seeds = reply_seeds(seed, step, len(prompts), n_replies)
        drawing = draw_batch(self._model, [prompt.ids for prompt in prompts], seeds, self._align.max_tokens, self._end)
        n_told, micro_step = 0, 0
        while True:
            try:
                n_made = next(drawing)
            except StopIteration as end:
                by_prompt: list[list[DrawnReply]] = end.value
                break
            if n_made - n_told >= _TOKENS_BETWEEN:
                n_told, micro_step = n_made, micro_step + 1
                yield MicroStep(step=step + 1, micro_step=micro_step)
        drawn = time.perf_counter()
        rewards = torch.tensor(
            [
                [self._reward(prompt, reply) for reply in replies]
                for prompt, replies in zip(prompts, by_prompt, strict=True)
            ]
        )
        return Rollouts(
            prompts=[prompt for prompt in prompts for _ in range(n_replies)],
            replies=[reply for replies in by_prompt for reply in replies],
            rewards=rewards,
            seconds=(drawn - began, time.perf_counter() - drawn),
        )

    def _reward(self, prompt: Prompt, reply: DrawnReply) -> float:
        earned = WISHES[prompt.row["wish"]].reward(prompt.row, reply_text(self._context.tokenizer, reply))
        return earned if reply.ended else earned - self._align.end_penalty

    def _batches(self, rollouts: Rollouts) -> list[Batch]:
        rows = range(0, len(rollouts.replies), _ROWS_AT_ONCE)
        return [
            reply_batch(rollouts.prompts[i : i + _ROWS_AT_ONCE], rollouts.replies[i : i + _ROWS_AT_ONCE]) for i in rows
        ]

    def _log_probs_of(self, model: AnyModel, batch: Batch) -> ReplyLogProbs:
        was_training = model.training
        model.eval()
        with torch.no_grad():
            found = reply_log_probs(model, batch)
        model.train(was_training)
        return found

    def _by_row(self, batch: Batch, values: Tensor) -> Tensor:
        where = batch.weights.nonzero()
        return torch.zeros(len(batch.inputs)).index_add(0, where[:, 0], values.cpu())

    def _loss(
        self, found: ReplyLogProbs, reference: Tensor | None, advantages: Tensor, n_rows: int, rollouts: Rollouts
    ) -> Tensor:
        """The share of some rows in the loss of the step."""
        align, device = self._align, found.log_probs.device
        rows, columns = found.where.unbind(1)
        shape = n_rows, int(columns.max()) + 1
        old = found.log_probs.detach()
        losses = policy_loss(
            found.log_probs,
            old,
            advantages.to(device)[rows],
            clip_low=align.clip_low,
            clip_high=align.clip_high,
        )
        if reference is not None:
            losses = losses + align.beta * kl_estimate(found.log_probs, reference, "k3")
        spread = torch.zeros(shape, device=device).index_put((rows, columns), losses)
        mask = torch.zeros(shape, device=device).index_put((rows, columns), torch.ones_like(losses))
        share = n_rows / len(rollouts.replies)
        if align.aggregate == "dapo":
            share = len(losses) / rollouts.n_tokens
        return aggregate(spread, mask, align.aggregate, max_tokens=align.max_tokens) * share

    def _exact_kl(self, batches: Sequence[Batch]) -> float:
        """The KL to the reference of all rows together, in nats."""
        was_training = self._model.training
        self._model.eval()
        total = sum(float(exact_kl(self._model, self._reference, batch).sum()) for batch in batches)
        self._model.train(was_training)
        return total

    def _gradients(self, loss: float, rollouts: Rollouts) -> Gradients:
        grads = [p.grad for p in self._context.parameters if p.grad is not None]
        norm = float(self._context.layout.norm(grads)) if grads else 0.0
        n_tokens = sum(len(p.ids) for p in rollouts.prompts) + rollouts.n_tokens
        return Gradients(loss=loss, norm=norm, n_tokens=n_tokens, flops=0)
