"""Threads for short steps: the faster way is taken, the other tried now and then. The clock is a number here."""

from __future__ import annotations

import pytest
import torch

from terrarium.models.inference import threads
from terrarium.models.inference.threads import ThreadTuner


class Machine:
    """Whose steps take so many seconds, by the number of threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], n_threads: int = 2) -> None:
        self.seconds, self.now, self.n_threads = seconds, 0.0, n_threads
        self.used: list[int] = []
        monkeypatch.setattr(threads.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.n_threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda n: setattr(self, "n_threads", n))

    def step(self) -> str:
        self.used.append(self.n_threads)
        self.now += self.seconds[self.n_threads]
        return "done"


@pytest.mark.parametrize(("seconds", "faster"), [({1: 1.0, 2: 0.6}, 2), ({1: 1.0, 2: 50.0}, 1)])
def test_the_faster_setting_is_used(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], faster: int) -> None:
    machine = Machine(monkeypatch, seconds)
    steps = ThreadTuner(is_small=False)
    assert {steps.run(machine.step) for _ in range(900)} == {"done"}
    assert machine.used[:4] == [2, 1, 2, 1]
    slower = 3 - faster
    lost = machine.used.count(slower) * seconds[slower]
    assert 0 < lost < 0.15 * machine.now  # the first try included
    assert machine.n_threads == 2


def test_a_machine_that_gets_busy_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 1.0, 2: 0.5})
    steps = ThreadTuner(is_small=False)
    for _ in range(10):
        steps.run(machine.step)
    machine.seconds[2] = 90.0
    machine.used.clear()
    for _ in range(100):
        steps.run(machine.step)
    assert machine.used.count(2) == 1
    machine.seconds[2] = 0.5
    for _ in range(3000):
        steps.run(machine.step)
    assert machine.used[-5:] == [2] * 5


def test_small_work_is_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 1.0, 2: 0.5})
    steps = ThreadTuner(is_small=True)
    for _ in range(50):
        steps.run(machine.step)
    assert set(machine.used) == {1}


def test_one_core_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 1.0}, n_threads=1)
    steps = ThreadTuner(is_small=False)
    for _ in range(50):
        steps.run(machine.step)
    assert set(machine.used) == {1}


def test_threads_that_somebody_else_has_changed_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 1.0, 2: 0.5})
    steps = ThreadTuner(is_small=False)
    steps.run(machine.step)
    machine.n_threads = 1  # a training between two tokens of a reply
    steps.run(machine.step)
    assert machine.n_threads == 1


def test_all_threads_are_there_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 1.0, 2: 2.0})
    steps = ThreadTuner(is_small=True)
    with pytest.raises(ZeroDivisionError):
        steps.run(lambda: 1 // 0)
    assert machine.n_threads == 2
