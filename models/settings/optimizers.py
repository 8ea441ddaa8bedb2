"""The available optimizers: their names, state and settings. No torch.

Their code, by the same names: models.training.optim.
"""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.models.extensions.entries import COUNTS, Optimizer
from terrarium.models.extensions.registry import Missing, code_problem, find

BATCHED = 128 * 128
"""Number of matrix elements up to which Muon batches the orthogonalisation on a CPU, too: measured to be faster."""


_OWN = {
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


def _problem(name: str, entry: Optimizer) -> str:
    """Return what is wrong with an extension's optimizer, as `find` asks; "" if nothing is."""
    if entry.lr_names != ("lr",) or not 0 < entry.max_lrs["lr"] <= 10:
        return "max_lrs has to name one learning rate, “lr”, with a limit of up to 10"
    low, high = entry.lr_range
    if not 0 < low < high:
        return f"its lr_range is {entry.lr_range!r}"
    if not {entry.matrix_states, entry.other_states} <= set(COUNTS):
        return f"it keeps more than {max(COUNTS)} numbers per weight"
    return code_problem(entry.code)


ADDED_OPTIMIZERS = find("optimizers", Optimizer, taken=_OWN, check=_problem)
OPTIMIZERS: Mapping[str, Optimizer] = {**_OWN, **ADDED_OPTIMIZERS.entries}
"""The optimizers by name, in the order of the form; those of extensions last."""


def find_optimizer(name: str) -> Optimizer:
    """Return an entry of OPTIMIZERS; for the name of a missing extension's optimizer, an entry for showing it, which
    makes no claim: estimates count the state of AdamW.
    """
    if isinstance(name, Missing):
        return Optimizer(
            title=str(name),
            help=name.sentence,
            lr_of=str(name),
            max_lrs={"lr": 0.01},
            lr_range=(1e-6, 1.0),
            matrix_states=2,
            other_states=2,
        )
    return OPTIMIZERS[name]
