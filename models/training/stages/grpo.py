"""GRPO: draws replies, rewards them, and makes those likelier that earned more than others to the same prompt.

DeepSeekMath (arXiv:2402.03300), without its biases unless they are asked for (Dr. GRPO, arXiv:2503.20783). Letters in
shape comments: P prompts, G replies to each, B = P · G rows, N tokens of all replies, T tokens of the longest row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.alignment.advantages import group_advantages, has_signal
from models.alignment.log_probs import ReadReplies, by_row, counted, read_replies, reply_log_probs
from models.alignment.losses import aggregate, kl_estimate, policy_loss
from models.alignment.rollout_log import KeptReply, is_kept, step_row
from models.alignment.rollouts import Prompt, Prompts, reply_batch, reply_end, reply_seeds, reply_text
from models.architecture.transformer import AnyModel, Decoder
from models.data.batch import Batch
from models.data.corpus import Corpus
from models.data.tiny_world.wishes import WISHES
from models.events import AlignMetrics, Event, MicroStep, ValMetrics
from models.files.jsonl import Row
from models.inference.many_replies import DrawnReply, draw_batch
from models.runs.checkpoint_state import TrainState
from models.settings.align_spec import AlignSpec
from models.settings.run_spec import TrainConfig
from models.settings.tasks import REWARD
from models.training.evaluator import Evaluator
from models.training.setup import TrainingContext
from models.training.stages.stage import Apply, StageStep
from models.training.update import Gradients, batch_flops

_TOKENS_BETWEEN = 400
"""Tokens that are drawn between two events, so that a chat beside it is served."""
_MICRO_BATCH_SIZE = 16
"""Rows of a forward and backward pass: more fall out of a CPU's cache."""
_PASSES = 3
"""Forward passes over all replies, but for that of the update: as they are drawn, and as both models read them."""
_VALIDATION_STEP = 1 << 40
"""A step that no training has: the draws of each validation are the same."""


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The replies of a step: rows prompt by prompt. texts: what they say. rewards: (P, G). seconds: of drawing, and of
    rewarding."""

    prompts: Sequence[Prompt]
    replies: Sequence[DrawnReply]
    texts: Sequence[str]
    rewards: Tensor
    seconds: tuple[float, float]

    @property
    def n_tokens(self) -> int:
        """Of all replies, with their end tokens."""
        return sum(len(reply.ids) for reply in self.replies)

    def is_meant(self, i: int) -> bool | None:
        """Whether reply `i` is what was meant; None where its wish says no more than its reward."""
        judge = WISHES[self.prompts[i].row["wish"]].is_meant
        return None if judge is None else judge(self.prompts[i].row, self.texts[i])

    def figures(self) -> dict[str, float]:
        """By TRL's names. pass@k: the share of prompts with a right reply among k, where 1 is right. gold: the share of
        replies that are what was meant, where that is stricter than the reward."""
        lengths = [len(reply.ids) for reply in self.replies]
        rewards, wishes = self.rewards, [WISHES[prompt.row["wish"]] for prompt in self.prompts]
        more: dict[str, float] = {}
        if all(wish.is_bounded for wish in wishes):
            more["pass@1"] = float((rewards >= 1).float().mean())
            more[f"pass@{rewards.size(1)}"] = float((rewards.amax(1) >= 1).float().mean())
        meant = [known for known in map(self.is_meant, range(len(self.texts))) if known is not None]
        if meant:
            more["gold"] = sum(meant) / len(meant)
        return more | {
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std(1).mean()) if rewards.size(1) > 1 else 0.0,
            "frac_reward_zero_std": float((~has_signal(rewards)).float().mean()),
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
        evaluator: Evaluator,
    ) -> None:
        """Raises ValueError where no prompt leaves room for a reply, or nothing judges the replies."""
        assert isinstance(context.model, Decoder)
        self._context, self._config, self._align = context, config, align
        self._model, self._reference, self._evaluator = context.model, reference, evaluator
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
        batches = self._batches(rollouts)
        read: list[ReadReplies] = []
        for i, batch in enumerate(batches):
            yield MicroStep(step=step + 1, micro_step=i)
            read.append(read_replies(self._model, self._reference, batch))
        rewards = rollouts.rewards
        if align.beta and align.kl_in == "reward":
            costs = [by_row(batch, of.log_probs - of.reference) for batch, of in zip(batches, read, strict=True)]
            rewards = rewards - align.beta * torch.cat(costs).view_as(rewards)
        advantages = group_advantages(rewards, align.scale).flatten()  # (B)
        loss, has_any = 0.0, bool((advantages != 0).any())
        if has_any:
            self._model.eval()
            for i, (batch, of, own) in enumerate(zip(batches, read, advantages.split(_MICRO_BATCH_SIZE), strict=True)):
                yield MicroStep(step=step + 1, micro_step=len(batches) + i)
                part = self._loss(batch, of, own, rollouts)
                part.backward()
                loss += float(part.detach())
        gradients = self._gradients(loss, rollouts, batches, has_any)
        if has_any:
            apply(gradients)
        updated = time.perf_counter()
        drawn = torch.tensor([value for reply in rollouts.replies for value in reply.log_probs])
        forced = torch.cat([of.log_probs for of in read]).cpu()
        figures = rollouts.figures() | {
            "entropy": float(torch.cat([of.entropy for of in read]).mean()),
            "kl": float(torch.cat([of.kl for of in read]).sum()) / len(rollouts.replies),
            "sampling/logp_difference": float((forced - drawn).abs().max()),
            "seconds/rollout": rollouts.seconds[0],
            "seconds/score": rollouts.seconds[1],
            "seconds/update": updated - began,
        }
        kept = self._kept_replies(step + 1, rollouts, batches, read, advantages)
        return StageStep(gradients=gradients, figures=figures, rollouts=kept)

    def _kept_replies(
        self, step: int, rollouts: Rollouts, batches: Sequence[Batch], read: Sequence[ReadReplies], advantages: Tensor
    ) -> Row | None:
        """The replies as they are kept, None where those of this step are not. advantages: (B)."""
        if not is_kept(step, self._config.steps):
            return None
        n_replies = rollouts.rewards.size(1)
        lengths = [len(reply.ids) for reply in rollouts.replies]
        ratios = torch.cat([of.log_probs - of.reference for of in read]).cpu().split(lengths)
        kl = torch.cat([by_row(batch, of.kl) for batch, of in zip(batches, read, strict=True)])
        kept = [
            KeptReply(
                ids=reply.ids,
                ended=reply.ended,
                reward=float(reward),
                gold=rollouts.is_meant(i),
                kl=float(kl[i]),
                advantage=float(advantages[i]),
                log_ratio=tuple(ratios[i].tolist()),
            )
            for i, (reply, reward) in enumerate(zip(rollouts.replies, rollouts.rewards.flatten(), strict=True))
        ]
        groups = [kept[i : i + n_replies] for i in range(0, len(kept), n_replies)]
        return step_row(step, [prompt.row for prompt in rollouts.prompts[::n_replies]], groups)

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Answer the held-out prompts with always the same random numbers, where that is due."""
        evaluator = self._evaluator
        if not evaluator.is_validation_due(state):
            return False
        rollouts = yield from self._roll_out(self._held_out.rows, _VALIDATION_STEP, 1, 0)
        if evaluator.is_stopping():
            return False
        figures = {
            name: value
            for name, value in rollouts.figures().items()
            if name in ("reward", "gold", "completions/mean_length", "completions/clipped_ratio")
        }
        kl = 0.0
        for i, batch in enumerate(self._batches(rollouts)):
            yield MicroStep(step=state.step, micro_step=i)
            kl += float(read_replies(self._model, self._reference, batch).kl.sum())
        figures["kl"] = kl / len(rollouts.replies)
        aligned = AlignMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=evaluator.clock.seconds,
            is_validation=True,
            figures=tuple(figures.items()),
        )
        yield from evaluator.record.alignment(aligned)
        metrics = ValMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=evaluator.clock.seconds,
            loss=math.nan,
            bits_per_byte=None,
            metric=REWARD,
            metric_value=figures["reward"],
        )
        yield from evaluator.record.validation(metrics)
        state.record_validation(math.nan, figures["reward"])
        yield metrics
        yield aligned
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
        asked = [prompt for prompt in prompts for _ in range(n_replies)]
        replies = [reply for some in by_prompt for reply in some]
        texts = [reply_text(self._context.tokenizer, reply) for reply in replies]
        rewards = [self._reward(*each) for each in zip(asked, replies, texts, strict=True)]
        return Rollouts(
            prompts=asked,
            replies=replies,
            texts=texts,
            rewards=torch.tensor(rewards).view(len(prompts), n_replies),
            seconds=(drawn - began, time.perf_counter() - drawn),
        )

    def _reward(self, prompt: Prompt, reply: DrawnReply, text: str) -> float:
        earned = WISHES[prompt.row["wish"]].reward(prompt.row, text)
        return earned if reply.ended else earned - self._align.end_penalty

    def _batches(self, rollouts: Rollouts) -> list[Batch]:
        rows = range(0, len(rollouts.replies), _MICRO_BATCH_SIZE)
        return [
            reply_batch(rollouts.prompts[i : i + _MICRO_BATCH_SIZE], rollouts.replies[i : i + _MICRO_BATCH_SIZE])
            for i in rows
        ]

    def _loss(self, batch: Batch, read: ReadReplies, advantages: Tensor, rollouts: Rollouts) -> Tensor:
        """The share of some rows, with these advantages (rows), in the loss of the step."""
        align = self._align
        log_probs = reply_log_probs(self._model, batch)
        rows, columns = counted(batch).to(log_probs.device).unbind(1)
        losses = policy_loss(
            log_probs,
            read.log_probs,
            advantages.to(log_probs.device)[rows],
            clip_low=align.clip_low,
            clip_high=align.clip_high,
        )
        if align.beta and align.kl_in == "loss":
            losses = losses + align.beta * kl_estimate(log_probs, read.reference, "k3")
        mask = batch.weights.to(log_probs.device)  # (rows, T), 1 for each counted target
        spread = torch.zeros_like(mask).index_put((rows, columns), losses)
        n_rows, n_tokens = len(rollouts.replies), rollouts.n_tokens
        share = len(losses) / n_tokens if align.aggregate == "dapo" else len(mask) / n_rows
        return aggregate(spread, mask, align.aggregate, max_tokens=align.max_tokens) * share

    def _gradients(self, loss: float, rollouts: Rollouts, batches: Sequence[Batch], has_any: bool) -> Gradients:
        """What is known of the gradients, whose operations are those of drawing, of both models' reading, and of the
        update where there is one."""
        context = self._context
        grads = [p.grad for p in context.parameters if p.grad is not None]
        forward = sum(batch_flops(self._model.config, batch) for batch in batches)
        return Gradients(
            loss=loss,
            norm=float(context.layout.norm(grads)) if grads else 0.0,
            n_tokens=sum(len(p.ids) for p in rollouts.prompts) + rollouts.n_tokens,
            flops=round((_PASSES + (context.training_factor if has_any else 0)) * forward),
        )
