"""A dataset for fine-tuning from the user's corrections of a model that labels texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.library.library import Library
from terrarium.models.library.run_notes import corrections_name, read_corrections
from terrarium.models.number_words import format_count
from terrarium.models.preferences.dataset import VAL_SHARE, preference_corpus
from terrarium.models.runs.run_folder import RunFolder

_MIN_OLD = 8
"""Minimum number of replayed rows per label: a few corrections to a single label would teach to always predict it."""
_MAX_READ = 100_000
"""Maximum number of rows read from the model's own dataset."""


@dataclass(frozen=True, kw_only=True)
class CorrectionsCorpus:
    """The dataset, with a sentence about its training and validation rows."""

    corpus: Corpus
    sentence: str


def build_corrections_corpus(library: Library, run: RunFolder, labels: Sequence[str]) -> CorrectionsCorpus:
    """Build a dataset from the corrections of a run's model.

    With all of the model's `labels` in their order, a fine-tuning keeps the model's head. All corrections are for
    training, mixed with about as many rows of the run's own dataset, balanced by label, so that the model forgets less;
    validation uses the dataset's validation rows. If the dataset is gone, some corrections are held out.

    Raises:
        ValueError: if there are no corrections, or only one and the dataset is gone; or a correction has a label that
            the model does not have.
    """
    rows = read_corrections(run.folder)
    corrected = {_digest(row) for row in rows}
    held_out = _own_rows(library, run, "val", labels, corrected)
    if len(rows) < (1 if held_out else 2):
        raise ValueError(
            f"“{run.name}” has {format_count(len(rows), 'correction')}, too few to learn from: correct "
            f"{'a text' if held_out else 'two texts'} first."
        )
    strange = next((row["label"] for row in rows if row["label"] not in labels), None)
    if strange is not None:
        raise ValueError(f"“{run.name}” has a correction with the label “{strange}”, which its model does not have.")
    order = sorted(rows, key=_digest)
    n_val = 0 if held_out else max(1, round(VAL_SHARE * len(rows)))
    wanted = f"{corrections_name(run.name)}, {format_count(len(rows), 'text')}"
    val = held_out or order[:n_val]
    seen = corrected | {_digest(row) for row in val}
    old = _balanced(_own_rows(library, run, "train", labels, seen), labels, len(rows))
    corpus = preference_corpus(library, [*order[n_val:], *old], val, wanted, "classification", labels)
    if held_out:
        known = f", beside {format_count(len(old), 'row')} of what it learned before, so that it keeps what it knew"
        sentence = (
            f"The model learns all corrections{known if old else ''}, and is validated on the texts that it was "
            "validated on before."
        )
    else:
        sentence = (
            "The dataset that the model learned from is not in the library any more, so validation has "
            f"{n_val:,} of the {format_count(len(rows), 'correction')}."
        )
    return CorrectionsCorpus(corpus=corpus, sentence=sentence)


def _own_rows(
    library: Library, run: RunFolder, split: str, labels: Sequence[str], excluded: set[bytes]
) -> list[dict[str, Any]]:
    """Return the rows of a split of the run's own dataset, without those with the digests `excluded`.

    Empty if the dataset is gone, or has other labels.
    """
    try:
        corpus = open_run_corpus(library, run)
        rows = list(islice(corpus.rows(split), _MAX_READ)) if corpus.task == "classification" else []
    except (ValueError, KeyError):
        return []
    known = [{name: row[name] for name in ("text", "text_pair", "label") if row.get(name)} for row in rows]
    return [row for row in known if row.get("label") in labels and _digest(row) not in excluded]


def _balanced(rows: list[dict[str, Any]], labels: Sequence[str], n: int) -> list[dict[str, Any]]:
    """Return about `n` of the rows, balanced by label as far as they suffice; deterministic."""
    n_each = max(_MIN_OLD, -(-n // max(len(labels), 1)))
    distinct = {_digest(row): row for row in rows}
    order = [distinct[digest] for digest in sorted(distinct)]
    return [row for label in labels for row in [row for row in order if row["label"] == label][:n_each]]


def _digest(row: dict[str, Any]) -> bytes:
    """Return the digest of a text, which decides whether it is for validation, independently of all other texts."""
    return blake2b(f"{row['text']}\0{row.get('text_pair') or ''}".encode("utf-8", "surrogatepass")).digest()
