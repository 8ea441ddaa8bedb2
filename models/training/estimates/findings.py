"""Results of trials before a run starts: data, cost, learning rate, batch size. No torch import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from terrarium.models.events import Event
from terrarium.models.extensions.entries import CRITIC
from terrarium.models.number_words import format_percent
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tasks.seen_example import TokenRow

# -- Its data ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PreviewExample:
    """The model's input (None for a decoder, which reads its own output), and its target."""

    source: TokenRow | None
    target: TokenRow


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """The size of a split; `n_examples` is 0 if it is one long text."""

    split: str
    n_tokens: int
    n_bytes: int
    n_examples: int


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """A histogram of text lengths in tokens: `counts` of bins of `width`; the last bin includes all longer texts.

    unit: "examples" or "lines", after "sampled" if there are too many to count all. n_cut: the number of all texts
    longer than `limit` tokens, which are truncated.
    """

    unit: str
    counts: tuple[int, ...]
    width: int
    longest: int
    median: int
    n_cut: int = 0
    limit: int = 0


@dataclass(frozen=True, kw_only=True)
class DataPreview(Event):
    """A preview of a run's data. `objective`: see objective_of. `epochs`: how often the run reads the training text."""

    objective: str
    examples: tuple[PreviewExample, ...]
    splits: tuple[SplitFacts, ...]
    lengths: Lengths
    epochs: float
    vocab_size: int = 0
    problems: tuple[str, ...] = field(default=())
    """Expected problems, in sentences, such as a validation text that is too short."""


# -- Its cost ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunCost(Event):
    """The measured cost of a run. If it does not fit, what was not measured is None.

    peak_bytes: torch's peak memory (None if it cannot be measured). available_bytes: free main memory, or all of a
    GPU's. estimated_bytes: the estimate of models.design.memory. seconds: of the whole run: `training_s` of its steps,
    `validation_s` and `samples_s` of its evaluations; loading and saving are not included.
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
        """The seconds of the whole run."""
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
    """The result of a learning-rate range test. The rates are None if the loss hardly fell.

    suggestion: where the smoothed loss falls most steeply; `low` to `high`: where it falls at least half as steeply,
    the range in which the suggestion can be trusted. ratios: the optimizer's other rates, by setting, as multiples of
    `lr`. exploded: the test ended early.
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
    """One batch size. If it does not fit, tokens_per_s and peak_bytes are None; the latter also if it cannot be
    measured.

    is_tried: False if smaller sizes showed that it cannot fit.
    """

    batch_size: int
    fits: bool
    tokens_per_s: float | None = None
    peak_bytes: int | None = None
    is_tried: bool = True


@dataclass(frozen=True, kw_only=True)
class BatchFound(Event):
    """The result of a batch-size search.

    largest: the largest size that fits; None if not even 1 does, or if memory was never the limit. fastest: the
    smallest size that is (nearly) as fast as any. batch_size and grad_accum_steps: the settings to use, with at least
    as many texts per update as the run asks for. limit_bytes: the available memory.
    """

    points: tuple[BatchPoint, ...]
    largest: int | None
    fastest: int | None
    batch_size: int | None
    grad_accum_steps: int
    limit_bytes: int | None


# -- A base rate ------------------------------------------------------------------------------------------

_TOO_RARE, _TOO_OFTEN = 0.01, 0.95
_PASS, _PASSES_TO_LEARN = 0.22, 3
"""`_PASS`: the time of a forward pass over replies as a share of the time to draw them: 0.2 to 0.3, measured on a CPU
with 500,000 parameters (a GRPO step takes twice as long as its drawing, a PPO step 4 to 6 times as long).
`_PASSES_TO_LEARN`: the cost of a forward and backward pass, in forward passes.
"""


@dataclass(frozen=True, kw_only=True)
class BaseRate(Event):
    """The rewards of the parent's replies to held-out prompts, before a run learns from rewards.

    n_replies: to each prompt. reward: their mean. right, found: the shares of right replies, and of prompts with a
    right reply; None if the reward is unbounded. signal: the share of prompts whose replies earned different rewards.
    gold: the share that fulfils the intended goal, None if no judge measures it. ended: the share that ended with an
    end token within `max_tokens`. mean_length: in tokens.
    """

    wish: str
    n_prompts: int
    n_replies: int
    reward: float
    right: float | None
    found: float | None
    signal: float
    gold: float | None
    ended: float
    mean_length: float
    max_tokens: int
    seconds_per_reply: float

    @property
    def is_learnable(self) -> bool:
        """Whether rewards differ, and right replies are neither too rare nor too frequent to learn from."""
        if self.right is not None and not _TOO_RARE <= self.right <= _TOO_OFTEN:
            return False
        return self.signal > 0

    @property
    def sentence(self) -> str:
        """What the base rate means for the run, in a sentence for the user."""
        n, share = self.n_prompts * self.n_replies, format_percent(self.right or 0.0, int((self.right or 0) < 0.1))
        if self.right is None:
            words = (
                f"Its replies earn {self.reward:.2f} on average, and of {format_percent(self.signal)} of the prompts "
                "some earn more than others: there is something to learn from."
            )
        elif self.right == 0:
            words = (
                f"None of {n:,} replies is right. What never happens cannot be rewarded: teach it first, from texts."
            )
        elif self.right < _TOO_RARE:
            words = f"Only {share} of the replies are right, so most steps would see none: teach it first, from texts."
        elif self.right > _TOO_OFTEN:
            words = f"{share} of the replies are right already: choose a harder wish."
        else:
            found = format_percent(self.found or 0.0)
            words = (
                f"{share} of the replies are right, and {found} of the prompts have a right one among "
                f"{self.n_replies}: there is something to learn from."
            )
        if self.ended < 0.9:
            cut = format_percent(1 - self.ended)
            words += f" {cut} of the replies are cut at {self.max_tokens:,} tokens: allow more."
        return words

    def seconds(self, n_steps: int, align: AlignSpec) -> float:
        """Estimate the seconds of `n_steps` of an alignment: drawing replies, reading them, and learning from them."""
        has_critic = CRITIC in align.kind.needs
        n_read = 2 + has_critic + len(align.reward_models)  # by the model and its parent, the critic, the reward models
        n_learned = 2 * align.n_epochs if has_critic else 1  # by the model and its critic; by the model
        passes = n_read + _PASSES_TO_LEARN * n_learned
        n_replies = n_steps * align.n_prompts * align.n_replies
        return self.seconds_per_reply * n_replies * (1 + _PASS * passes)
