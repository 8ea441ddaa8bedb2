"""All that was measured of a run as one table, a row for each step at which anything was."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from app.session.run_history import PLACE_COLUMNS, TRAIN_COLUMNS, VAL_COLUMNS, RunHistory


def run_columns(history: RunHistory) -> dict[str, NDArray[np.float64]]:
    """Columns of one length by name, NaN where nothing was measured at a step.

    Those of the validation begin with `val_`, those of layers are named `update_ratio:blocks.0`.
    """
    train, val, layers = history.train, history.val, history.layers
    steps = functools.reduce(np.union1d, (train["step"], val["step"], layers["step"]))
    columns = {"step": steps} | {name: np.full(len(steps), np.nan) for name in PLACE_COLUMNS[1:]}
    for table, names, prefix in (
        (layers, history.layer_names, "update_ratio:"),
        (val, VAL_COLUMNS, "val_"),
        (train, TRAIN_COLUMNS, ""),
    ):
        rows = np.searchsorted(steps, table["step"])
        for name in PLACE_COLUMNS[1:]:
            columns[name][rows] = table[name]
        for name in names:
            if name not in PLACE_COLUMNS:
                columns[prefix + name] = np.full(len(steps), np.nan)
                columns[prefix + name][rows] = table[name]
    order = sorted(columns, key=lambda name: (name.startswith("update_ratio:"), name.startswith("val_")))
    return {name: columns[name] for name in order}
