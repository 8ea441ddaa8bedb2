"""The types of the entries of the tables that extensions add to, and of an extension's declaration. No torch.

They import nothing of Terrarium, so that a declaration can be read while any table is being made. The tables, by the
same names: models.settings.optimizers, .sampling_config and .stage_kinds, and models.metrics.metrics_table.

`code` is the “module:attribute” of an extension's code, imported when it is first used; "" for an entry of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COUNTS = {0: "no", 1: "one", 2: "two"}
REFERENCE, JUDGE, CRITIC = "reference", "judge", "critic"


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """A choice of `TrainConfig.optimizer`.

    title: its name on screen. help: its clause in the help of the setting. lr_of: the optimizer that `lr` belongs to.
    max_lrs: its learning rates, as settings of TrainConfig (`lr` first), with the limit up to which advice raises them;
    an extension has only `lr`.
    lr_range: the range of `lr` that the learning rate finder sweeps.
    matrix_states, other_states: optimizer state values per weight, for the blocks' matrices and for all other weights.
    orthogonalises: whether matrices of the same shape are updated together and orthogonalised (Muon).
    has_second_moment: whether it divides by a running mean of squared gradients, with the decay `beta2`.
    code: an extension's function (groups, train) -> torch.optim.Optimizer, with parameter groups {"params", "lr",
    "weight_decay"} and the TrainConfig.
    """

    title: str
    help: str
    lr_of: str
    max_lrs: dict[str, float]
    lr_range: tuple[float, float]
    matrix_states: int
    other_states: int
    orthogonalises: bool = False
    has_second_moment: bool = True
    code: str = ""

    @property
    def lr_names(self) -> tuple[str, ...]:
        """The names of its learning rate settings."""
        return tuple(self.max_lrs)

    @property
    def state_size(self) -> str:
        """The size of its state in words, such as “two numbers per weight”."""
        of_matrices = f"{COUNTS[self.matrix_states]} number{'s' * (self.matrix_states != 1)} per weight"
        if self.matrix_states == self.other_states:
            return of_matrices
        return f"{of_matrices} of the blocks, {COUNTS[self.other_states]} for the others"


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """A sampling step of an extension that removes tokens, switched on by a setting of SamplingConfig of its name.

    title, help: the label and the help of the setting. default: the value at which the step does nothing, a whole
    number or a float, which decides the type. range: the lowest and the highest value. code: a function
    (given, value) -> mask (V,) of the tokens to keep, with a models.inference.sampling_steps.TruncationInput.
    """

    title: str
    help: str
    default: int | float
    range: tuple[float, float]
    code: str


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric.

    title: its name on screen. help: a one-line explanation. unit: “share” (0 to 1, shown in percent), “points” (0 to
    100, as in the literature) or “number”. higher_is_better: None if neither direction is better. tasks: of an
    extension's metric, the tasks that report it (models.settings.tasks). code: an extension's function
    (gold, predicted) -> float of one item; the metric is the mean.
    """

    title: str
    help: str
    unit: str
    higher_is_better: bool | None = True
    tasks: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class StageWords:
    """The displayed texts, icon and colour of a stage.

    offer: its name in the form. does: its description, a sentence. title: its short name. learned: its description in
    lineage. icon: one of qtawesome's Phosphor icons. tone: its colour in charts, "" for none. explained: its clause in
    the help of the setting `stage`. writes_none: why its runs have no replies to show, "" if they have.
    """

    offer: str
    does: str
    title: str
    learned: str
    icon: str
    explained: str
    tone: str = ""
    writes_none: str = ""


@dataclass(frozen=True, kw_only=True)
class StageKind:
    """A stage of alignment.

    Args:
        objectives: task of a dataset → “module:class” of the objective or stage, imported when a run needs it; the
            usual task first.
        options: the settings of AlignSpec that have an effect.
        needs: a subset of REFERENCE (a frozen copy of the parent), JUDGE (of drawn replies) and CRITIC.
        head: the model's head: "language", or "regression" for a model that scores replies.
        usual, usual_train: the recommended settings of AlignSpec and TrainConfig that differ from their defaults.
        checks: the diagnoses that apply to its runs (models.diagnosis).
        min_batch_size: the smallest train.batch_size.
        guess_is_known: whether a random guess has a known loss, to compare losses with.
        needs_beta: whether the model learns nothing with a β of 0.
    """

    name: str
    words: StageWords
    objectives: Mapping[str, str]
    options: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    head: str = "language"
    usual: Mapping[str, Any] = field(default_factory=dict)
    usual_train: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    min_batch_size: int = 1
    guess_is_known: bool = True
    needs_beta: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the datasets that the stage learns from (models.settings.tasks), the usual one first."""
        return tuple(self.objectives)

    @property
    def draws(self) -> bool:
        """Whether the stage draws replies to prompts and learns from their rewards."""
        return JUDGE in self.needs


@dataclass(frozen=True, kw_only=True)
class Extension:
    """The declaration of an extension: what it adds, by name. Names are lower case, such as “sign_sgd”.

    title: its name on screen. help: what it is for, a sentence. blocks: files of blocks, relative to the folder of the
    module that declares the extension.
    """

    title: str
    help: str
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)
    sampling_steps: Mapping[str, Truncation] = field(default_factory=dict)
    stages: Mapping[str, StageKind] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()
