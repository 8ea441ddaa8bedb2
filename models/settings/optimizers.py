"""The optimizers that there are: what they are called, what they remember, and which settings are theirs. No torch.

Their code, by the same names: models.training.optim.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTS = {1: "one", 2: "two"}


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """A choice of `TrainConfig.optimizer`.

    title: its name on screen. help: what is said of it beside the others. lr_of: whose updates the setting `lr` sizes.
    highest: its learning rates, as settings of TrainConfig, and what no remedy raises them beyond; `lr` is the first.
    lr_trial: the ends of the ramp of `lr` when a learning rate is looked for.
    matrix_states, other_states: numbers kept for each weight, of the matrices of the blocks and of all others.
    orthogonalises: whether an update of those matrices is made of all of one shape together (Muon).
    keeps_sizes: whether `beta2` is how long it remembers the sizes of gradients, to divide by them.
    """

    title: str
    help: str
    lr_of: str
    highest: dict[str, float]
    lr_trial: tuple[float, float]
    matrix_states: int
    other_states: int
    orthogonalises: bool = False
    keeps_sizes: bool = True

    @property
    def rates(self) -> tuple[str, ...]:
        """The settings that are its learning rates."""
        return tuple(self.highest)

    @property
    def kept(self) -> str:
        """How many numbers it keeps for each weight, in words."""
        of_matrices = f"{COUNTS[self.matrix_states]} number{'s' * (self.matrix_states > 1)} for each weight"
        if self.matrix_states == self.other_states:
            return of_matrices
        return f"{of_matrices} of the blocks, {COUNTS[self.other_states]} for the others"


OPTIMIZERS = {
    "muon": Optimizer(
        title="Muon",
        help="Muon (with AdamW for the vectors and tables) learns in fewer steps",
        lr_of="AdamW",
        highest={"lr": 0.01, "muon_lr": 0.05},
        lr_trial=(1e-5, 1.0),
        matrix_states=1,
        other_states=2,
        orthogonalises=True,
    ),
    "adamw": Optimizer(
        title="AdamW",
        help="AdamW is what most published models used",
        lr_of="AdamW",
        highest={"lr": 0.01},
        lr_trial=(1e-5, 1.0),
        matrix_states=2,
        other_states=2,
    ),
    "lion": Optimizer(
        title="Lion",
        help="Lion keeps one number for each weight, and wants a third to a tenth of AdamW's learning rate",
        lr_of="Lion",
        highest={"lr": 0.003},
        lr_trial=(1e-6, 0.1),
        matrix_states=1,
        other_states=1,
        keeps_sizes=False,
    ),
}
"""By name, in the order of the form."""
