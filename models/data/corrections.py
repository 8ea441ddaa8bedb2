"""The user's corrections of a model that labels texts, as a dataset that it can be fine-tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from models.data.corpus import Corpus
from models.data.preferences.dataset import VAL_SHARE, preference_corpus
from models.library.library import Library
from models.library.run_corrections import read_corrections
from models.number_words import format_count
from models.runs.run_folder import RunFolder


def build_corrections_corpus(library: Library, run: RunFolder, labels: Sequence[str]) -> Corpus:
    """A dataset of the corrections of a run's model. With all of the model's `labels` in their order, a fine-tuning
    keeps its head.

    Raises:
        ValueError: where there are fewer than two corrections, or one has a label that the model does not have.
    """
    rows = read_corrections(run.folder)
    if len(rows) < 2:
        raise ValueError(
            f"“{run.name}” has {format_count(len(rows), 'correction')}: correct two texts at least, since validation "
            "needs one of its own."
        )
    strange = next((row["label"] for row in rows if row["label"] not in labels), None)
    if strange is not None:
        raise ValueError(f"“{run.name}” has a correction with the label “{strange}”, which its model does not have.")
    order = sorted(rows, key=_digest)
    n_val = max(1, round(VAL_SHARE * len(rows)))
    wanted = f"Corrections of {run.name}, {format_count(len(rows), 'text')}"
    return preference_corpus(library, order[n_val:], order[:n_val], wanted, "classification", labels)


def _digest(row: dict[str, Any]) -> bytes:
    """Of a text: it decides whether the text is for validation, however many others there are."""
    return blake2b(f"{row['text']}\0{row.get('text_pair') or ''}".encode("utf-8", "surrogatepass")).digest()
