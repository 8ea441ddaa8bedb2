"""Stages that learn from pairs of replies: a reward model, DPO and KTO; and KTO from replies rated without a pair.

Letters in shape comments: B pairs, 2B replies (the chosen ones first), or B rated replies.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from terrarium.models.alignment.log_probs import by_row, reply_log_probs
from terrarium.models.alignment.losses import dpo_loss, kto_loss, orpo_loss, reward_loss, simpo_loss
from terrarium.models.alignment.pairs import EncodedPair, EncodedReply, EncodedRows, Item, label_noise
from terrarium.models.alignment.reward_model import score_batch, scores_of
from terrarium.models.alignment.rollouts import reply_batch
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.events import Event, MicroStep
from terrarium.models.metrics.regression import score_regression
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tasks import REWARD
from terrarium.models.training.evaluator import Evaluator
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.stages.replies import HeldOutReplies, record_validation
from terrarium.models.training.stages.stage import Apply, StageStep, beta_now
from terrarium.models.training.update import Gradients, batch_flops, gradient_norm

PAIRS_AT_ONCE = 8
"""Pairs, or rated replies, in a forward and backward pass: more exceed a CPU's cache."""


ItemT = TypeVar("ItemT", EncodedPair, EncodedReply, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class PairOutcome:
    """The result of an objective for some pairs.

    losses: (B), with gradients. scores: (2, B), of the chosen and the rejected replies, without gradients. more: (2,
    B), by TRL's names. batches: the batches that were read. For rated replies: (1, B) instead of (2, B).
    """

    losses: Tensor
    scores: Tensor
    batches: Sequence[Batch]
    more: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol[ItemT]):
    """An objective on pairs, or on rated replies."""

    n_passes: int
    """Forward passes besides the model's own."""

    def begin(self, items: Sequence[ItemT]) -> Generator[None, None, None]:
        """Compute what needs all items of a step together."""

    def outcome(self, items: Sequence[ItemT]) -> PairOutcome:
        """Compute the outcome of some of the items."""

    def figures(self, items: Sequence[ItemT], outcome: PairOutcome) -> dict[str, float]:
        """Return the figures of an outcome, by TRL's names."""


class RewardObjective:
    """Trains a reward model to score the chosen reply of a pair higher."""

    n_passes = 0

    def __init__(self, context: TrainingContext, align: AlignSpec, reference: None = None) -> None:
        self._model, self._align = context.model, align

    def begin(self, pairs: Sequence[EncodedPair]) -> Generator[None, None, None]:
        yield from ()

    def outcome(self, pairs: Sequence[EncodedPair]) -> PairOutcome:
        sides = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
        batch = score_batch([(*pair.prompt, *reply) for side in sides for pair, reply in zip(pairs, side, strict=True)])
        chosen, rejected = scores_of(self._model, batch).chunk(2)
        noise = label_noise(pairs).to(chosen.device)
        losses = reward_loss(chosen, rejected, label_noise=noise, centre=self._align.centre)
        return PairOutcome(losses=losses, scores=torch.stack((chosen, rejected)).detach().cpu(), batches=[batch])

    def figures(self, pairs: Sequence[EncodedPair], outcome: PairOutcome) -> dict[str, float]:
        """Return the figures of an outcome.

        confidence: the average probability of the reply that it prefers; above its accuracy, it is overconfident.
        spearman_length: the rank correlation of its scores and the numbers of tokens.
        """
        scores = outcome.scores
        gap = (scores[0] - scores[1]).abs()
        lengths = [len(pair.chosen) for pair in pairs] + [len(pair.rejected) for pair in pairs]
        correlation = score_regression(lengths, scores.flatten().tolist(), resamples=0).scores["spearman"]
        clear = [i for i, pair in enumerate(pairs) if pair.is_clear and not pair.is_tie]
        of_clear = _accuracy([pairs[i] for i in clear], scores[:, clear])
        return ({"accuracy/clear": of_clear} if clear else {}) | {
            "accuracy": _accuracy(pairs, scores),
            "margin": float((scores[0] - scores[1]).mean()),
            "mean_reward": float(scores.mean()),
            "min_reward": float(scores.min()),
            "max_reward": float(scores.max()),
            "confidence": float(torch.sigmoid(gap).mean()),
            "spearman_length": correlation.value or 0.0,
        }


