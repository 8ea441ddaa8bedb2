"""Checks of rows before training: findings with counts and examples, and fixes that a checkbox applies."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.models.events import Event, Phase, Progress
from terrarium.models.importing.cells import RowError
from terrarium.models.importing.columns import Rows, parts
from terrarium.models.importing.formats.registry import open_source
from terrarium.models.importing.formats.rows import BadRecord, Record
from terrarium.models.importing.near_duplicates import SIMILAR
from terrarium.models.importing.plan import FIXES, SPLIT_WORDS, ImportPlan
from terrarium.models.importing.scan import MAX_NEAR, TEST, TRAIN, VAL, Scan, input_text, paced, row_labels, scan_events
from terrarium.models.importing.splitting import LEFT_OUT, Codes, assign_splits, find_rows, keeps_together
from terrarium.models.importing.task_rows import task_row
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_compact, format_count, format_percent

N_EXAMPLES = 5
SPLIT_NAMES = ("train", "val", "test")
"""Split names, indexed by their codes in a scan."""

_EXAMPLE_LENGTH = 80
_N_LABELS = 3
_IMBALANCED = 0.9
_SENTENCES = {
    "damaged": "{rows} that cannot be read. Correct the file and check again, or leave out what is wrong.",
    "empty": "{rows} without a text or an answer.",
    "invalid": "{rows} that cannot be read as this task.",
    "duplicates": "{rows} with the same content as an earlier one.",
    "leaks": "{rows} for training with a text of validation or test.",
    "near-duplicates": "{rows} with {alike} or more of their wording in common with an earlier one{compared}.{kept}",
    "contradictions": "{rows} with a text that has another answer elsewhere.",
    "rare-labels": "{rows} with a label that occurs only once.",
    "too-long": "{rows} longer than {context}, whose end would be cut off.",
    "unknown": "{rows} with more than a tenth that the tokenizer does not know.",
    "unseen-labels": "{rows} of validation or test with a label that training never shows.",
}
_OF_PROMPTS = {
    "leaks": "{rows} for training with a prompt of validation or test.",
    "near-duplicates": "{rows} whose prompt has {alike} or more of its wording in common with an earlier one"
    "{compared}.{kept}",
}
_OF_REPLIES = {
    "preference": {"empty": "{rows} with an empty side, or with two replies that are the same.", **_OF_PROMPTS},
    "unpaired": {"empty": "{rows} with an empty reply.", **_OF_PROMPTS},
}
_TOGETHER = " If you keep them, none is in training while its like is held out."
_SPREAD = " So many are alike that they are not kept on one side of the split: scores may be better than on new texts."
_SHORT = {
    "damaged": "that cannot be read",
    "empty": "empty",
    "invalid": "unreadable",
    "duplicates": "exact duplicate{s}",
    "leaks": "that are also held out",
    "near-duplicates": "near duplicate{s}",
    "contradictions": "contradictory",
    "rare-labels": "with a rare label",
    "too-long": "too long",
    "unknown": "with unknown characters",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A problem found in the rows.

    name: a key of FIXES, or another name if no fix applies. n: the number of rows. sentence: for the user. examples: up
    to five, with file and line. can_fix: whether `name` is a fix. is_fixed: whether the plan applies it.
    """

    name: str
    n: int
    sentence: str
    examples: tuple[str, ...]
    can_fix: bool
    is_fixed: bool


@dataclass(frozen=True, kw_only=True)
class Checks:
    """The outcome of an import before it is done.

    n_read: rows of the source. splits: split → rows that it would have. given: the splits that the source has itself.
    findings: in the order of FIXES. labels: label → rows, the most frequent first (for tasks with labels). n_tokens: of
    all texts; None without a tokenizer. sentence: a one-line summary such as "5,865 rows, 30 % spam, …". offer: a
    sentence about the splits that are taken from the rows because the source lacks them; "" if it has both. scan: for
    `revise_events` and `import_events`, so that the rows are not read again.
    """

    n_read: int
    splits: Mapping[str, int]
    given: tuple[str, ...]
    findings: tuple[Finding, ...]
    labels: Mapping[str, int]
    n_tokens: int | None
    sentence: str
    offer: str
    scan: Scan


