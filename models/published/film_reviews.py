"""Sentences of film reviews, rated by twenty people (Hutto and Gilbert 2014): in the sources of vaderSentiment 0.5."""

from __future__ import annotations

from pathlib import Path

from terrarium.models.corpora.corpus import Example
from terrarium.models.published.archives import read_files

LABELS = ("negative", "positive")
_FILE = r"movieReviewSnippets_GroundTruth\.txt$"
_SURE = 0.5
"""On the scale from −4 to 4; sentences below it in either direction have no clear sentiment, and are left out."""


def read_reviews(path: Path) -> list[Example]:
    """Read the rows of the task classification: {"text", "label"}, in the order of the file.

    Raises:
        ValueError: as `read_files`, or if a line is not an id, a score and a text.
    """
    rows: list[Example] = []
    for name, data in read_files(path, _FILE):
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            if not line.strip():
                continue
            _, _, rest = line.partition("\t")
            score, tab, text = rest.partition("\t")
            try:
                value = float(score)
            except ValueError:
                tab = ""
            if not tab or not text.strip():
                raise ValueError(f"{path}, {name}, line {number}: not an id, a score and a text, with tabs between.")
            if abs(value) > _SURE:
                rows.append({"text": text.strip(), "label": LABELS[value > 0]})
    return rows
