"""The import itself: rows of external files become a dataset of the library."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import chain
from pathlib import Path

from terrarium.models.corpora.corpus import Corpus, CorpusWriter, list_corpora
from terrarium.models.events import Event, Phase, ProgressMeter
from terrarium.models.importing.cells import RowError
from terrarium.models.importing.checks import SPLIT_NAMES, Checks
from terrarium.models.importing.columns import parts
from terrarium.models.importing.formats.registry import Source, open_source
from terrarium.models.importing.formats.rows import BadRecord, Record
from terrarium.models.importing.plan import ImportPlan, source_name
from terrarium.models.importing.scan import (
    DAMAGED,
    EMPTY,
    GOOD,
    TRAIN,
    VAL,
    Scan,
    paced,
    row_labels,
    scan_events,
    sorted_labels,
    source_stamp,
)
from terrarium.models.importing.splitting import LEFT_OUT, Codes, assign_splits, find_rows
from terrarium.models.importing.task_rows import task_row
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count
from terrarium.models.settings.tasks import JUDGED_BY, PREFERENCE_TASKS, TASKS

_MAX_DAMAGED = 5
"""Maximum number of unreadable rows that one message lists."""


def import_events(library: Library, plan: ImportPlan, checks: Checks | None = None) -> Generator[Event, None, Corpus]:
    """Import a source as a dataset according to the plan. Closing the generator or an error leaves nothing behind.

    Yields Phase and Progress (bytes). checks: those of this plan (its fixes, context, shares, seed and name may have
    changed since), so that they are not repeated.

    Raises:
        ValueError: as `check_events`; if the name is taken, a row is damaged, or a split would be empty.
    """
    plan.check()
    name = dataset_name(library, plan)
    source = open_source(plan.paths, plan.read)
    if checks is not None and checks.scan.stamp == source_stamp(source, plan):
        scan = checks.scan
    else:
        yield Phase(name="Checking the rows")
        scan = yield from scan_events(library, plan)
    if scan.damaged and "damaged" not in plan.fixes:
        raise ValueError(describe_damage(scan.damaged))
    codes = yield from assign_splits(scan, plan, (yield from find_rows(scan, plan)))
    for code, what in ((TRAIN, "training"), (VAL, "validation")):
        if not (codes == code).any():
            raise ValueError(
                f"{source.files[0].name} leaves no row for {what}: choose other shares, fewer fixes, or more data."
            )
    yield Phase(name="Importing the rows")
    return (yield from _write(library, plan, name, source, scan, codes))


def describe_damage(rows: Sequence[BadRecord]) -> str:
    """Describe the first unreadable rows, one sentence each, and their number."""
    n = len(rows)
    shown = [row.sentence for row in rows[:_MAX_DAMAGED]]
    if n == 1:
        return shown[0]
    first = "" if n <= _MAX_DAMAGED else f" Here are the first {_MAX_DAMAGED}."
    return "\n".join([f"{format_count(n, 'row')} cannot be read.{first}", *shown])


def dataset_name(library: Library, plan: ImportPlan) -> str:
    """Return the name of the dataset: the plan's, or the source's.

    Raises:
        ValueError: if it is taken.
    """
    name = plan.name.strip() or source_name(plan.paths)
    if any(corpus.task and corpus.label == name for corpus in list_corpora(library)):
        raise ValueError(f"There is a dataset called {name!r} already: choose another name.")
    return name


def _write(
    library: Library, plan: ImportPlan, name: str, source: Source, scan: Scan, codes: Codes
) -> Generator[Event, None, Corpus]:
    labels, n_read, meter = set[str](), 0, ProgressMeter(source.meter.total)
    has_labels = TASKS[plan.task].label_column is not None
    with CorpusWriter(library, seed=plan.seed, n_bytes=scan.n_bytes) as writer:
        faults = chain.from_iterable(fault.tolist() for _, (fault,) in parts(scan.fault))
        for record, is_due in paced(source):
            if is_due:
                yield meter.progress(source.meter.done)
            if record is None:
                continue
            fault = next(faults, None)
            if fault is None:
                break
            if isinstance(record, BadRecord) is not (fault == DAMAGED):
                break  # the file has changed
            if isinstance(record, Record) and fault != GOOD:
                _check_is_fixed(plan, record, "empty" if fault == EMPTY else "invalid")
            elif isinstance(record, Record) and codes[n_read] != LEFT_OUT:
                row = task_row(plan, record.values)
                if has_labels:
                    labels.update(row_labels(plan.task, row))
                if plan.task in PREFERENCE_TASKS:
                    row.setdefault("source", Path(record.file).name)
                writer.add(SPLIT_NAMES[codes[n_read]], row)
            n_read += 1
        if n_read != len(scan):
            raise ValueError(f"{source.files[0].name} was changed while it was imported: import it again.")
        return writer.finish(
            name,
            task=plan.task,
            labels=sorted_labels(labels) if has_labels else (),
            metric=_headline(plan),
        )


def _headline(plan: ImportPlan) -> str:
    """Return the dataset's metric: the one that its rows are judged by, if any, else the task's usual one."""
    judged = [JUDGED_BY[role] for role in ("cases", "facts", "fields") if plan.columns.get(role)]
    return next(iter((*judged, *TASKS[plan.task].metrics)), "")


def _check_is_fixed(plan: ImportPlan, record: Record, fix: str) -> None:
    """Raise ValueError for a record that is not a row of the task, unless the plan leaves such records out."""
    if fix in plan.fixes:
        return
    try:
        task_row(plan, record.values)
    except RowError as error:
        raise ValueError(f"{record.where}: {error}") from error
    raise ValueError(f"{record.where}: it has half of a character (a surrogate), which is no text.")
