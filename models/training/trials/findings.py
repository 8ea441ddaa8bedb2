"""What is found out about a run before it starts: data, cost, a learning rate, a batch size. No torch import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.events import Event
from models.settings.run_spec import RunSpec
from models.tokenizers.codec import Piece

# -- Its data ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """Tokens side by side; `predicted`, `hidden` and `changed` (replaced by another one) are places in `pieces`."""

    pieces: tuple[Piece, ...]
    predicted: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    n_left_out: int = 0
    """Tokens behind them that are not shown."""


@dataclass(frozen=True, kw_only=True)
class PreviewExample:
    """What the model reads (None where it reads what it has written: a decoder), and what it is to say."""

    reads: TokenRow | None
    says: TokenRow


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """How much text a split is; `n_examples` is 0 where it is one long text."""

    split: str
    n_tokens: int
    n_bytes: int
    n_examples: int


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How many texts have which length in tokens: `counts` of bins as wide as `width`; the last one holds all longer.

    unit: "examples" or "lines". n_cut: those longer than the context, of which the rest is never read.
    """

    unit: str
    counts: tuple[int, ...]
    width: int
    longest: int
    median: int
    n_cut: int = 0


@dataclass(frozen=True, kw_only=True)
class DataPreview(Event):
    """All of it. `objective`: see objective_of. `epochs`: how often the run reads the training text."""

    objective: str
    examples: tuple[PreviewExample, ...]
    splits: tuple[SplitFacts, ...]
    lengths: Lengths
    epochs: float
    vocab_size: int = 0
    problems: tuple[str, ...] = field(default=())
    """What will go wrong, in sentences: a validation text too short, for example."""


# -- Its cost ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunCost(Event):
    """What the steps took. Where it does not fit, what was not measured is None.

    peak_bytes: the most that torch held (None where none can tell); available_bytes: free main memory, or all of a
    GPU's; estimated_bytes: models.cost.memory of the same. seconds: of the whole run: `training_s` of its steps,
    `validation_s` and `samples_s` of the looks at it on the way; loading and saving come on top.
    """

    spec: RunSpec
    device: str
    precision: str
    fits: bool
    is_tried: bool
    estimated_bytes: int
    available_bytes: int | None
    peak_bytes: int | None = None
    ms_per_step: float | None = None
    tokens_per_s: float | None = None
    training_s: float = 0.0
    validation_s: float = 0.0
    samples_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.training_s + self.validation_s + self.samples_s


# -- A learning rate --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LrPoint(Event):
    """One step: the learning rate `lr`, the loss there (nats per token), and its moving average so far."""

    lr: float
    loss: float
    smoothed: float


@dataclass(frozen=True, kw_only=True)
class LrFound(Event):
    """What the trial says. The rates are None where the loss hardly fell.

    suggestion: where the smoothed loss falls most steeply; `low` to `high`: where it falls at least half as steeply,
    which is as far as the suggestion can be trusted. ratios: the optimizer's other rates, by setting, as multiples of
    `lr`. exploded: the trial ended early.
    """

    points: tuple[LrPoint, ...]
    suggestion: float | None
    low: float | None
    high: float | None
    ratios: Mapping[str, float]
    exploded: bool


# -- A batch size -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BatchPoint(Event):
    """One batch size. tokens_per_s and peak_bytes are None where it did not fit, the latter also where none can tell.

    is_tried: False where the sizes before it showed that it cannot fit, so that it was left out.
    """

    batch_size: int
    fits: bool
    tokens_per_s: float | None = None
    peak_bytes: int | None = None
    is_tried: bool = True


@dataclass(frozen=True, kw_only=True)
class BatchFound(Event):
    """What the trial says.

    largest: the largest size that fits, None where not even 1 does, or where memory was never the limit. fastest: the
    smallest size that is (nearly) as fast as any. batch_size and grad_accum_steps: what to use, with as many texts in
    an update as was wanted, or a few more. limit_bytes: the memory that there was.
    """

    points: tuple[BatchPoint, ...]
    largest: int | None
    fastest: int | None
    batch_size: int | None
    grad_accum_steps: int
    limit_bytes: int | None
