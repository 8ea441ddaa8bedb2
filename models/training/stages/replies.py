"""Replies that a stage draws, rewards, reads with the model and its reference, and evaluates on held-out prompts.

Letters in shape comments: P prompts, G replies to each, B = P · G rows, N tokens of all replies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from terrarium.models.alignment.advantages import has_signal, reward_per_token
from terrarium.models.alignment.judges import Judge, gold_success
from terrarium.models.alignment.log_probs import ReadReplies, by_row, read_replies
from terrarium.models.alignment.rollout_log import KeptReply, is_kept, step_row
from terrarium.models.alignment.rollouts import Prompt, reply_batch, reply_end, reply_seeds, reply_text
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.data.batch import Batch
from terrarium.models.events import AlignMetrics, Event, MicroStep, Notice, ValMetrics, reporting
from terrarium.models.files.jsonl import Row
from terrarium.models.inference.many_replies import DrawnReply, draw_batch
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.tasks import REWARD
from terrarium.models.training.evaluator import Evaluator
from terrarium.models.training.setup import TrainingContext

_MICRO_BATCH_SIZE = 16
"""Rows of a forward and backward pass: more exceed a CPU's cache."""
_TOKENS_BETWEEN = 400
"""Tokens that are drawn between two events, so that a concurrent chat is served."""
_VALIDATION_STEP = 1 << 40
"""A step number that no training reaches, so that the draws of each validation are the same."""
_HELD_OUT_FIGURES = frozenset(
    {"reward", "gold", "completions/mean_length", "completions/clipped_ratio", "kl", "reward_disagreement"}
)


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """The replies of a step: rows prompt by prompt.

    texts: the decoded replies. earned, rewards: (P, G), of each reply; `earned` lacks the penalty for a missing end
    token. seconds: of drawing, and of rewarding. disagreement: as in Judged.
    """

    prompts: Sequence[Prompt]
    replies: Sequence[DrawnReply]
    texts: Sequence[str]
    earned: Tensor
    rewards: Tensor
    is_bounded: bool
    seconds: tuple[float, float]
    disagreement: float | None = None

    @property
    def n_tokens(self) -> int:
        """The number of tokens of all replies, with their end tokens."""
        return sum(len(reply.ids) for reply in self.replies)

    @property
    def n_tokens_read(self) -> int:
        """The number of tokens of all replies, each with its prompt."""
        return sum(len(prompt.ids) for prompt in self.prompts) + self.n_tokens

    def batches(self) -> list[Batch]:
        """Return its rows, in order, as batches of a forward pass each."""
        return [self.batch(rows) for rows in in_parts(range(len(self.replies)))]

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the batch of some of its rows."""
        return reply_batch([self.prompts[i].ids for i in rows], [self.replies[i].ids for i in rows])

    def gold_success(self, i: int) -> bool | None:
        """Return `gold_success` of reply `i`."""
        return gold_success(self.prompts[i].row, self.texts[i])

    def figures(self) -> dict[str, float]:
        """Return its figures, by TRL's names.

        pass@k: the share of prompts with a right reply (reward 1) among k. gold: the share of replies that fulfil the
        intended goal, if that is stricter than the reward.
        """
        lengths = [len(reply.ids) for reply in self.replies]
        rewards = self.rewards
        more: dict[str, float] = {}
        if self.is_bounded:
            more["pass@1"] = float((rewards >= 1).float().mean())
            more[f"pass@{rewards.size(1)}"] = float((rewards.amax(1) >= 1).float().mean())
        meant = [known for known in map(self.gold_success, range(len(self.texts))) if known is not None]
        if meant:
            more["gold"] = sum(meant) / len(meant)
        per_token = reward_per_token(self.earned, torch.tensor(lengths).view_as(self.earned))
        if per_token is not None:
            more["reward_per_token"] = per_token
        if self.disagreement is not None:
            more["reward_disagreement"] = self.disagreement
        return more | {
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std(1).mean()) if rewards.size(1) > 1 else 0.0,
            "frac_reward_zero_std": float((~has_signal(rewards)).float().mean()),
            "completions/mean_length": sum(lengths) / len(lengths),
            "completions/clipped_ratio": sum(not reply.ended for reply in self.replies) / len(lengths),
            "completions/distinct": len({reply.ids for reply in self.replies}) / len(lengths),
            "rollouts_per_s": len(lengths) / max(self.seconds[0], 1e-9),
            "seconds/rollout": self.seconds[0],
            "seconds/score": self.seconds[1],
        }


class ReplyDrawer:
    """Draws replies from the current model, rewards them, and reads them with the model and its reference."""

    def __init__(
        self, context: TrainingContext, align: AlignSpec, judge: Judge, reference: AnyModel, total_steps: int
    ) -> None:
        """Raise ValueError if the tokenizer has no token that ends a reply."""
        assert isinstance(context.model, Decoder)
        self.model, self.reference = context.model, reference
        self._tokenizer, self._align, self._judge = context.tokenizer, align, judge
        self._end, self._total_steps = reply_end(context.tokenizer), total_steps

    def draw(self, prompts: Sequence[Prompt], step: int, n_replies: int, seed: int) -> Generator[Event, None, Rollouts]:
        """Draw `n_replies` rewarded replies to each prompt. They depend on (seed, step) and the weights alone.

        Raises:
            ValueError: if a reward is not finite.
        """
        began = time.perf_counter()
        seeds = reply_seeds(seed, step, len(prompts), n_replies)
        drawing = draw_batch(self.model, [prompt.ids for prompt in prompts], seeds, self._align.max_tokens, self._end)
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
        texts = [reply_text(self._tokenizer, reply) for reply in replies]
        judging = self._judge.rewards(asked, replies, texts)
        judged = yield from reporting(judging, MicroStep(step=step + 1, micro_step=micro_step))
        earned = torch.tensor(judged.rewards)
        if not earned.isfinite().all():
            raise ValueError(
                "A reply earns a number that is not finite (NaN or infinite), so nothing can be learned from it: look "
                "at what judges the replies."
            )
        penalty = torch.tensor([0.0 if reply.ended else self._align.end_penalty for reply in replies])
        return Rollouts(
            prompts=asked,
            replies=replies,
            texts=texts,
            earned=earned.view(len(prompts), n_replies),
            rewards=(earned - penalty).view(len(prompts), n_replies),
            is_bounded=self._judge.is_bounded,
            seconds=(drawn - began, time.perf_counter() - drawn),
            disagreement=judged.disagreement,
        )

    def read(self, batches: Sequence[Batch], step: int) -> Generator[Event, None, list[ReadReplies]]:
        """Read each batch with the model and its reference."""
        found = []
        for i, batch in enumerate(batches):
            yield MicroStep(step=step + 1, micro_step=i)
            found.append(read_replies(self.model, self.reference, batch))
        return found

    def kept(
        self,
        step: int,
        rollouts: Rollouts,
        read: Sequence[ReadReplies],
        advantages: Tensor,
        token_advantages: Sequence[Tensor] = (),
        values: Sequence[Tensor] = (),
    ) -> Row | None:
        """Return the row of a step's replies (steps count from 1) for the rollout log, or None if this step is not
        logged.

        Args:
            advantages: (B), of each reply.
            token_advantages, values: of each reply, if its tokens differ.
        """
        if not is_kept(step, self._total_steps):
            return None
        lengths = [len(reply.ids) for reply in rollouts.replies]
        ratios = torch.cat([of.log_probs - of.reference for of in read]).cpu().split(lengths)
        kl = torch.cat([by_row(batch, of.kl) for batch, of in zip(rollouts.batches(), read, strict=True)])
        replies = [
            KeptReply(
                ids=reply.ids,
                ended=reply.ended,
                reward=float(reward),
                gold=rollouts.gold_success(i),
                kl=float(kl[i]),
                advantage=float(advantages[i]),
                log_ratio=tuple(ratios[i].tolist()),
                token_advantages=tuple(token_advantages[i].tolist()) if token_advantages else (),
                values=tuple(values[i].tolist()) if values else (),
            )
            for i, (reply, reward) in enumerate(zip(rollouts.replies, rollouts.rewards.flatten(), strict=True))
        ]
        n_replies = rollouts.rewards.size(1)
        groups = [replies[i : i + n_replies] for i in range(0, len(replies), n_replies)]
        return step_row(step, [prompt.row for prompt in rollouts.prompts[::n_replies]], groups)


def in_parts(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the rows in groups for a forward and backward pass each."""
    for i in range(0, len(rows), _MICRO_BATCH_SIZE):
        yield rows[i : i + _MICRO_BATCH_SIZE]


