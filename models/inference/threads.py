"""Tuning of the number of threads for short steps of work: all, or one if that is currently faster.

The choice depends on timing, so results must not depend on it: `StepThreads` prevents libraries from splitting sums.

On an idle machine, two threads halve the time. Beside another busy program, one thread waits for the scheduler to run
the other, a thousand times per token of a small model: measured, a hundredth of the speed. So both settings are timed
during the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

_PATIENCE = 20
"""The slower setting is tried again after this many times its last duration, which costs at most a twentieth."""


def run_single_threaded(step: Callable[[], Result]) -> Result:
    """Run a step with one thread, and restore the number of threads afterwards."""
    n_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return step()
    finally:
        torch.set_num_threads(n_before)


class StepThreads:
    """Runs a step with one thread, except for work that is bit-identical for any number of threads.

    That is only work that splits its results among threads, and never the sum behind a single result. Most work does
    not qualify: MKL splits even a matrix-vector product freely, rounds differently at the borders, and splits sums if
    there are few rows (seen with AVX-512, but not with MKL's AVX2 code).
    """

    def __init__(self) -> None:
        self._size = torch.get_num_threads()

    def do(self, step: Callable[[], Result]) -> Result:
        """Run a step with one thread; work passed to `share` uses the current number of threads."""
        self._size = torch.get_num_threads()
        return run_single_threaded(step)

    def share(self, work: Callable[[], Result]) -> Result:
        """Run a part of a step with all threads."""
        n_before = torch.get_num_threads()
        torch.set_num_threads(self._size)
        try:
            return work()
        finally:
            torch.set_num_threads(n_before)


class ThreadTuner:
    """Runs steps of one kind of work on the calling thread, each with the faster number of threads."""

    def __init__(self, *, is_small: bool) -> None:
        """`is_small`: the work is too small to be split, and always uses one thread."""
        # Duration of the last step by number of threads:
        self._seconds = {1: 0.0} if is_small else {torch.get_num_threads(): 0.0, 1: 0.0}
        self._first = list(self._seconds) * 2  # the first step of each is slower than later ones
        self._since = 0.0  # seconds spent in the faster setting since the other was tried

    def run(self, step: Callable[[], Result]) -> Result:
        """Run a step, and restore the number of threads afterwards."""
        n, n_before = self._choose(), torch.get_num_threads()
        torch.set_num_threads(n)
        began = time.perf_counter()
        try:
            return step()
        finally:
            torch.set_num_threads(n_before)
            self._seconds[n] = time.perf_counter() - began
            self._since += self._seconds[n]

    def _choose(self) -> int:
        if self._first:
            return self._first.pop(0)
        fastest = min(self._seconds, key=self._seconds.__getitem__)
        slowest = max(self._seconds, key=self._seconds.__getitem__)
        if self._since <= _PATIENCE * self._seconds[slowest]:
            return fastest
        self._since = 0.0
        return slowest
