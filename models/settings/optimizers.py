"""The available optimizers: their names, state and settings. No torch.

Their code, by the same names: models.training.optim.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNTS = {1: "one", 2: "two"}
BATCHED = 128 * 128
"""Number of matrix elements up to which Muon batches the orthogonalisation on a CPU, too: measured to be faster."""


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """A choice of `TrainConfig.optimizer`.

    title: its name on screen. help: its clause in the help of the setting. lr_of: the optimizer that `lr` belongs to.
    max_lrs: its learning rates, as settings of TrainConfig (`lr` first), with the limit up to which advice raises them.
    lr_range: the range of `lr` that the learning rate finder sweeps.
    matrix_states, other_states: optimizer state values per weight, for the blocks' matrices and for all other weights.
    orthogonalises: whether matrices of the same shape are updated together and orthogonalised (Muon).
    has_second_moment: whether it divides by a running mean of squared gradients, with the decay `beta2`.
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

    @property
    def lr_names(self) -> tuple[str, ...]:
        """The names of its learning rate settings."""
        return tuple(self.max_lrs)

    @property
    def state_size(self) -> str:
        """The size of its state in words, such as “two numbers per weight”."""
        of_matrices = f"{COUNTS[self.matrix_states]} number{'s' * (self.matrix_states > 1)} per weight"
        if self.matrix_states == self.other_states:
            return of_matrices
        return f"{of_matrices} of the blocks, {COUNTS[self.other_states]} for the others"


OPTIMIZERS = {
    "muon": Optimizer(
        title="Muon",
        help="Muon (with AdamW for vectors and embeddings) learns in fewer steps",
        lr_of="AdamW",
        max_lrs={"lr": 0.01, "muon_lr": 0.05},
        lr_range=(1e-5, 1.0),
        matrix_states=1,
        other_states=2,
        orthogonalises=True,
    ),
    "adamw": Optimizer(
        title="AdamW",
        help="AdamW is the usual choice of published models",
        lr_of="AdamW",
        max_lrs={"lr": 0.01},
        lr_range=(1e-5, 1.0),
        matrix_states=2,
        other_states=2,
    ),
    "lion": Optimizer(
        title="Lion",
        help="Lion keeps one number per weight, and needs a third to a tenth of AdamW's learning rate",
        lr_of="Lion",
        max_lrs={"lr": 0.003},
        lr_range=(1e-6, 0.1),
        matrix_states=1,
        other_states=1,
        has_second_moment=False,
    ),
}
"""The optimizers by name, in the order of the form."""
