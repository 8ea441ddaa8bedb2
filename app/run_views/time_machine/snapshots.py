"""The recorded samples and attention weights of a run, by prompt and step. No Qt."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from terrarium.app.session.run_history import AttentionSnapshot, RunHistory
from terrarium.models.events import SampleMade
from terrarium.models.library.run_record import checkpoint_step

_EARLIER = 6


class Snapshot(NamedTuple):
    """The sample and attention of one prompt at one step, and a few samples of `earlier` steps, the latest first."""

    sample: SampleMade
    attention: AttentionSnapshot | None
    earlier: tuple[SampleMade, ...]


class Snapshots:
    """An index of the records of a growing history. `pinned`: prompts that come first, in this order."""

    def __init__(self, history: RunHistory, pinned: Sequence[str] = ()) -> None:
        self._history, self._pinned = history, tuple(pinned)
        self._clear()

    def _clear(self) -> None:
        self._samples: dict[str, dict[int, SampleMade]] = {}
        self._attention: dict[tuple[str, int], AttentionSnapshot] = {}
        self._steps: dict[str, list[int]] = {}
        self._last: tuple[int, SampleMade | None, int] = (0, None, 0)

    def read_new(self) -> bool:
        """Index new records of the history; return whether there were any."""
        samples, attention = self._history.samples, self._history.attention
        n, last, n_attention = self._last
        if len(samples) < n or len(attention) < n_attention or (n and samples[n - 1] is not last):
            self._clear()  # the history was re-read
            n, n_attention = 0, 0
        for seen in attention[n_attention:]:
            self._attention[seen.prompt, seen.step] = seen
        for sample in samples[n:]:
            self._samples.setdefault(sample.prompt, {})[sample.step] = sample
        for prompt in {sample.prompt for sample in samples[n:]}:
            self._steps[prompt] = sorted(self._samples[prompt])
        is_new = len(samples) > n or len(attention) > n_attention
        self._last = (len(samples), samples[-1] if samples else None, len(attention))
        return is_new

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts with samples: pinned prompts first, then those sampled on request."""
        pinned = [prompt for prompt in self._pinned if prompt in self._samples]
        return (*pinned, *(prompt for prompt in self._samples if prompt not in pinned))

    def steps(self, prompt: str) -> Sequence[int]:
        """Return the steps at which a prompt was sampled, ascending."""
        return self._steps.get(prompt, ())

    def at(self, prompt: str, index: int) -> Snapshot:
        """Return the snapshot of a prompt at an index of its `steps`."""
        steps, samples = self._steps[prompt], self._samples[prompt]
        earlier = tuple(samples[step] for step in reversed(steps[max(0, index - _EARLIER) : index]))
        return Snapshot(samples[steps[index]], self._attention.get((prompt, steps[index])), earlier)


def nearest(steps: Sequence[int], target: float) -> int:
    """Return the index of the step nearest to `target`; `steps` must be sorted and not empty."""
    i = bisect_left(steps, target)
    return min(range(max(i - 1, 0), min(i + 1, len(steps))), key=lambda j: abs(steps[j] - target))


def kept_checkpoints(folder: Path | None) -> frozenset[int]:
    """Return the steps whose checkpoints are on disk."""
    found = (folder / "checkpoints").glob("step-*") if folder is not None else ()
    return frozenset(checkpoint_step(path) for path in found) - {-1}