def reading_figures(rollouts: Rollouts, read: Sequence[ReadReplies]) -> dict[str, float]:
    """Return exact entropy per token, KL to the reference per reply, and the largest difference between the
    log-probabilities when drawing and when reading.
    """
    drawn = torch.tensor([value for reply in rollouts.replies for value in reply.log_probs])
    forced = torch.cat([of.log_probs for of in read]).cpu()
    return {
        "entropy": float(torch.cat([of.entropy for of in read]).mean()),
        "kl": float(torch.cat([of.kl for of in read]).sum()) / len(rollouts.replies),
        "sampling/logp_difference": float((forced - drawn).abs().max()),
    }


@dataclass(frozen=True, kw_only=True)
class HeldOutReplies:
    """Validates a model by one reply to each held-out prompt, always with the same random numbers."""

    drawer: ReplyDrawer
    prompts: Sequence[Prompt]
    evaluator: Evaluator

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Evaluate and record if due. Returns whether it did."""
        if not self.evaluator.is_validation_due(state):
            return False
        figures = yield from self.measure(state)
        if figures is None:
            return False
        yield from record_validation(self.evaluator, state, figures, REWARD, figures["reward"])
        return True

    def measure(self, state: TrainState) -> Generator[Event, None, dict[str, float] | None]:
        """Return the figures of its replies, with the exact KL to the reference; None if a stop interrupted it.

        At step 0, records a notice if the parent's replies do not suffice to learn from.
        """
        rollouts = yield from self.drawer.draw(self.prompts, _VALIDATION_STEP, 1, 0)
        if self.evaluator.is_stopping():
            return None
        read = yield from self.drawer.read(rollouts.batches(), state.step)
        known = rollouts.figures() | reading_figures(rollouts, read)
        figures = {name: value for name, value in known.items() if name in _HELD_OUT_FIGURES}
        figures["held_out/replies"] = float(len(rollouts.replies))
        for sentence in _about_start(rollouts) if state.step == 0 else ():
            yield from self.evaluator.record.event("notice", 0, sentence)
            yield Notice(sentence=sentence)
        return figures


def _about_start(rollouts: Rollouts) -> Generator[str, None, None]:
    """Yield a sentence on each problem of a parent's replies."""
    n, cut = len(rollouts.replies), sum(not reply.ended for reply in rollouts.replies)
    if cut == n:
        longest = max(len(reply.ids) for reply in rollouts.replies)
        yield (
            f"The parent never ends its replies: all {n} that were drawn were cut at {longest} tokens. Raise "
            "align.max_tokens, or teach it to reply first."
        )
    if rollouts.is_bounded and not (rollouts.earned > 0).any():
        yield (
            f"None of the {n} replies that the parent drew to validation prompts earned anything, and what never "
            "happens cannot be rewarded: teach it first, by fine-tuning on examples."
        )


def record_validation(
    evaluator: Evaluator,
    state: TrainState,
    figures: Mapping[str, float],
    metric: str,
    value: float,
    loss: float = math.nan,
) -> Generator[Event, None, None]:
    """Record a validation, and yield it. metric, value: what decides which checkpoint is the best."""
    position: dict[str, Any] = {"step": state.step, "tokens": state.tokens, "elapsed_s": evaluator.clock.seconds}
    aligned = AlignMetrics(**position, is_validation=True, figures=tuple(figures.items()))
    yield from evaluator.record.alignment(aligned)
    metrics = ValMetrics(**position, loss=loss, bits_per_byte=None, metric=metric, metric_value=value)
    yield from evaluator.record.validation(metrics)
    state.record_validation(loss, value)
    yield metrics
    yield aligned
