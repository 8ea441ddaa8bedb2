"""The learning-rate range test: a short training in which the rate grows from far too small to far too large.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2015, arXiv:1506.01186), section 3.3, with an
exponential ramp. The smoothed loss falls at useful rates and rises where they are too large.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

import numpy as np

from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec, TrainConfig
from terrarium.models.training.batches import make_batches_events
from terrarium.models.training.estimates.findings import LrFound, LrPoint
from terrarium.models.training.estimates.trial import make_trial, out_of_memory_as_sentence
from terrarium.models.training.prepare import prepare_trial

N_STEPS = 120
EXPLODES = 4.0
"""The test ends when the smoothed loss exceeds this many times its lowest value."""

SMOOTHING = 0.9
"""The decay of the exponential moving average of the loss."""

MIN_FALL = 0.02
"""The loss must fall by this share of the first loss, or the test is inconclusive."""


def find_lr(
    library: Library, spec: RunSpec, device: str = "auto", *, n_steps: int = N_STEPS
) -> Generator[Event, None, LrFound]:
    """Train a new model of `spec` on its own data for `n_steps` with a growing rate. Yields Phase, Progress, LrPoint.

    No run is created, and torch's random state is preserved at each event; text and tokenizer stay in the library for
    the run itself. All of its settings apply except schedule and warm-up.

    Raises:
        ValueError: if the run could not train.
    """
    prepared = yield from prepare_trial(library, spec)
    yield Phase(name="Trying learning rates")
    choice = choose_device(device)
    train = prepared.spec.train
    batches = yield from make_batches_events(
        prepared.corpus,
        prepared.tokenizer,
        prepared.spec.batch_model,
        train,
        template=prepared.template,
        old=prepared.old,
        old_share=prepared.spec.old_share,
        labels=prepared.spec.data.labels,
    )
    points: list[LrPoint] = []
    lowest, highest = train.optimizer_info.lr_range  # other rates keep their ratio to this one
    yield Progress(done=0, total=n_steps)
    with out_of_memory_as_sentence(choice.device):
        trial = make_trial(prepared, batches, choice)
    try:
        exploded, average = False, 0.0
        while len(points) < n_steps and not exploded:
            i = len(points)
            lr = lowest * (highest / lowest) ** (i / max(1, n_steps - 1))
            with out_of_memory_as_sentence(choice.device):
                loss = trial.step(i, lr / train.lr).loss
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            smoothed = average / (1 - SMOOTHING ** (i + 1))
            if not math.isfinite(loss):
                exploded = True
                break
            points.append(LrPoint(lr=lr, loss=loss, smoothed=smoothed))
            exploded = smoothed > EXPLODES * min(point.smoothed for point in points)
            yield points[-1]
            yield Progress(done=i + 1, total=n_steps)
    finally:
        trial.free()
    return lr_from_trial(points, train, exploded=exploded)


def lr_from_trial(points: Sequence[LrPoint], train: TrainConfig, *, exploded: bool) -> LrFound:
    """Return the learning rate suggested by the points of a test, in their order.

    The rule is the steepest fall of the smoothed loss: in full trainings of small decoders and encoders it came within
    a factor of 3 of the best rate, and below it. The other common rule, a tenth of the rate with the lowest loss, was
    up to 5 times too high for AdamW.
    """
    suggestion = low = high = None
    if len(points) > 2:
        rates = np.array([point.lr for point in points])
        smoothed = np.array([point.smoothed for point in points])
        end = int(smoothed.argmin()) + 1
        slopes = np.gradient(smoothed, np.log(rates))[:end]
        if smoothed[0] - smoothed.min() > MIN_FALL * smoothed[0]:
            steepest = int(slopes.argmin())
            steep = slopes <= slopes[steepest] / 2
            first, last = steepest, steepest
            while first > 0 and steep[first - 1]:
                first -= 1
            while last < end - 1 and steep[last + 1]:
                last += 1
            suggestion, low, high = rounded(rates[steepest]), float(rates[first]), float(rates[last])
    return LrFound(
        points=tuple(points),
        suggestion=suggestion,
        low=low,
        high=high,
        ratios={name: rate / train.lr for name, rate in train.learning_rates.items() if name != "lr"},
        exploded=exploded,
    )


def rounded(rate: float) -> float:
    """Round a rate to the precision of such a test: one digit, or two if it starts with 1."""
    return float(f"{rate:.1e}" if f"{rate:e}"[0] == "1" else f"{rate:.0e}")
