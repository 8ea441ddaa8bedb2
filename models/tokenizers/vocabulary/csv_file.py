"""Exports a vocabulary as CSV (RFC 4180, UTF-8): each token with its bytes, type, merge or score, and counts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, Usage
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary

COLUMNS = ("id", "token", "text", "bytes", "n_bytes", "n_characters", "type", "script", "reachable")
MERGE_COLUMNS = ("left", "right", "rank")
COUNT_COLUMNS = ("count", "share", "frequency_rank", "as_step", "use")


def write_vocabulary_csv(path: Path, vocabulary: Vocabulary, usage: Usage | None, rows: Iterable[int]) -> None:
    """Write these rows of a vocabulary, in this order, with counts if there are any.

    Column `token` is the display form, `text` the text (empty if the bytes are not whole characters), `bytes` hex.

    Raises:
        OSError: if the file cannot be written.
    """
    out = io.StringIO(newline="")
    write = csv.writer(out).writerow
    has_merges, scores = vocabulary.model == "BPE", vocabulary.scores
    write(
        (
            *COLUMNS,
            *(MERGE_COLUMNS if has_merges else ()),
            *(("score",) if scores is not None else ()),
            *(COUNT_COLUMNS if usage is not None else ()),
        )
    )
    for row in rows:
        token = vocabulary[row]
        line: list[object] = [token.id, token.shown, token.text or "", token.bytes.hex(), len(token.bytes)]
        line += [token.n_characters, token.type, token.script, int(token.reachable)]
        if has_merges:
            line += ["" if token.rank < 0 else value for value in (token.left, token.right, token.rank)]
        if scores is not None:
            line.append(token.score)
        if usage is not None:
            count = int(usage.counts[row])
            line += [count, count / usage.n_tokens, int(usage.ranks[row]) or "", int(usage.as_steps[row])]
            line.append(USE_NAMES[usage.uses[row]])
        write(line)
    atomic_write_text(path, out.getvalue())