class _PolicyObjective:
    """Base class of DPO and KTO: the log-probabilities of replies, by the model and by its reference."""

    n_passes = 1

    def __init__(self, context: TrainingContext, align: AlignSpec, reference: AnyModel) -> None:
        self._model, self._context, self._align, self._reference = context.model, context, align, reference

    def begin(self, pairs: Sequence[EncodedPair]) -> Generator[None, None, None]:
        yield from ()

    def _read(self, pairs: Sequence[EncodedPair]) -> tuple[Batch, Tensor, Tensor]:
        """Return the batch of some pairs, and the log-probabilities (2, B) of its replies: the model's, with
        gradients, and the reference's.
        """
        replies = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        batch = reply_batch([pair.prompt for pair in pairs] * 2, replies)
        of_model, of_reference = log_probs_of_rows(self._model, self._reference, batch)
        return batch, of_model.view(2, -1), of_reference.view(2, -1)

    def _outcome(
        self, pairs: Sequence[EncodedPair], batch: Batch, losses: Tensor, policy: Tensor, reference: Tensor
    ) -> PairOutcome:
        lengths = torch.tensor([[len(pair.chosen) for pair in pairs], [len(pair.rejected) for pair in pairs]])
        change = (policy - reference).detach()
        more = {"logps": policy.detach(), "change": change / lengths}
        return PairOutcome(
            losses=losses, scores=beta_now(self._context, self._align) * change, batches=[batch], more=more
        )

    def figures(self, pairs: Sequence[EncodedPair], outcome: PairOutcome) -> dict[str, float]:
        """Return the figures by TRL's names. logps/…_change: since the start, in nats per token."""
        return _pair_figures(pairs, outcome) | {"kl_coef": beta_now(self._context, self._align)}


class DpoObjective(_PolicyObjective):
    """Makes the chosen reply of a pair likelier than the rejected one, relative to the reference."""

    def outcome(self, pairs: Sequence[EncodedPair]) -> PairOutcome:
        batch, policy, reference = self._read(pairs)
        beta = beta_now(self._context, self._align)
        noise = label_noise(pairs, self._align.label_noise)
        losses = dpo_loss(*policy, *reference, beta=beta, label_noise=noise)
        if self._align.nll_weight:  # as in Iterative RPO (arXiv:2404.19733)
            losses = losses - self._align.nll_weight * policy[0] / torch.tensor([len(pair.chosen) for pair in pairs])
        return self._outcome(pairs, batch, losses, policy, reference)


