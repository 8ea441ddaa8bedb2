"""Of a row of progress only the last is kept; all else stays, and in its order."""

from __future__ import annotations

from app.worker.progress_events import latest_progress
from models.events import Notice, Phase, Progress


def test_only_the_last_of_a_row_is_kept() -> None:
    read, count, said = Phase(name="Reading"), Phase(name="Counting"), Notice(sentence="Short.")
    steps = [Progress(done=i, total=9) for i in range(9)]
    assert latest_progress([read, *steps[:4], count, *steps[4:], said, said]) == [
        read,
        steps[3],
        count,
        steps[8],
        said,
        said,
    ]
    assert latest_progress(()) == []