def check_events(library: Library, plan: ImportPlan) -> Generator[Event, None, Checks]:
    """Read all rows of a source according to the plan, and check them. Nothing is stored.

    Yields Phase and Progress (bytes).

    Raises:
        ValueError: if the plan is invalid, or a file is damaged: with file and line.
    """
    plan.check()
    yield Phase(name="Checking the rows")
    scan = yield from scan_events(library, plan)
    return (yield from revise_events(plan, scan))


def revise_events(plan: ImportPlan, scan: Scan) -> Generator[Event, None, Checks]:
    """Recompute the checks of a plan from an existing scan, after its fixes, context, shares or seed have changed.

    Yields Progress (bytes) while it reads the examples.
    """
    found = yield from find_rows(scan, plan)
    codes = yield from assign_splits(scan, plan, found)
    others = _other_rows(scan, plan, codes)
    examples = yield from _examples(plan, {**found, **others})
    sentences = _SENTENCES | _OF_REPLIES.get(plan.task, {})
    offer = _offer(plan, scan)
    is_split_here = offer and not (scan.n_given[VAL] or scan.n_given[TEST])
    kept = (_TOGETHER if keeps_together(scan) else _SPREAD) if is_split_here else ""
    findings = [
        Finding(
            name=name,
            n=n,
            sentence=sentences[name].format(
                rows=format_count(n, "row"),
                context=format_count(plan.context, "token"),
                compared=f" (of the first {MAX_NEAR:,} texts)" if len(scan.compared) == MAX_NEAR else "",
                alike=format_percent(SIMILAR),
                kept=kept if name not in plan.fixes else "",
            ),
            examples=tuple(examples[name]),
            can_fix=name in FIXES,
            is_fixed=name in plan.fixes,
        )
        for name, rows in {**found, **others}.items()
        if (n := len(rows))
    ]
    labels = _label_counts(scan, plan, codes)
    if labels and plan.task == "classification":
        most, n = max(labels.items(), key=lambda item: item[1])
        if n > _IMBALANCED * sum(labels.values()):
            sentence = f"{format_percent(n / sum(labels.values()))} of all rows are {most!r}: accuracy will mislead."
            findings.append(
                Finding(name="imbalance", n=n, sentence=sentence, examples=(), can_fix=False, is_fixed=False)
            )
    splits = {name: int((codes == code).sum()) for code, name in enumerate(SPLIT_NAMES)}
    n_tokens = None
    if scan.n_tokens is not None:
        n_tokens = sum(int(n[codes[at : at + len(n)] != LEFT_OUT].sum()) for at, (n,) in parts(scan.n_tokens))
    return Checks(
        n_read=len(scan),
        splits={name: n for name, n in splits.items() if n or name != "test"},
        given=tuple(name for code, name in enumerate(SPLIT_NAMES) if code and scan.n_given[code]),
        findings=tuple(findings),
        labels=labels,
        n_tokens=n_tokens,
        sentence=_sentence(plan, codes, splits, labels, n_tokens, findings),
        offer=offer,
        scan=scan,
    )


def _other_rows(scan: Scan, plan: ImportPlan, codes: Codes) -> dict[str, Rows]:
    """Find the rows with a problem that no fix applies to."""
    if not len(scan.label_names):
        return {}
    learned, unseen = np.zeros(len(scan.label_names) + 1, bool), [np.zeros(0, np.int64)]
    for at, (label,) in parts(scan.label):
        learned[label[codes[at : at + len(label)] == TRAIN]] = True
    for at, (label,) in parts(scan.label):
        code = codes[at : at + len(label)]
        unseen.append(np.flatnonzero((code != TRAIN) & (code != LEFT_OUT) & ~learned[label]) + at)
    return {"unseen-labels": np.concatenate(unseen)}


