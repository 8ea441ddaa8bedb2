"""The progress line: a bar on a terminal, few lines in a file, JSON for programs; blocked runs are retried; Ctrl-C."""

import io
import json
import signal
import sys
from collections.abc import Generator

import pytest

from terrarium.app.commands import progress
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.models.events import Blocked, Event, MicroStep, Notice, Phase, Progress, TrainMetrics, ValMetrics
from tests.app.measured import measured


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def metrics(step: int) -> TrainMetrics:
    return TrainMetrics(
        step=step,
        total_steps=4,
        tokens=10,
        elapsed_s=1.0,
        loss=2.5,
        lr=0.1,
        grad_norm=1.0,
        tokens_per_s=1234.0,
        seconds_left=61.0,
    )


VALIDATED = ValMetrics(step=1, tokens=10, elapsed_s=1.0, loss=3.25, bits_per_byte=1.0)


def test_a_terminal_gets_a_bar_that_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        for event in (Phase(name="Training"), VALIDATED, metrics(4)):
            line.show(event)
        line.show(Notice(sentence="Mind the gap."))
    bar = "Training ████████████████ 100 % · 1 min 1 s left · step 4/4 · loss 2.500 · val 3.250 · 1,234 tokens/s"
    erase = "\r\x1b[K"
    assert stream.getvalue().startswith(f"{erase}Training…{erase}{bar}{erase}Mind the gap.\n{bar}{erase}Training · ")
    assert stream.getvalue().count("\n") == 2


def test_a_narrow_terminal_is_never_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    with ProgressLine(stream=stream) as line:
        line.show(Phase(name="A phase with a name that is rather long"))
        line.show(Progress(done=3, total=3))
    assert all(len(part.rstrip("\n")) < 40 for part in stream.getvalue().split("\r\x1b[K"))


def test_a_file_gets_few_lines() -> None:
    stream = io.StringIO()
    with ProgressLine(stream=stream) as line:
        line.show(Phase(name="Reading"))
        for done in range(1001):
            line.show(Progress(done=done, total=1000))
            line.show(MicroStep(step=1, micro_step=done))
    assert stream.getvalue().splitlines() == ["Reading…", "Reading ████████████████ 100 %"]


def test_json_lines_are_one_event_each() -> None:
    stream = io.StringIO()
    with ProgressLine(as_json=True, stream=stream) as line:
        line.show(Phase(name="Reading"))
        line.show(VALIDATED)
    events = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert events[0] == {"event": "Phase", "name": "Reading"}
    assert (events[1]["event"], events[1]["loss"]) == ("ValMetrics", 3.25)


def test_each_measurement_of_accuracy_is_an_aligned_line() -> None:
    stream = io.StringIO()
    with ProgressLine(stream=stream) as line:
        for step, accuracy in ((0, 0.0), (400, 0.125), (1200, 1.0)):
            line.show(measured(step, accuracy))
    lines = stream.getvalue().splitlines()
    assert lines[1] == (
        "step    400:  12.5 % right · knowledge  12 %  requests  12 %  reading  12 %  state  12 %  sums   0 %  "
        "translation   0 %"
    )
    assert len({len(text) for text in lines}) == 1
    stream = io.StringIO()
    with ProgressLine(as_json=True, stream=stream) as line:
        line.show(measured(400, 0.125))
    event = json.loads(stream.getvalue())
    assert (event["event"], event["step"], event["accuracy"]) == ("AccuracyMeasured", 400, 0.125)
    assert event["kinds"][0] | {"kind": "knowledge", "n": 24, "accuracy": 0.125} == event["kinds"][0]
    assert event["answers"][0]["reply"] == "The the."


def test_drive_returns_the_result_and_retries_a_blocked_run(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(progress.time, "sleep", waits.append)

    def events() -> Generator[Event, None, str]:
        yield Phase(name="Saving")
        yield Blocked(reason="The disk is full.")
        yield Blocked(reason="The disk is full.")
        return "done"

    stream = io.StringIO()
    with ProgressLine(stream=stream) as line:
        assert drive(events(), line) == "done"
    assert len(waits) == 2
    assert stream.getvalue().count("Waiting: The disk is full.") == 1


class Busy(io.StringIO):
    """Stderr during a print: Python refuses any other print to it."""

    def write(self, text: str) -> int:
        raise RuntimeError("reentrant call")


def test_the_first_ctrl_c_stops_in_the_middle_of_a_print_and_the_second_aborts(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Busy())
    asked = []
    with stop_on_interrupt(lambda: asked.append("stop")) as interrupt:
        assert not interrupt.happened
        signal.raise_signal(signal.SIGINT)
        assert interrupt.happened
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == ["stop"]
    assert capfd.readouterr().err.count("Stopping after this step") == 1
