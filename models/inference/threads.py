"""How many threads one short step of work is given: all, or one where that is faster just now.

Which it was is a matter of the clock, so nothing may depend on it: `Crew` keeps libraries from dividing a sum.

On a quiet machine two threads halve the time. Beside another busy program the first one done waits until the system
lets the second go on, a thousand times for each token of a small model: measured, a hundredth of the speed. So the two
are timed against each other while the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

_PATIENCE = 20
"""The slower way is tried again after so many times what it took last: it costs a twentieth at most."""


def by_one_thread(step: Callable[[], Result]) -> Result:
    """Do a step with one thread; the calling thread has as many as before afterwards."""
    n_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return step()
    finally:
        torch.set_num_threads(n_before)


class Crew:
    """Who does a step: one thread, but for the work in it that is the same to the last bit by any number of threads.

    Only what divides its results among threads, and never the sum that makes one of them, is such work. Most is not:
    MKL cuts even the product of a matrix and a vector where it likes, rounds at the cuts in another way, and adds up
    parts of sums where there are few rows (seen on AVX-512, but not with MKL's code for AVX2).
    """

    def __init__(self) -> None:
        self._size = torch.get_num_threads()

    def do(self, step: Callable[[], Result]) -> Result:
        """Do a step by one thread; what it shares is done by as many as there are now."""
        self._size = torch.get_num_threads()
        return by_one_thread(step)

    def share(self, work: Callable[[], Result]) -> Result:
        """Do a part of a step by all threads that the step was given."""
        n_before = torch.get_num_threads()
        torch.set_num_threads(self._size)
        try:
            return work()
        finally:
            torch.set_num_threads(n_before)


class ThreadTuner:
    """Runs steps of one kind of work, one after the other, on the calling thread."""

    def __init__(self, *, is_small: bool) -> None:
        """`is_small`: the work is too little to be shared, and always done by one thread."""
        # Of the last step with so many threads:
        self._seconds = {1: 0.0} if is_small else {torch.get_num_threads(): 0.0, 1: 0.0}
        self._first = list(self._seconds) * 2  # each way's first step is slower than those that follow
        self._since = 0.0  # seconds spent in the faster way since the other was tried

    def run(self, step: Callable[[], Result]) -> Result:
        """Do a step; the calling thread has as many threads afterwards as before."""
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
