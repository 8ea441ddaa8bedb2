"""Selection of rows and their assignment to training, validation and test: by hash, so independent of their order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from terrarium.models.events import Event, Phase, Progress
from terrarium.models.importing.columns import Column, Rows, buckets, parts, where
from terrarium.models.importing.near_duplicates import components
from terrarium.models.importing.plan import ImportPlan
from terrarium.models.importing.scan import DAMAGED, EMPTY, GOOD, INVALID, TEST, TRAIN, VAL, Scan
from terrarium.models.settings.tasks import PREFERENCE_TASKS

LEFT_OUT = 255
"""Code in place of a split: not imported."""
MAX_UNKNOWN = 0.1
_MAX_NEAR_SHARE = 0.1
"""Near-duplicates stay together in a split unless one group has more than this fraction of all rows: then the texts
follow a template, and keeping them together would leave nothing to validate on."""
_NO_CONTRADICTION = ("language", "chat", "text-to-text", *PREFERENCE_TASKS)
_NO_LENGTH = ("language", "span")
"""Tasks whose texts are cut into windows, so none is too long."""

_NONE = np.zeros(0, np.int64)
_NO_HASHES = np.zeros(0, np.uint64)

Codes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]

_OUT, _HELD_OUT, _MINE = 0, 1, 2
"""State of a row: left out so far; in a split of the source; subject to the fixes and splits here."""


def find_rows(scan: Scan, plan: ImportPlan) -> Generator[Event, None, dict[str, Rows]]:
    """Return the rows that each fix leaves out; of a source's own validation or test split, only unreadable rows.

    Each considers the rows that the enabled fixes before it in FIXES have left. Yields Phase and Progress.
    """
    yield Phase(name="Comparing the rows")
    found = {
        "damaged": where(lambda fault: fault == DAMAGED, scan.fault),
        "empty": where(lambda fault: fault == EMPTY, scan.fault),
        "invalid": where(lambda fault: fault == INVALID, scan.fault),
    }
    state = np.empty(len(scan), np.uint8)
    for at, (fault, given) in parts(scan.fault, scan.given):
        mine = np.where(given == TRAIN, _MINE, _HELD_OUT)
        state[at : at + len(fault)] = np.where(fault == GOOD, mine, _OUT)

    def note(name: str, rows: Rows) -> None:
        found[name] = rows[state[rows] == _MINE]
        if name in plan.fixes:
            state[found[name]] = _OUT

    note("duplicates", (yield from _repeated(scan.row, state)))
    note("leaks", (yield from _leaking(scan.input, state)) if scan.n_given[VAL] or scan.n_given[TEST] else _NONE)
    note("near-duplicates", scan.compared[scan.near != scan.compared])
    if plan.task not in _NO_CONTRADICTION:
        note("contradictions", (yield from _contradicting(scan, state)))
    if len(scan.label_names):
        counts = np.zeros(len(scan.label_names), np.int64)
        for at, (label,) in parts(scan.label):
            counts += np.bincount(label[state[at : at + len(label)] == _MINE], minlength=len(counts))
        note("rare-labels", where(lambda label: (counts == 1)[label], scan.label))
    if scan.n_tokens is not None and scan.n_unknown is not None:
        if plan.context and plan.task not in _NO_LENGTH:
            note("too-long", where(lambda n: n > plan.context, scan.n_tokens))
        is_unknown = where(lambda unknown, n: unknown > MAX_UNKNOWN * np.maximum(n, 1), scan.n_unknown, scan.n_tokens)
        note("unknown", is_unknown)
    return found


def assign_splits(scan: Scan, plan: ImportPlan, found: Mapping[str, Rows]) -> Generator[Event, None, Codes]:
    """Return TRAIN, VAL, TEST or LEFT_OUT for each row. Yields Progress.

    A split of the source stays unchanged. A missing split takes, of each label, the groups of rows with the smallest
    hashes, up to the wanted fraction.
    """
    codes = np.empty(len(scan), np.uint8)
    for at, (fault, given) in parts(scan.fault, scan.given):
        codes[at : at + len(fault)] = np.where(fault == GOOD, given, LEFT_OUT)
    for name in plan.fixes & found.keys():
        codes[found[name]] = LEFT_OUT
    shares = {TEST: plan.test_fraction, VAL: plan.val_fraction}
    wanted = {split: 0.0 if scan.n_given[split] else share for split, share in shares.items()}
    if not (codes == TRAIN).any():
        return codes
    order = _orders(scan, plan, codes)
    yield from _share_out(scan, order, codes, wanted, by_label=True)
    if any(share and not np.any(codes == name) for name, share in wanted.items()):  # many labels with few rows
        codes[np.isin(codes, [name for name, share in wanted.items() if share])] = TRAIN
        yield from _share_out(scan, order, codes, wanted, by_label=False)
    return codes


def keeps_together(scan: Scan) -> bool:
    """Return whether near-duplicates stay together in a split, see _MAX_NEAR_SHARE."""
    if not len(scan.near):
        return True
    sizes = np.bincount(np.unique(scan.near, return_inverse=True)[1].reshape(-1))
    return bool(sizes.max() <= max(2, _MAX_NEAR_SHARE * len(scan)))


def _orders(scan: Scan, plan: ImportPlan, codes: Codes) -> Callable[[Rows, Hashes], Hashes]:
    """Return a function of training rows and their inputs to sort keys. Rows that stay together have equal keys.

    The key is the smallest hash of an input in the group. Rows are grouped by an equal input, as near-duplicates, and
    by an equal `group`: only the latter requires some hundred bytes per row in memory.
    """
    is_mine = codes[scan.compared] == TRAIN
    compared, near = scan.compared[is_mine], scan.near[is_mine]
    if not keeps_together(scan):
        compared = near = _NONE
    if scan.group is None:
        inputs = np.concatenate([_NO_HASHES, *(_at(compared, at, part) for at, (part,) in parts(scan.input))])
        groups = np.unique(near, return_inverse=True)[1].reshape(-1)
        least = np.full(len(near), np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(least, groups, _mixed(inputs, plan.seed))
        by_input = np.argsort(inputs, kind="stable")
        known, order = inputs[by_input], least[groups[by_input]]

        def of_inputs(_: Rows, some: Hashes) -> Hashes:
            mixed = _mixed(some, plan.seed)
            if len(known):
                place = np.searchsorted(known, some).clip(max=len(known) - 1)
                is_known = known[place] == some
                mixed[is_known] = order[place[is_known]]
            return mixed

        return of_inputs
    rows = np.flatnonzero(codes == TRAIN)
    columns = zip(*(values for _, values in parts(scan.input, scan.group)), strict=True)
    inputs, groups = (np.concatenate(column)[rows] for column in columns)
    together = np.arange(len(scan))
    together[compared] = near
    unit = components(inputs, groups, together[rows])
    least = np.full(len(rows), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, unit, _mixed(inputs, plan.seed))
    least = least[unit]
    return lambda some, _: least[np.searchsorted(rows, some)]


def _at(rows: Rows, start: int, part: Hashes) -> Hashes:
    """Return the numbers of those of `rows` that are in a part of a column that begins at row `start`."""
    first, last = np.searchsorted(rows, (start, start + len(part)))
    return part[rows[first:last] - start]


def _share_out(
    scan: Scan, order: Callable[[Rows, Hashes], Hashes], codes: Codes, wanted: Mapping[int, float], *, by_label: bool
) -> Generator[Event, None, None]:
    """Move training rows to the wanted splits: of each label, the first groups until each split has its fraction."""
    totals = np.zeros(len(scan.label_names) + 1, np.int64)
    before = totals.copy()

    def units() -> Iterator[tuple[Rows, Rows, npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
        columns = (scan.input, scan.label)
        for rows, (keys, _, label) in buckets(order, lambda start, stop: codes[start:stop] == TRAIN, *columns):
            _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
            inverse = inverse.reshape(-1)
            sizes = np.bincount(inverse, minlength=len(firsts))
            yield rows, inverse, sizes, label[firsts] if by_label else np.full(len(firsts), -1, np.int32)

    for done, (_, _, sizes, labels) in enumerate(units()):
        yield Progress(done=done, total=0)
        np.add.at(totals, labels, sizes)
    for done, (rows, inverse, sizes, labels) in enumerate(units()):
        yield Progress(done=done, total=0)
        split = np.full(len(sizes), TRAIN, np.uint8)
        in_order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[in_order], prepend=-2))
        for index in np.split(in_order, starts[1:]) if len(in_order) else ():
            label = labels[index[0]]
            middle = before[label] + np.cumsum(sizes[index]) - sizes[index] / 2
            total, until = totals[label], 0.0
            for name, share in wanted.items():
                split[index[(middle >= until) & (middle < until + share * total)]] = name
                until += share * total
            before[label] += sizes[index].sum()
        codes[rows] = split[inverse]


def _mixed(keys: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Permute the hashes, differently for each seed (the finaliser of SplitMix64)."""
    mixed = keys + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _keys(_: Rows, keys: Hashes) -> Hashes:
    return keys


