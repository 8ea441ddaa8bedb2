"""Measures the calibration of a model's predictions, and the temperature that mends it, on batches of held-out texts.

Letters in shape comments: N predictions, K outcomes, B texts, G grid points.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.data.batches import Batches
from terrarium.models.events import Progress
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling import check_finite
from terrarium.models.metrics.calibration import (
    INVERSE_TEMPERATURES,
    AtTemperature,
    Calibration,
    best_temperature,
    mean_by_text,
    reliability,
)
from terrarium.models.tasks.forward import batch_states, span_logits, task_logits

MAX_PREDICTIONS = 20_000
TOP = 10
"""How many of the most likely outcomes of each prediction are compared with what happened."""
_LOGITS_AT_ONCE = 1 << 22
_NEVER = -1e9
"""The logit of an outcome that cannot be, in place of −∞, whose product with 0 is undefined."""


@dataclass
class _Outcomes:
    """What is kept of the predictions that are judged, at one temperature."""

    nll: list[Tensor] = field(default_factory=list)
    chances: list[Tensor] = field(default_factory=list)  # (N, TOP), the most likely first


def measure_calibration(
    model: AnyModel,
    batches: Batches,
    *,
    data: str,
    max_predictions: int = MAX_PREDICTIONS,
    seconds: float = math.inf,
    seed: int = 0,
) -> Generator[Progress, None, Calibration]:
    """Measure the calibration of the model's most likely tokens or labels. Yields Progress; closing it cancels.

    The temperature is fitted on every other batch, in random order, and judged on the others.

    Args:
        batches: of held-out texts, for what the model was trained to predict; the weights of targets do not matter.
        data: the name of the texts.
        max_predictions, seconds: the limits; at least one batch is read for fitting, and one for judging.

    Raises:
        ValueError: if the model gives no probabilities, or there are fewer than two batches.
    """
    check_has_probabilities(model)
    if batches.n_batches < 2:
        raise ValueError(
            f"There is too little text in {data} to fit a temperature on one half and judge it on the other."
        )
    began = time.monotonic()
    order = np.random.default_rng(seed).permutation(batches.n_batches).tolist()
    slopes = list[Tensor]()
    n_fitted, n_texts, limit = 0, 0, max(1, max_predictions // 2)
    for number in order[::2]:
        batch = batches.batch(number)
        slopes.append(torch.zeros(len(batch.inputs), len(INVERSE_TEMPERATURES), dtype=torch.float64))
        for logits, targets, rows in _predictions(model, batch):
            slopes[-1].index_add_(0, rows, _slopes(logits, targets))
            n_fitted += len(targets)
        n_texts += len(batch.inputs)
        elapsed = time.monotonic() - began
        yield Progress(done=min(n_fitted, limit), total=2 * limit)
        if n_fitted >= limit or elapsed >= seconds / 2:
            break
    temperature = best_temperature(_read_texts(torch.cat(slopes).numpy()))
    before, after = _Outcomes(), _Outcomes()
    hits, texts = list[Tensor](), list[Tensor]()
    n_judged, n_rows = 0, 0
    for number in order[1::2]:
        batch = batches.batch(number)
        for logits, targets, rows in _predictions(model, batch):
            best = logits.topk(min(TOP, logits.size(1)), dim=1).indices
            hits.append(best == targets[:, None])
            texts.append(rows + n_rows)
            for outcomes, scale in ((before, 1.0), (after, 1 / temperature.value)):
                logs = F.log_softmax(scale * logits, dim=1)
                outcomes.nll.append(-logs.gather(1, targets[:, None])[:, 0])
                outcomes.chances.append(logs.gather(1, best).exp())
            n_judged += len(targets)
        n_rows += len(batch.inputs)
        yield Progress(done=limit + min(n_judged, limit), total=2 * limit)
        if n_judged >= limit or time.monotonic() - began >= seconds:
            break
    if not n_fitted or not n_judged:
        raise ValueError(f"There is nothing to predict in {data}: choose another text.")
    right = torch.cat(hits).numpy()
    text = np.unique(torch.cat(texts).numpy(), return_inverse=True)[1]
    nll = [torch.cat(outcomes.nll).double().numpy() for outcomes in (before, after)]
    judged = [
        _judge(value, of_nll, torch.cat(outcomes.chances).double().numpy(), right, text)
        for value, of_nll, outcomes in zip((1.0, temperature.value), nll, (before, after), strict=True)
    ]
    return Calibration(
        data=data,
        what="token" if model.config.head == "language" else "label",
        n_fitted=n_fitted,
        n_fitted_texts=n_texts,
        n_judged=n_judged,
        n_judged_texts=int(text.max()) + 1,
        temperature=temperature,
        accuracy=mean_by_text(right[:, 0].astype(np.float64), text),
        before=judged[0],
        after=judged[1],
        nll_change=mean_by_text(nll[1] - nll[0], text),
        seconds=time.monotonic() - began,
    )


def check_has_probabilities(model: AnyModel) -> None:
    """Raise ValueError if a model gives no probabilities of tokens or labels."""
    if model.config.head == "none":
        raise ValueError("This model has no head, so it predicts nothing: choose another model.")
    if model.config.head == "sequence" and model.config.n_label == 1:
        raise ValueError("This model answers with a number, which has no probability: choose another model.")


def _predictions(model: AnyModel, batch: Batch) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield logits (N, K) float32, at most 0, targets (N) and the row of each in the batch (N), on the CPU, in parts.

    Raises:
        ValueError: if targets are no outcomes with probabilities, or a logit is not finite.
    """
    if batch.task == "regression" or (not batch.task and batch.candidates is not None):
        raise ValueError("What this model answers has no probabilities to calibrate: choose another model.")
    if not batch.task:
        with evaluating(model):
            states = batch_states(model, batch, counted=batch.counted)
        rows = batch.counted // batch.targets.size(1)
        targets = batch.targets.flatten()[batch.counted]
        n_outcomes = model.config.vocab_size if model.config.head == "language" else model.config.n_label
        size = max(1, _LOGITS_AT_ONCE // n_outcomes)
        for part in range(0, len(targets), size):
            with evaluating(model):
                logits = model.logits(states[part : part + size]).float().cpu()
            yield _shifted(logits), targets[part : part + size], rows[part : part + size]
        return
    with evaluating(model):
        logits = task_logits(model, batch).float().cpu()
        targets, rows = batch.targets, torch.arange(len(logits))
        if batch.task == "multi-label":  # each label is a prediction of its own: no or yes
            rows = rows.repeat_interleave(logits.size(1))
            logits = torch.stack((torch.zeros_like(logits), logits), dim=2).flatten(0, 1)
        elif batch.task == "span":  # the start and the end of the answer
            rows = rows.repeat_interleave(2)
            logits = span_logits(logits, batch).flatten(0, 1).masked_fill(~_allowed(batch), _NEVER)
    yield _shifted(logits), targets.long().flatten(), rows


def _allowed(batch: Batch) -> Tensor:
    """Return where an answer can begin or end, for start and end: (2 B, T) bool."""
    assert batch.candidates is not None
    return batch.candidates.repeat_interleave(2, dim=0)


def _shifted(logits: Tensor) -> Tensor:
    """Return logits whose largest is 0; ValueError if they are not finite."""
    check_finite(logits)
    return logits - logits.amax(dim=1, keepdim=True)


def _slopes(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the slope of the negative log-likelihood at INVERSE_TEMPERATURES, (N, G) float64.

    At the inverse temperature β, it is the mean of the logits under softmax(β · logits), minus the target's logit.
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    found = [((scale * logits).softmax(dim=1) * logits).sum(dim=1) - own for scale in INVERSE_TEMPERATURES.tolist()]
    return torch.stack(found, dim=1).double()


def _read_texts(slopes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Leave out texts without predictions."""
    return slopes[np.any(slopes != 0, axis=1)]


def _judge(
    temperature: float,
    nll: npt.NDArray[np.float64],
    chances: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    text: npt.NDArray[np.int64],
) -> AtTemperature:
    top = chances.shape[1]
    return AtTemperature(
        temperature=temperature,
        nll=mean_by_text(nll, text),
        best=reliability(chances[:, 0], right[:, 0], text),
        top=reliability(chances.ravel(), right.ravel(), text.repeat(top)),
    )
