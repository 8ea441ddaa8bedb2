"""What fails in the window is reported, and once only."""

from __future__ import annotations

import logging

import pytest

from app.shell.launch import FailureReport
from app.worker.notices import Notices


def fail(report: FailureReport, words: str) -> None:
    try:
        raise RuntimeError(words)
    except RuntimeError as error:
        report(type(error), error, error.__traceback__)


def test_a_failure_that_repeats_itself_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    notices, shown, now = Notices(), [], [0.0]
    notices.failed.connect(lambda sentence, details: shown.append(sentence))
    report = FailureReport(notices, lambda: now[0])
    with caplog.at_level(logging.CRITICAL):
        for _ in range(100):
            now[0] += 1.0
            fail(report, "already deleted")
        fail(report, "something else")
    assert len(shown) == len(caplog.records) == 2
    now[0] += 1000.0
    fail(report, "already deleted")
    assert len(shown) == 3, "it has come back after a long time"
