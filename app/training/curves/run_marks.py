"""What happened to a run, where its charts show it, and in words."""

from __future__ import annotations

from collections.abc import Sequence

from app.session.run_history import RunHistory
from app.training.curves.run_axis import RunAxis
from models.events import Noted

_LINES = {
    "learning rate": "learning rate",
    "resumed": "resumed",
    "forked": "forked",
    "early stop": "stopped early:",
    "failed": "failed",
}
_SAVED = "saved"


class RunMarks:
    """The marks of a run along an axis: `lines` where its course may change, `ticks` where a checkpoint was saved."""

    def __init__(self, history: RunHistory, axis: RunAxis) -> None:
        marks = [mark for mark in history.marks if mark.event in _LINES or mark.event == _SAVED]
        places = axis.of_steps([mark.step for mark in marks], history.train).tolist()
        self._marks = list(zip(places, marks, strict=True))
        self.lines = [place for place, mark in self._marks if mark.event != _SAVED]
        self.ticks = [place for place, mark in self._marks if mark.event == _SAVED]

    def words_at(self, first: float, last: float) -> str:
        """What happened between two x."""
        words = [_words(mark) for place, mark in self._marks if first <= place <= last]
        return ", ".join(_without_repeats(words))


def _words(mark: Noted) -> str:
    if mark.event == _SAVED:
        return "checkpoint saved"
    detailed = mark.event in ("learning rate", "forked", "early stop")
    detail = mark.detail.removesuffix(" from here on") if detailed else ""  # the line says from where on
    return f"{_LINES[mark.event]} {detail}".rstrip()


def _without_repeats(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