def _repeated(column: Column, state: Codes) -> Generator[Event, None, Rows]:
    """Return the rows whose key occurs earlier."""
    found = [_NONE]
    for rows, (keys, _) in buckets(_keys, lambda start, stop: state[start:stop] == _MINE, column):
        yield Progress(done=len(found), total=0)
        repeated = np.ones(len(rows), bool)
        repeated[np.unique(keys, return_index=True)[1]] = False
        found.append(rows[repeated])
    return np.sort(np.concatenate(found))


def _leaking(column: Column, state: Codes) -> Generator[Event, None, Rows]:
    """Return the rows whose input also occurs in a split of the source."""
    found = [_NONE]
    for rows, (keys, _) in buckets(_keys, lambda start, stop: state[start:stop] != _OUT, column):
        yield Progress(done=len(found), total=0)
        found.append(rows[np.isin(keys, keys[state[rows] == _HELD_OUT])])
    return np.sort(np.concatenate(found))


def _contradicting(scan: Scan, state: Codes) -> Generator[Event, None, Rows]:
    """Return the rows whose input also occurs with another answer."""
    found = [_NONE]
    for rows, (keys, _, whole) in buckets(_keys, lambda start, stop: state[start:stop] == _MINE, scan.input, scan.row):
        yield Progress(done=len(found), total=0)
        inputs = np.unique(keys, return_inverse=True)[1].reshape(-1)
        pairs = np.unique(np.stack([inputs.astype(np.uint64), whole], axis=1), axis=0)
        n_answers = np.bincount(pairs[:, 0].astype(np.int64), minlength=len(rows))
        found.append(rows[n_answers[inputs] > 1])
    return np.sort(np.concatenate(found))