def _examples(plan: ImportPlan, found_rows: Mapping[str, Rows]) -> Generator[Event, None, dict[str, list[str]]]:
    """Read the first rows of each finding again, as text with file and line."""
    wanted: dict[int, list[str]] = {}
    for name, rows in found_rows.items():
        for index in rows[:N_EXAMPLES].tolist():
            wanted.setdefault(index, []).append(name)
    found: dict[str, list[str]] = {name: [] for name in found_rows}
    if not wanted:
        return found
    source, last, index = open_source(plan.paths, plan.read), max(wanted), 0
    for record, is_due in paced(source):
        if is_due:
            yield Progress(done=source.meter.done, total=source.meter.total)
        if record is None:
            continue
        for name in wanted.get(index, ()):
            found[name].append(_shown(plan, record))
        if index == last:
            break
        index += 1
    return found


def _shown(plan: ImportPlan, record: Record | BadRecord) -> str:
    if isinstance(record, BadRecord):
        return f"{record.sentence}\n    {record.text}"
    return f"{record.where}: {_shown_row(plan, record)}"


def _shown_row(plan: ImportPlan, record: Record) -> str:
    try:
        row = task_row(plan, record.values)
    except RowError as error:
        return str(error)
    text = " ".join(input_text(plan.task, row).split())
    text = text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"
    label = ", ".join(row_labels(plan.task, row)) if plan.task in ("classification", "multi-label") else ""
    return f"{text} ({label})" if label else text


def _label_counts(scan: Scan, plan: ImportPlan, codes: Codes) -> dict[str, int]:
    if plan.task != "classification":
        return dict(scan.label_counts.most_common())
    counts = np.zeros(len(scan.label_names), np.int64)
    for at, (label,) in parts(scan.label):
        counts += np.bincount(label[codes[at : at + len(label)] != LEFT_OUT], minlength=len(counts))
    return {
        scan.label_names[index]: int(counts[index]) for index in np.argsort(-counts, kind="stable") if counts[index]
    }


def _offer(plan: ImportPlan, scan: Scan) -> str:
    shares = {"val": plan.val_fraction, "test": plan.test_fraction}
    taken = [
        f"{format_percent(shares[name])} for {SPLIT_WORDS[name]}"
        for code, name in enumerate(SPLIT_NAMES)
        if name in shares and shares[name] and not scan.n_given[code]
    ]
    what = f"Of its rows, {' and '.join(taken)}, by a hash of each (seed {plan.seed})."
    return what if taken else ""


def _sentence(
    plan: ImportPlan,
    codes: Codes,
    splits: Mapping[str, int],
    labels: Mapping[str, int],
    n_tokens: int | None,
    findings: Sequence[Finding],
) -> str:
    """Summarise the import in one line."""
    n = int((codes != LEFT_OUT).sum())
    shares = ", ".join(f"{splits[name]:,} for {word}" for name, word in SPLIT_WORDS.items() if splits[name])
    parts = [f"{format_count(n, 'row')} ({shares})" if shares else format_count(n, "row")]
    if plan.task == "classification":
        shown = [f"{format_percent(count / max(n, 1))} {label}" for label, count in list(labels.items())[:_N_LABELS]]
        more = len(labels) - len(shown)
        parts.append(" ".join([", ".join(shown), f"(and {more:,} more labels)" if more > 1 else ""]).strip())
    if n_tokens is not None:
        parts.append(f"{format_compact(n_tokens)} tokens")
    parts += [
        f"{finding.n:,} {_SHORT[finding.name].format(s='' if finding.n == 1 else 's')} left out"
        for finding in findings
        if finding.is_fixed
    ]
    return ", ".join(parts)
