"""Search, filter and sort the rows of a vocabulary; runs in the background."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRegularExpression

from terrarium.models.events import Event, Progress
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, Usage
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary

USE_FILTERS = {
    "produced": ("repeated", "once"),
    "once": ("once",),
    "step": ("step",),
    "never": ("never", "unreachable"),
    "unreachable": ("unreachable",),
}
"""Filter -> the uses that it covers."""

POLL_S = 0.02
"""The interval between checks whether the search was cancelled, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search. `text`: a substring, “/regular expression/”, or “#id” (digits match both); `type`, `use`: "" for all.

    column: the sort key: id, token, bytes, length, type, count or made (merge or score).
    """

    text: str = ""
    type: str = ""
    use: str = ""
    column: str = "id"
    descending: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The matching rows, in order. `problem`: why the search is invalid, "" if it is valid."""

    rows: NDArray[np.int64]
    problem: str = ""


class TokenFinder:
    """Answers queries on one vocabulary; caches sort keys."""

    def __init__(self, vocabulary: Vocabulary, usage: Usage | None) -> None:
        self.vocabulary, self.usage = vocabulary, usage
        self._keys: dict[str, NDArray[Any]] = {}

    def with_usage(self, usage: Usage | None) -> TokenFinder:
        """Return a copy with other counts."""
        other = TokenFinder(self.vocabulary, usage)
        other._keys = {column: key for column, key in self._keys.items() if column != "count"}
        return other

    def find(self, query: Query) -> Generator[Event, None, Found]:
        """Find the rows of a query.

        Yields:
            Progress, periodically while matching a regular expression.
        """
        try:
            matches = yield from self._matches(query.text.strip("\n"))
        except ValueError as error:
            return Found(rows=np.zeros(0, np.int64), problem=str(error))
        if query.type:
            matches &= self.vocabulary.types == TYPE_NAMES.index(query.type)
        if query.use:
            matches &= self._has_use(query.use)
        order = self._order(query.column, query.descending)
        return Found(rows=order[matches[order]])

    def _matches(self, text: str) -> Generator[Event, None, NDArray[np.bool_]]:
        table = self.vocabulary
        if not text:
            return np.ones(len(table), np.bool_)
        number = re.fullmatch(r"#?\s*(\d{1,18})", text, re.ASCII)
        found = np.zeros(len(table), np.bool_)
        if number:
            row = table.row_of(int(number[1]))
            if row >= 0:
                found[row] = True
            if text.startswith("#") and row >= 0:
                return found
        if len(text) > 2 and text[0] == text[-1] == "/":
            return (yield from self._match_regex(text[1:-1]))
        for words in (table.shown, table.texts):
            found |= np.fromiter((text in (word or "") for word in words), np.bool_, len(table))
        return found

    def _match_regex(self, pattern: str) -> Generator[Event, None, NDArray[np.bool_]]:
        """Match with Qt's regular expressions: Python's cannot be interrupted, so “(a+)+b” would hang."""
        expression = QRegularExpression(pattern, QRegularExpression.PatternOption.UseUnicodePropertiesOption)
        if not expression.isValid():
            reason, position = expression.errorString(), expression.patternErrorOffset()
            raise ValueError(f"Invalid regular expression: {reason} after {position} characters.")
        table = self.vocabulary
        found = np.zeros(len(table), np.bool_)
        last_check = time.monotonic()
        for row, text in enumerate(table.texts):
            if time.monotonic() - last_check > POLL_S:
                yield Progress(done=row, total=len(table))
                last_check = time.monotonic()
            match = expression.match(table.shown[row] if text is None else text)
            if not match.isValid():
                raise ValueError(f"This pattern takes too long on “{table.shown[row][:20]}”: simplify it.")
            found[row] = match.hasMatch()
        return found

    def _has_use(self, use: str) -> NDArray[np.bool_]:
        if self.usage is None:
            assert use == "unreachable"
            return ~self.vocabulary.reachable
        if use == "unreachable":
            return ~self.vocabulary.reachable & np.equal(self.usage.counts, 0)
        has: NDArray[np.bool_] = np.isin(self.usage.uses, [USE_NAMES.index(name) for name in USE_FILTERS[use]])
        return has

    def _order(self, column: str, descending: bool) -> NDArray[np.int64]:
        """Return all rows sorted by a column, ties by id; rows without a value are last in both directions."""
        if column not in self._keys:
            self._keys[column] = self._key(column)
        key = self._keys[column]
        return np.argsort(-key if descending else key, kind="stable")

    def _key(self, column: str) -> NDArray[Any]:
        table = self.vocabulary
        if column == "token":
            return _dense_ranks(table.shown)
        if column == "bytes":
            return _dense_ranks(table.data)
        if column == "length":
            return table.n_bytes.astype(np.int64) << 32 | table.n_characters
        if column == "type":
            return table.types.astype(np.int64)
        if column == "count":
            return np.zeros(len(table)) if self.usage is None else self.usage.counts
        if column == "made":
            made = table.rank.astype(np.float64) if table.scores is None else table.scores.copy()
            made[made == -1 if table.scores is None else np.isnan(made)] = np.nan
            return made
        return table.ids


def _dense_ranks(values: Sequence[Any]) -> NDArray[np.int64]:
    """Return the dense rank of each value, (n,): equal values have equal ranks."""
    order = np.array(sorted(range(len(values)), key=values.__getitem__), np.int64)
    differs = [values[a] != values[b] for a, b in zip(order[:-1].tolist(), order[1:].tolist(), strict=True)]
    ranks = np.zeros(len(values), np.int64)
    ranks[order] = np.concatenate(([0], np.cumsum(differs)))[: len(values)]
    return ranks
