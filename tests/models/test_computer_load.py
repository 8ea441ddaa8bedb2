"""What other programs take of the computer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from terrarium.models.computer_load import ComputerLoad, Times, describe_load, read_times


def test_others_are_what_is_used_and_not_by_us() -> None:
    readings = iter([Times(100, 40, 10), Times(104, 43.5, 10.5), Times(104, 43.5, 10.5), Times(108, 44, 11.5)])
    load = ComputerLoad(lambda: next(readings))
    assert load.measure() == pytest.approx(3 / 4)
    assert load.measure() is None
    assert load.measure() == 0.0  # clocks that are not read at one moment may differ a little


def test_words_appear_from_half_of_the_computer_on() -> None:
    assert describe_load(None) == describe_load(0.49) == ""
    assert describe_load(0.9) == "other programs use 90\N{NO-BREAK SPACE}% of this computer"


def test_what_a_child_process_uses_is_our_own() -> None:
    burn = "import time\nwhile time.process_time() < 60: pass"
    before = read_times()
    with subprocess.Popen([sys.executable, "-c", burn]) as child:
        while (now := read_times()).own - before.own < 0.3:
            assert child.poll() is None
        child.kill()
    assert now.busy - before.busy >= now.own - before.own - 0.1  # ours is part of what is used, but for clock ticks


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the time of a child goes with it")
def test_what_a_child_has_used_stays_our_own_when_it_has_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"  # the system counts in hundredths
    before = read_times().own
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert read_times().own - before >= 0.3