class _MismatchedKl:
    """KTO's z₀: the KL of a model to its reference, estimated on replies paired with the prompts of other rows."""

    def __init__(self, model: AnyModel, reference: AnyModel) -> None:
        self._model, self._reference = model, reference
        self.value = torch.zeros(())

    def measure(self, asked: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Generator[None, None, None]:
        """Measure on prompts, each with a reply to another prompt, truncated at the context length."""
        room, at_once, ratios = self._model.config.context_length + 1, 2 * PAIRS_AT_ONCE, []
        for i in range(0, len(asked), at_once):
            yield
            prompts, replies = zip(*asked[i : i + at_once], strict=True)
            fitting = [reply[: room - len(prompt)] for prompt, reply in zip(prompts, replies, strict=True)]
            with torch.no_grad():
                batch = reply_batch(prompts, fitting)
                policy, reference = log_probs_of_rows(self._model, self._reference, batch)
            ratios.append(policy - reference)
        self.value = torch.cat(ratios).mean().clamp(min=0)


class KtoObjective(_PolicyObjective):
    """Makes each reply of a pair likelier if it is good, and less likely if it is bad; ties have no gradient."""

    n_passes = 3

    def __init__(self, context: TrainingContext, align: AlignSpec, reference: AnyModel) -> None:
        super().__init__(context, align, reference)
        self._kl = _MismatchedKl(context.model, reference)

    def begin(self, pairs: Sequence[EncodedPair]) -> Generator[None, None, None]:
        others = [*pairs[1:], pairs[0]]
        both = zip(others, pairs, strict=True)
        asked = [(other.prompt, reply) for other, pair in both for reply in (pair.chosen, pair.rejected)]
        yield from self._kl.measure(asked)

    def outcome(self, pairs: Sequence[EncodedPair]) -> PairOutcome:
        batch, policy, reference = self._read(pairs)
        is_good = torch.tensor([[True], [False]]).expand_as(policy)
        losses = _weighed_kto(self._context, self._align, policy, reference, is_good, self._kl.value).mean(0)
        losses = torch.where(torch.tensor([pair.is_tie for pair in pairs]), losses.detach(), losses)
        return self._outcome(pairs, batch, losses, policy, reference)

    def figures(self, pairs: Sequence[EncodedPair], outcome: PairOutcome) -> dict[str, float]:
        return super().figures(pairs, outcome) | {"kl_mismatched": float(self._kl.value)}


class _FreeObjective:
    """What SimPO and ORPO share: the mean log-probability per token of replies, by the model alone."""

    n_passes = 0

    def __init__(self, context: TrainingContext, align: AlignSpec, reference: None = None) -> None:
        self._context, self._align = context, align

    def begin(self, pairs: Sequence[EncodedPair]) -> Generator[None, None, None]:
        yield from ()

    def outcome(self, pairs: Sequence[EncodedPair]) -> PairOutcome:
        replies = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        batch = reply_batch([pair.prompt for pair in pairs] * 2, replies)
        lengths = torch.tensor([len(reply) for reply in replies]).view(2, -1)
        log_probs = by_row(batch, reply_log_probs(self._context.model, batch)).view(2, -1)
        means = log_probs / lengths
        scores = beta_now(self._context, self._align) * means.detach()
        more = {"logps": log_probs.detach()}
        return PairOutcome(losses=self._losses(pairs, means), scores=scores, batches=[batch], more=more)

    def _losses(self, pairs: Sequence[EncodedPair], means: Tensor) -> Tensor:
        """Compute the losses (B) of pairs from the mean log-probabilities (2, B) per token of their replies."""
        raise NotImplementedError

    def figures(self, pairs: Sequence[EncodedPair], outcome: PairOutcome) -> dict[str, float]:
        """Return the figures by TRL's names; a reward is β times the log-probability per token."""
        return _pair_figures(pairs, outcome)


class SimpoObjective(_FreeObjective):
    """The chosen reply becomes likelier per token than the rejected one, by a margin (SimPO)."""

    def _losses(self, pairs: Sequence[EncodedPair], means: Tensor) -> Tensor:
        noise = label_noise(pairs, self._align.label_noise)
        beta = beta_now(self._context, self._align)
        return simpo_loss(*means, beta=beta, margin=self._align.margin, label_noise=noise)


class OrpoObjective(_FreeObjective):
    """The chosen reply is imitated, and its odds rise against those of the rejected one (ORPO); ties say nothing."""

    def _losses(self, pairs: Sequence[EncodedPair], means: Tensor) -> Tensor:
        losses = orpo_loss(*means, beta=beta_now(self._context, self._align))
        return torch.where(torch.tensor([pair.is_tie for pair in pairs]), losses.detach(), losses)


class RatedKtoObjective:
    """KTO from replies that were rated good or bad without a pair (TRL's unpaired data)."""

    n_passes = 3

    def __init__(self, context: TrainingContext, align: AlignSpec, reference: AnyModel) -> None:
        self._context, self._align, self._reference = context, align, reference
        self._kl = _MismatchedKl(context.model, reference)

    def begin(self, replies: Sequence[EncodedReply]) -> Generator[None, None, None]:
        others = [*replies[1:], replies[0]]
        yield from self._kl.measure([(other.prompt, one.reply) for other, one in zip(others, replies, strict=True)])

    def outcome(self, replies: Sequence[EncodedReply]) -> PairOutcome:
        batch = reply_batch([one.prompt for one in replies], [one.reply for one in replies])
        policy, reference = log_probs_of_rows(self._context.model, self._reference, batch)
        is_good = torch.tensor([one.is_good for one in replies])
        losses = _weighed_kto(self._context, self._align, policy, reference, is_good, self._kl.value)
        change = (policy - reference).detach()[None]
        lengths = torch.tensor([len(one.reply) for one in replies])
        return PairOutcome(
            losses=losses,
            scores=beta_now(self._context, self._align) * change,
            batches=[batch],
            more={"logps": policy.detach()[None], "change": change / lengths},
        )

    def figures(self, replies: Sequence[EncodedReply], outcome: PairOutcome) -> dict[str, float]:
        """Return the figures of an outcome, by TRL's names, with good replies as chosen; a kind without replies is
        left out.

        rewards/accuracies: the share of replies that moved the right way.
        """
        [scores], is_good = outcome.scores, torch.tensor([one.is_good for one in replies])
        right = torch.where(is_good, scores > 0, scores < 0)
        found = {
            "rewards/accuracies": float(right.float().mean()),
            "kl_coef": beta_now(self._context, self._align),
            "kl_mismatched": float(self._kl.value),
        }
        for side, mask in (("chosen", is_good), ("rejected", ~is_good)):
            if mask.any():
                found[f"rewards/{side}"] = float(scores[mask].mean())
                found[f"logps/{side}"] = float(outcome.more["logps"][0, mask].mean())
                found[f"logps/{side}_change"] = float(outcome.more["change"][0, mask].mean())
        if is_good.any() and not is_good.all():
            found["rewards/margins"] = found["rewards/chosen"] - found["rewards/rejected"]
        return found


def _weighed_kto(
    context: TrainingContext, align: AlignSpec, policy: Tensor, reference: Tensor, is_good: Tensor, kl: Tensor
) -> Tensor:
    """Return the weighted losses of replies; all tensors have the same shape."""
    losses = kto_loss(policy, reference, is_good, kl, beta=beta_now(context, align))
    return losses * torch.where(is_good, align.desirable_weight, align.undesirable_weight)


def unbalanced(n_good: int, n_bad: int, align: AlignSpec) -> str:
    """Return a warning if the total weights of good and bad replies are far from balanced, else "".

    Their ratio should lie between 1 and 4/3 (KTO, arXiv:2402.01306, equation 8).
    """
    if not n_good or not n_bad:
        kind = "good" if n_good else "bad"
        return f"All {n_good + n_bad:,} replies were called {kind}: KTO needs some of both to tell them apart."
    ratio = align.desirable_weight * n_good / max(align.undesirable_weight * n_bad, 1e-9)
    if n_good == n_bad or 0.99 <= ratio <= 1.34:
        return ""
    low = align.undesirable_weight * n_bad / n_good
    return (
        f"{n_good:,} replies were called good, and {n_bad:,} bad. So that both weigh about the same, set "
        f"align.desirable_weight to between {low:.2f} and {low * 4 / 3:.2f}; it is {align.desirable_weight:g}."
    )


class PreferenceStage(Generic[Item]):
    """Steps on pairs, or on rated replies, `batch_size` · `grad_accum_steps` of them in each."""

    def __init__(
        self,
        context: TrainingContext,
        config: TrainConfig,
        objective: Objective[Item],
        rows: EncodedRows[Item],
        held_out: EncodedRows[Item] | None,
        replies: HeldOutReplies | None,
        evaluator: Evaluator,
    ) -> None:
        """held_out: validation rows; None if the run never validates. replies: those drawn at validations."""
        self._context, self._config = context, config
        self._objective: Objective[Item] = objective
        self._rows: EncodedRows[Item] = rows
        self._replies, self._evaluator = replies, evaluator
        n_held_out = config.eval_batches * config.batch_size
        self._held_out: list[Item] = held_out.spread(n_held_out) if held_out is not None else []

    def step(self, step: int, lr_multiple: float, apply: Apply) -> Generator[Event, None, StageStep]:
        """Make one update; without one if there is no gradient at all, as for ties."""
        began = time.perf_counter()
        items = self._rows.of_step(step, self._config.batch_size * self._config.grad_accum_steps)
        outcome = yield from self._outcome(items, step, learns=True)
        context = self._context
        norm = gradient_norm(context)
        forward = sum(batch_flops(context.model.config, batch) for batch in outcome.batches)
        gradients = Gradients(
            loss=float(outcome.losses.mean()),
            norm=norm,
            n_tokens=sum(batch.count_tokens(padded=True) for batch in outcome.batches),
            flops=round((context.training_factor + self._objective.n_passes) * forward),
        )
        if norm != 0:
            apply(gradients)
        figures = self._objective.figures(items, outcome)
        return StageStep(gradients=gradients, figures=figures | {"seconds/update": time.perf_counter() - began})

    def validate(self, state: TrainState) -> Generator[Event, None, bool]:
        """Evaluate the held-out rows, and replies to their prompts, if due."""
        if not self._held_out or not self._evaluator.is_validation_due(state):
            return False
        outcome = yield from self._outcome(self._held_out, state.step, learns=False)
        figures = self._objective.figures(self._held_out, outcome) | {"held_out/pairs": float(len(self._held_out))}
        drawn: dict[str, float] | None = {}
        if self._replies is not None:
            drawn = yield from self._replies.measure(state)
        if drawn is None or self._evaluator.is_stopping():
            return False
        loss = float(outcome.losses.mean())
        metric, value = "accuracy", figures.get("accuracy", figures.get("rewards/accuracies", 0.0))
        if "reward" in drawn:
            metric, value = REWARD, drawn["reward"]
        yield from record_validation(self._evaluator, state, figures | drawn | {"loss": loss}, metric, value, loss)
        return True

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def _outcome(self, items: Sequence[Item], step: int, *, learns: bool) -> Generator[Event, None, PairOutcome]:
        """Compute the outcome of all items. If it `learns`, add the gradients of the mean loss to the weights'."""
        self._context.model.eval()  # dropout would make a difference between two equal models
        for _ in self._objective.begin(items):
            yield MicroStep(step=step + 1, micro_step=0)
        parts: list[PairOutcome] = []
        for i in range(0, len(items), PAIRS_AT_ONCE):
            if i:
                yield MicroStep(step=step + 1, micro_step=i // PAIRS_AT_ONCE)
            with torch.set_grad_enabled(learns):
                part = self._objective.outcome(items[i : i + PAIRS_AT_ONCE])
                if learns and part.losses.requires_grad:
                    (part.losses.sum() / len(items)).backward()
            parts.append(part)
        return PairOutcome(
            losses=torch.cat([part.losses.detach().cpu() for part in parts]),
            scores=torch.cat([part.scores for part in parts], dim=1),
            batches=[batch for part in parts for batch in part.batches],
            more={name: torch.cat([part.more[name] for part in parts], dim=1) for name in parts[0].more},
        )


def log_probs_of_rows(model: AnyModel, reference: AnyModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of whole replies (rows) by a model, with gradients, and by its reference."""
    with torch.no_grad():
        of_reference = by_row(batch, reply_log_probs(reference, batch))
    return by_row(batch, reply_log_probs(model, batch)), of_reference


def _pair_figures(pairs: Sequence[EncodedPair], outcome: PairOutcome) -> dict[str, float]:
    """Return the rewards and the log-probabilities of both sides, their margin, and the share of pairs in order."""
    found = {}
    for i, side in enumerate(("chosen", "rejected")):
        found[f"rewards/{side}"] = float(outcome.scores[i].mean())
        for name, key in (("logps", f"logps/{side}"), ("change", f"logps/{side}_change")):
            if name in outcome.more:
                found[key] = float(outcome.more[name][i].mean())
    return found | {
        "rewards/margins": float((outcome.scores[0] - outcome.scores[1]).mean()),
        "rewards/accuracies": _accuracy(pairs, outcome.scores),
    }


def _accuracy(pairs: Sequence[EncodedPair], scores: Tensor) -> float:
    """Return the share of pairs, except ties, whose chosen reply has the higher of two scores (2, B)."""
    right = [float(a > b) for pair, a, b in zip(pairs, *scores.tolist(), strict=True) if not pair.is_tie]
    return sum(right) / len(right) if right else 0.0
