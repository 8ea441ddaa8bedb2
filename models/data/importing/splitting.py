"""Which rows are kept, and which are for training, validation and test: by a hash of the row, the same in any order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.data.importing.near_duplicates import components
from models.data.importing.plan import ImportPlan
from models.data.importing.scan import EMPTY, GOOD, INVALID, TEST, TRAIN, VAL, Scan

LEFT_OUT = 255
"""In place of a split: not imported."""
MAX_UNKNOWN = 0.1
_MAX_NEAR_SHARE = 0.1
"""Rows that are almost the same stay together in a split unless one group has more of all rows than this: then the
texts follow a template, and to keep them together would leave nothing to validate on."""
_NO_CONTRADICTION = ("language", "chat", "text-to-text")
_NO_LENGTH = ("language", "span")
"""Tasks whose texts are cut into windows, so none is too long."""

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]


def find_rows(scan: Scan, plan: ImportPlan) -> dict[str, Mask]:
    """For each mend, the rows that it leaves out; of a given validation or test split, only what cannot be read.

    Each looks at what those before it in MENDS leave if they are ticked.
    """
    found = {"empty": scan.fault == EMPTY, "invalid": scan.fault == INVALID}
    kept = scan.fault == GOOD
    mine = scan.given == TRAIN

    def note(name: str, mask: Mask) -> None:
        nonlocal kept
        found[name] = mask & kept & mine
        if name in plan.mends:
            kept = kept & ~found[name]

    note("duplicates", _repeated(scan.row, kept & mine))
    held_out = scan.input[kept & ~mine]
    note("leaks", np.isin(scan.input, held_out) if len(held_out) else np.zeros(len(scan), bool))
    note("near-duplicates", scan.near != np.arange(len(scan)))
    if plan.task not in _NO_CONTRADICTION:
        note("contradictions", _contradicting(scan, kept & mine))
    if len(scan.label_names):
        counts = np.bincount(scan.label[kept & mine], minlength=len(scan.label_names))
        note("rare-labels", (counts == 1)[scan.label])
    if plan.context and len(scan.n_tokens) and plan.task not in _NO_LENGTH:
        note("too-long", scan.n_tokens > plan.context)
    if len(scan.n_tokens):
        note("unknown", scan.n_unknown > MAX_UNKNOWN * np.maximum(scan.n_tokens, 1))
    return found


def assign_splits(scan: Scan, plan: ImportPlan, found: dict[str, Mask]) -> Codes:
    """TRAIN, VAL, TEST or LEFT_OUT for each row.

    A split that the source has stays as it is. Else, of each label as many groups of rows as make up the wanted share,
    those with the least hashes.
    """
    codes = scan.given.copy()
    codes[scan.fault != GOOD] = LEFT_OUT
    for name in plan.mends & found.keys():
        codes[found[name]] = LEFT_OUT
    wanted = {
        split: 0.0 if np.any(scan.given == split) else share
        for split, share in ((TEST, plan.test_fraction), (VAL, plan.val_fraction))
    }
    rows = np.flatnonzero(codes == TRAIN)
    if not len(rows):
        return codes
    keys: list[npt.NDArray[np.generic]] = [scan.input[rows], scan.group[rows]]
    if np.bincount(scan.near).max() <= max(2, _MAX_NEAR_SHARE * len(scan)):
        keys.append(scan.near[rows])
    units, inverse = np.unique(components(*keys), return_inverse=True)
    inverse = inverse.reshape(-1)
    sizes = np.bincount(inverse)
    order = np.full(len(units), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(order, inverse, _mixed(scan.input[rows], plan.seed))
    labels = scan.label[rows][units]
    split = _by_share(order, sizes, labels, wanted)
    if any(share and not np.any(split == name) for name, share in wanted.items()):  # many labels of few rows
        split = _by_share(order, sizes, np.zeros_like(labels), wanted)
    codes[rows] = split[inverse]
    return codes


def _by_share(
    order: npt.NDArray[np.uint64],
    sizes: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int32],
    wanted: dict[int, float],
) -> Codes:
    """The split of each unit: within its label, the first units until each split has its share of the rows."""
    split = np.full(len(order), TRAIN, np.uint8)
    by_label = np.lexsort((order, labels))
    starts = np.flatnonzero(np.r_[True, labels[by_label][1:] != labels[by_label][:-1]])
    for index in np.split(by_label, starts[1:]):
        middle = np.cumsum(sizes[index]) - sizes[index] / 2
        total, until = sizes[index].sum(), 0.0
        for name, share in wanted.items():
            taken = (middle >= until) & (middle < until + share * total)
            split[index[taken]] = name
            until += share * total
    return split


def _mixed(keys: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """The hashes in another order for each seed (the finaliser of SplitMix64)."""
    mixed = keys + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _repeated(keys: npt.NDArray[np.uint64], among: Mask) -> Mask:
    """The rows whose key stands earlier already, `among` some."""
    rows = np.flatnonzero(among)
    _, firsts = np.unique(keys[rows], return_index=True)
    repeated = among.copy()
    repeated[rows[firsts]] = False
    return repeated


def _contradicting(scan: Scan, among: Mask) -> Mask:
    """The rows whose input stands elsewhere with another answer, `among` some."""
    rows = np.flatnonzero(among)
    _, inputs = np.unique(scan.input[rows], return_inverse=True)
    inputs = inputs.reshape(-1)
    pairs = np.unique(np.stack([inputs.astype(np.uint64), scan.row[rows]], axis=1), axis=0)
    n_answers = np.bincount(pairs[:, 0].astype(np.int64), minlength=len(rows))
    contradicting = np.zeros(len(scan), bool)
    contradicting[rows[n_answers[inputs] > 1]] = True
    return contradicting
